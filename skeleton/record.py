"""`Skeleton`: everything known about the bodies in one video, and its file.

`visible` is the only truth about a missing joint: the coordinates of an invisible joint mean nothing (they
may even be NaN) and nobody reads them. There is one row for each sampled frame, also where nobody is seen,
so row and timestamp never part. Arrays are copied and made read-only, so a record can be shared and hashed
by identity.

A file is one `.npz`: six arrays and a JSON header as text, read without pickle and written to a temporary
name first. The same record gives the same bytes, so an interrupted extraction can be compared with an
undisturbed one.
"""

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skeleton.errors import RecordError
from skeleton.files import atomic
from skeleton.layouts.layout import get_layout

_ARRAYS = {
    "keypoints": np.float32,
    "confidence": np.float32,
    "visible": np.bool_,
    "boxes": np.float32,
    "timestamps": np.float64,
    "track_ids": np.int64,
}
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Skeleton:
    """The bodies of one video, validated at construction (RecordError names field, shape or value).

    keypoints   [M, T, V, C] float32: pixels (C=2) or metres (C=3); never read where not visible
    confidence  [M, T, V] float32 in 0..1
    visible     [M, T, V] bool
    boxes       [M, T, 4] float32: x1 y1 x2 y2 in pixels; zeros where there is none
    timestamps  [T] float64: seconds from the video's first frame, strictly increasing
    track_ids   [M] int64: stable identity, each once
    layout      a name in skeleton.layouts.layout
    frame_size  (height, width) in pixels, after display rotation
    source      JSON dict: video, hash, extractor, weights, versions, settings; no wall-clock time
    """

    keypoints: np.ndarray
    confidence: np.ndarray
    visible: np.ndarray
    boxes: np.ndarray
    timestamps: np.ndarray
    track_ids: np.ndarray
    layout: str
    frame_size: tuple[int, int]
    source: dict

    def __post_init__(self) -> None:
        for name, dtype in _ARRAYS.items():
            object.__setattr__(self, name, _copy(name, getattr(self, name), dtype))
        joints = len(get_layout(self.layout).joints)
        if self.keypoints.ndim != 4 or self.keypoints.shape[2] != joints or self.keypoints.shape[3] not in (2, 3):
            found = list(self.keypoints.shape)
            raise RecordError(f"keypoints of layout {self.layout} must be [M, T, {joints}, 2 or 3], found {found}")
        persons, frames = self.keypoints.shape[:2]
        expected = {
            "confidence": (persons, frames, joints),
            "visible": (persons, frames, joints),
            "boxes": (persons, frames, 4),
            "timestamps": (frames,),
            "track_ids": (persons,),
        }
        for name, shape in expected.items():
            found = getattr(self, name).shape
            if found != shape:
                raise RecordError(
                    f"{name} must be {list(shape)} beside keypoints {list(self.keypoints.shape)}, found {list(found)}"
                )
        self._check_values()
        _check_header(self)

    def _check_values(self) -> None:
        if self.num_frames == 0:
            raise RecordError("a skeleton needs a row for at least one frame, found none; give timestamps")
        bad = ~np.isfinite(self.keypoints).all(-1) & self.visible
        if bad.any():
            where = np.argwhere(bad)[0].tolist()
            raise RecordError(f"visible joints need finite keypoints, found {self.keypoints[tuple(where)]} at {where}")
        bad = ~((self.confidence >= 0) & (self.confidence <= 1))
        if bad.any():
            where = np.argwhere(bad)[0].tolist()
            value = self.confidence[tuple(where)]
            raise RecordError(f"confidence must lie in 0..1, found {value} at [m, t, v] = {where}; clip the scores")
        bad = ~np.isfinite(self.boxes).all(-1) | (self.boxes[..., 2:] < self.boxes[..., :2]).any(-1)
        if bad.any():
            where = np.argwhere(bad)[0].tolist()
            raise RecordError(f"boxes must be finite x1 y1 x2 y2 in order, found {self.boxes[tuple(where)]} at {where}")
        steps = np.diff(self.timestamps)
        if not np.isfinite(self.timestamps).all() or (steps <= 0).any():
            at = int(np.argmax(~(steps > 0))) if len(steps) else 0
            near = self.timestamps[at : at + 2].tolist()
            raise RecordError(f"timestamps must be finite and strictly increasing, found {near} at row {at}")
        if len(set(self.track_ids.tolist())) != self.num_persons:
            raise RecordError(f"track_ids must differ, found {self.track_ids.tolist()}; merge the rows of one person")

    @property
    def num_persons(self) -> int:
        """M."""
        return self.keypoints.shape[0]

    @property
    def num_frames(self) -> int:
        """T."""
        return self.keypoints.shape[1]

    @classmethod
    def empty(
        cls,
        timestamps: np.ndarray,
        frame_size: tuple[int, int],
        layout: str = "coco17",
        source: dict | None = None,
    ) -> "Skeleton":
        """A record of the frames at `timestamps` [T] seconds with nobody in them (M = 0, C = 2)."""
        frames, joints = len(timestamps), len(get_layout(layout).joints)
        return cls(
            keypoints=np.zeros((0, frames, joints, 2)),
            confidence=np.zeros((0, frames, joints)),
            visible=np.zeros((0, frames, joints), dtype=bool),
            boxes=np.zeros((0, frames, 4)),
            timestamps=timestamps,
            track_ids=np.zeros(0, dtype=np.int64),
            layout=layout,
            frame_size=frame_size,
            source=source or {},
        )

    def mirrored(self) -> "Skeleton":
        """The mirror image: x -> W-1-x (metres: x -> -x) and left and right joints swapped."""
        order = get_layout(self.layout).mirror
        keypoints = self.keypoints[:, :, order].copy()
        last = np.float32(self.frame_size[1] - 1)
        keypoints[..., 0] = (last if keypoints.shape[-1] == 2 else 0) - keypoints[..., 0]
        boxes = self.boxes.copy()
        boxes[..., [0, 2]] = np.where((boxes != 0).any(-1, keepdims=True), last - boxes[..., [2, 0]], 0)
        return replace(
            self,
            keypoints=keypoints,
            confidence=self.confidence[:, :, order],
            visible=self.visible[:, :, order],
            boxes=boxes,
        )

    def save(self, path: str | os.PathLike) -> None:
        """Writes one `.npz`, whole or not at all; the same record gives the same bytes."""
        header = {
            "version": _VERSION,
            "layout": self.layout,
            "frame_size": list(self.frame_size),
            "source": self.source,
        }
        text = json.dumps(header, sort_keys=True, allow_nan=False)
        with atomic(Path(path), binary=True) as file:
            np.savez_compressed(file, header=np.array(text), **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Skeleton":
        """Reads a file of `save`; RecordError for a missing, foreign, cut or pickled file."""
        path = Path(path)
        if not path.is_file():
            raise RecordError(f"expected a skeleton file at {path}, found none; check the path or extract the video")
        if not zipfile.is_zipfile(path):
            raise RecordError(f"{path} is not a skeleton file (.npz); extract the video or convert the file first")
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"][()]))
                arrays = {name: file[name] for name in _ARRAYS}
            if header["version"] != _VERSION:
                raise RecordError(f"{path} has format version {header['version']}, this code reads {_VERSION}")
            rest = {
                "layout": header["layout"],
                "frame_size": header["frame_size"],
                "source": header["source"],
            }
        except KeyError as error:
            raise RecordError(f"{path} is not a skeleton file: it lacks {error.args[0]!r}; extract it again") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise RecordError(f"{path} is cut or damaged ({error}); extract the video again") from error
        except (TypeError, ValueError) as error:
            if isinstance(error, RecordError):
                raise
            raise RecordError(f"{path} is not a skeleton file without pickled objects ({error})") from error
        try:
            return cls(**arrays, **rest)
        except ValueError as error:
            raise type(error)(f"{path}: {error}") from error


def _copy(name: str, value: object, dtype: type) -> np.ndarray:
    array = np.asarray(value)
    if (dtype is np.bool_) != (array.dtype == np.bool_) or array.dtype.kind not in "bfiu":
        raise RecordError(f"{name} must be an array of {np.dtype(dtype)}, found {array.dtype} {list(array.shape)}")
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.owndata and not array.flags.writeable:
        return array  # given up by its maker: a long video's need not be in memory twice
    array = np.array(array, dtype=dtype)
    array.setflags(write=False)
    return array


def _check_header(skeleton: Skeleton) -> None:
    size = skeleton.frame_size
    if np.shape(size) != (2,) or not all(side > 0 and int(side) == side for side in size):
        raise RecordError(f"frame_size must be (height, width) in whole positive pixels, found {size}")
    object.__setattr__(skeleton, "frame_size", (int(size[0]), int(size[1])))
    if not isinstance(skeleton.source, dict):
        raise RecordError(f"source must be a JSON dict, found {type(skeleton.source).__name__}")
    try:
        json.dumps(skeleton.source, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordError(f"source must be a JSON dict, found a value that JSON cannot hold ({error})") from error
