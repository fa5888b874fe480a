"""The pickle of pyskl and mmaction2: {"split": {name: ids}, "annotations": [{frame_dir, keypoint, label, ...}]}.

Joints are keypoint [M, T, V, C] and, for C=2, keypoint_score [M, T, V]; joints of C=3 have no score and are missing
where all their coordinates are 0. A bare list of annotations, as pyskl's script for one's own videos writes, is
read too. The person slots of the file become track ids, and slots that never show anybody are left out. A field that
is None is absent. The pickle knows no time: fps must be given when reading, and timestamps are lost when writing.
"""

import operator
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skeleton.errors import FormatError
from skeleton.files import atomic
from skeleton.formats.common import (
    CONFIDENCE_THRESHOLD,
    Clip,
    check_fps,
    check_metres,
    check_size,
    choose_layout,
    present,
)
from skeleton.formats.frames import boxes_around
from skeleton.formats.unpickling import read_pickle
from skeleton.record import Skeleton

_KIND = "a pickle of pyskl or mmaction2"
_NO_LABEL = -1
_LEAST_SCORE = 1e-3  # of a visible joint in a file, where a score of 0 says that it is missing


def pyskl_clips(
    path: str | Path,
    fps: float | None = None,
    frame_size: Sequence[int] | None = None,
    layout: str | None = None,
    confidence_threshold: float = CONFIDENCE_THRESHOLD,
) -> list[tuple[str, Callable[[], Clip]]]:
    """The clips of a file: each one's name and a function that makes it; options and errors as in `read_pyskl`."""
    fps = check_fps(fps, _KIND)
    if not 0 <= confidence_threshold <= 1:
        raise FormatError(f"confidence_threshold must lie in 0..1, found {confidence_threshold}; correct it")
    value = read_pickle(path, _KIND)
    path = Path(path)
    value = present(value) if isinstance(value, Mapping) else value
    annotations = value.get("annotations") if isinstance(value, Mapping) else value
    if not isinstance(annotations, list) or not all(isinstance(entry, Mapping) for entry in annotations):
        raise FormatError(f"{path} must be {_KIND} with a list of annotations, found none; give another file")
    splits = value.get("split", {}) if isinstance(value, Mapping) else {}
    if not isinstance(splits, Mapping) or not all(isinstance(ids, list | tuple | set) for ids in splits.values()):
        raise FormatError(f"{path}: expected split as {{name: list of ids}}, found another form; mend the file")
    members = {str(split): {str(one) for one in ids} for split, ids in splits.items()}

    def load(annotation: Mapping, name: str, place: str) -> Clip:
        source = {"file": path.name, "clip": name, "format": "pyskl", "identities": "file"}
        source |= {"fps": fps, "confidence_threshold": confidence_threshold}
        inside = tuple(split for split, ids in members.items() if name in ids)
        skeleton = _skeleton(annotation, place, source, frame_size, layout)
        return Clip(name, skeleton, _label(annotation, place), inside)

    result = []
    for index, annotation in enumerate(map(present, annotations)):
        found = annotation.get("frame_dir", annotation.get("filename"))
        name = found if isinstance(found, str) and found else f"annotation {index}"
        place = f"{path}, annotation {index}" + (f" ({name})" if name == found else "")
        result.append((name, partial(load, annotation, name, place)))
    return result


def read_pyskl(path: str | Path, fps: float | None = None, **options: Any) -> Iterator[Clip]:
    """The clips of a file, one by one; nothing in it is executed.

    options: frame_size (height, width) where the file has no img_shape, layout (None: by the number of joints; 17
    is coco17 and 25 ntu25), confidence_threshold of a visible joint. fps must be given. Raises FormatError for a
    missing, cut or foreign file, foreign objects in it, and annotations that lack something.
    """
    return (load() for _, load in pyskl_clips(path, fps, **options))


def _skeleton(
    annotation: Mapping, place: str, source: dict, size: Sequence[int] | None, layout: str | None
) -> Skeleton:
    if not isinstance(annotation.get("frame_dir", annotation.get("filename")), str):
        raise FormatError(f"{place}: expected a name in frame_dir, found the keys {', '.join(map(str, annotation))}")
    if "keypoint" not in annotation or "frame_inds" in annotation:
        raise FormatError(
            f"{place}: expected keypoint [M, T, V, C], found the variant whose joints lie in separate files or are "
            "packed by frame (kpfiles); unpack it first"
        )
    keypoints = _array(annotation["keypoint"], "keypoint", place)
    if keypoints.ndim != 4 or keypoints.shape[-1] not in (2, 3) or not keypoints.shape[1]:
        raise FormatError(f"{place}: expected keypoint [M, T, V, 2 or 3], found {list(keypoints.shape)}; reshape it")
    frames, joints, coordinates = keypoints.shape[1:]
    total = annotation.get("total_frames", frames)
    if not isinstance(total, int | float) or total != frames:
        raise FormatError(
            f"{place}: expected a row for each of its {total} frames, found {frames}; frames were dropped, which "
            "shifts time: extract the clip again"
        )
    if coordinates == 3:
        check_metres(keypoints, (keypoints != 0).any(-1) & np.isfinite(keypoints).all(-1), place)
    if "keypoint_score" in annotation:
        scores = _array(annotation["keypoint_score"], "keypoint_score", place)
        if scores.shape != keypoints.shape[:3]:
            found = f"{list(scores.shape)} beside {list(keypoints.shape)}"
            raise FormatError(f"{place}: expected keypoint_score [M, T, V], found {found}; reshape it")
        confidence = np.clip(np.nan_to_num(scores), 0, 1)
        visible = (confidence > 0) & (confidence >= source["confidence_threshold"])
    elif coordinates == 3:
        visible = (keypoints != 0).any(-1)
        confidence = visible.astype(np.float32)
    else:
        raise FormatError(f"{place}: expected keypoint_score beside keypoints in pixels, found none; add it")
    visible &= np.isfinite(keypoints).all(-1)
    slots = np.flatnonzero(visible.any((1, 2)))
    keypoints, visible, confidence = keypoints[slots], visible[slots], confidence[slots]
    size = annotation.get("img_shape", annotation.get("original_shape", size))
    return Skeleton(
        keypoints=np.where(visible[..., None], keypoints, 0),
        confidence=confidence,
        visible=visible,
        boxes=boxes_around(keypoints, visible) if coordinates == 2 else np.zeros((len(slots), frames, 4)),
        timestamps=np.arange(frames) / source["fps"],
        track_ids=slots,
        layout=choose_layout(joints, layout, place),
        frame_size=check_size((1, 1) if size is None and coordinates == 3 else size, place),
        source=source,
    )


def _array(value: object, key: str, place: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise FormatError(f"{place}: expected an array in {key}, found rows of unlike lengths; mend it") from error
    if array.dtype.kind not in "fiu":
        raise FormatError(f"{place}: expected numbers in {key}, found {array.dtype} {list(array.shape)}; mend it")
    return array.astype(np.float32)


def _label(annotation: Mapping, place: str) -> int | None:
    label = annotation.get("label")
    if label is None:
        return None
    try:
        label = operator.index(label)
    except TypeError as error:
        raise FormatError(f"{place}: expected one class number as label, found {label!r}; mend it") from error
    return None if label == _NO_LABEL else label


class _Writer(pickle.Pickler):
    def reducer_override(self, value: object) -> Any:
        """Arrays as ndarray(shape, dtype, buffer), which every NumPy reads; its own way names inner modules."""
        if type(value) is np.ndarray:
            return np.ndarray, (value.shape, value.dtype.str, bytearray(value.tobytes()))
        return NotImplemented


def write_pyskl(path: str | Path, clips: Iterable[Clip]) -> int:
    """Writes clips as {"split", "annotations"}, whole or not at all; returns how many there were.

    Each row of a record becomes a frame. A missing joint is written as zeros with score 0, as the field does: the
    zeros mean nothing, the score says it (a visible joint has at least 0.001); for C=3 the zeros alone say it. A
    clip without persons has one empty slot, one without a label the label -1. FormatError for a repeated name.
    """
    annotations: dict[str, dict] = {}
    splits: dict[str, list[str]] = {}
    for clip in clips:
        if clip.name in annotations:
            raise FormatError(f"expected each clip once in {path}, found {clip.name!r} twice; rename one of them")
        annotations[clip.name] = _annotation(clip)
        for split in clip.splits:
            splits.setdefault(split, []).append(clip.name)
    with atomic(path, binary=True) as file:
        _Writer(file, protocol=4).dump({"split": splits, "annotations": list(annotations.values())})
    return len(annotations)


def _annotation(clip: Clip) -> dict:
    skeleton = clip.skeleton
    keypoints = np.where(skeleton.visible[..., None], skeleton.keypoints, np.float32(0))
    scores = np.where(skeleton.visible, np.maximum(skeleton.confidence, np.float32(_LEAST_SCORE)), np.float32(0))
    if not skeleton.num_persons:
        keypoints, scores = (np.zeros((1, *array.shape[1:]), np.float32) for array in (keypoints, scores))
    result = {
        "frame_dir": clip.name,
        "total_frames": skeleton.num_frames,
        "img_shape": skeleton.frame_size,
        "original_shape": skeleton.frame_size,
        "label": _NO_LABEL if clip.label is None else int(clip.label),
        "keypoint": keypoints,
    }
    return result if keypoints.shape[-1] == 3 else {**result, "keypoint_score": scores}
