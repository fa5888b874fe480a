"""The streaming pipeline: frames -> persons -> ids -> one `Skeleton` for a video.

A thread decodes ahead of the networks and only numbers are kept, so memory does not grow with the pictures. Every
sampled frame gets a row; where nobody is found the row is invisible, and the whole image is never a person.
Persons that were left out (seen too briefly, or beyond `max_persons`) are listed in the record's source.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skeleton.errors import ExtractionError
from skeleton.extraction.persons import Persons, oks_sigmas, without_duplicates
from skeleton.extraction.smoothing import smooth
from skeleton.extraction.streaming import Frame, Stages, read_ahead
from skeleton.extraction.topdown import PersonSource
from skeleton.extraction.tracker import Tracker
from skeleton.files import sha256
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from skeleton.video import read_frames

AHEAD = 16  # frames decoded before they are asked for


@dataclass(frozen=True)
class Settings:
    """What decides a record besides the models; stored in its source.

    fps None takes every frame. every: frames from one detection to the next. rate: estimates of joints a second at
    least, None in every frame. detector_score: least score of a box
    that may continue a person; start_score: of one that begins a person. A joint is visible from
    `confidence_threshold` on. A person seen in fewer than `min_rows` frames is dropped, and so are those with the
    fewest visible joints beyond `max_persons`. smoothing: (min_cutoff, beta) of the One-Euro filter, None for none.
    """

    fps: float | None = None
    every: int = 1
    rate: float | None = None
    detector_score: float = 0.25
    start_score: float = 0.4
    confidence_threshold: float = 0.3
    patience_seconds: float = 2.0
    min_rows: int = 3
    max_persons: int = 32
    smoothing: tuple[float, float] | None = None


@dataclass
class Extractor:
    """Makes records from videos. source: what every record says of models and settings."""

    persons: PersonSource
    settings: Settings
    source: dict
    stages: Stages = field(default_factory=Stages)

    def extract(self, video: str | Path, on_frame: Callable[[], object] = lambda: None) -> Skeleton:
        """The record of one video; `on_frame` is called after each frame. VideoError for a bad file."""
        settings, rows, size = self.settings, _Rows(), (0, 0)
        sigmas = oks_sigmas(self.persons.layout)
        tracker = Tracker(
            sigmas,
            settings.start_score,
            patience_seconds=settings.patience_seconds,
            joint_threshold=settings.confidence_threshold,
        )
        for frame, persons in self.persons.persons(read_ahead(self._decoded(video), AHEAD)):
            with self.stages.timed("track"):
                kept = without_duplicates(persons, sigmas, settings.confidence_threshold)
                rows.add(frame.seconds, kept, tracker.update(frame.seconds, kept, frame.image))
            if size not in ((0, 0), frame.image.shape[:2]):
                raise ExtractionError(
                    f"the frames of {video} must have one size, found {size} and then {frame.image.shape[:2]}; split it there"
                )
            size = frame.image.shape[:2]
            on_frame()
        source = {"video": Path(video).name, "sha256": sha256(video), **self.source}
        record = rows.record(self.persons.layout, size, source, settings)
        return smooth(record, *settings.smoothing) if settings.smoothing else record

    def _decoded(self, video: str | Path):
        frames = enumerate(read_frames(video, self.settings.fps))
        while True:
            with self.stages.timed("decode"):
                number, (seconds, image) = next(frames, (None, (0.0, None)))
            if number is None:
                return
            yield Frame(number, seconds, image)


@dataclass
class _Track:
    """One person so far: in which rows, and for each 4 + V + 2 V numbers: box, confidence, keypoints."""

    rows: array = field(default_factory=lambda: array("q"))
    values: array = field(default_factory=lambda: array("f"))

    def table(self) -> np.ndarray:
        """The numbers [rows, 4 + 3 V]."""
        return np.frombuffer(self.values, np.float32).reshape(len(self.rows), -1)


class _Rows:
    """What was found so far, frame by frame; a few hundred bytes for each person and frame."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.tracks: dict[int, _Track] = {}

    def add(self, seconds: float, persons: Persons, ids: np.ndarray) -> None:
        flat = persons.keypoints.reshape(len(persons), 2 * persons.keypoints.shape[1])
        values = np.concatenate([persons.boxes, persons.confidence, flat], 1).astype(np.float32)
        for index in np.flatnonzero(ids >= 0):
            track = self.tracks.setdefault(int(ids[index]), _Track())
            track.rows.append(len(self.times))
            track.values.frombytes(values[index].tobytes())
        self.times.append(seconds)

    def record(self, layout: str, size: tuple[int, int], source: dict, settings: Settings) -> Skeleton:
        count = len(get_layout(layout).joints)

        def joints(identity: int) -> int:
            confidence = self.tracks[identity].table()[:, 4 : 4 + count]
            return int((confidence >= settings.confidence_threshold).sum())

        least = min(settings.min_rows, len(self.times))
        brief = [identity for identity, track in self.tracks.items() if len(track.rows) < least]
        lasting = sorted(set(self.tracks) - set(brief), key=lambda identity: (-joints(identity), identity))
        kept, beyond = sorted(lasting[: settings.max_persons]), sorted(lasting[settings.max_persons :])
        reasons = [
            *((identity, "seen too briefly") for identity in brief),
            *((i, "beyond max_persons") for i in beyond),
        ]
        source = {
            **source,
            "dropped_persons": [self._dropped(identity, reason) for identity, reason in reasons],
        }
        persons, frames = len(kept), len(self.times)
        arrays = {
            "boxes": np.zeros((persons, frames, 4), np.float32),
            "confidence": np.zeros((persons, frames, count), np.float32),
            "keypoints": np.zeros((persons, frames, count, 2), np.float32),
        }
        for m, identity in enumerate(kept):
            track = self.tracks.pop(identity)
            boxes, confidence, keypoints = np.split(track.table(), [4, 4 + count], axis=1)
            for name, values in (("boxes", boxes), ("confidence", confidence), ("keypoints", keypoints)):
                arrays[name][m, track.rows] = values.reshape(-1, *arrays[name].shape[2:])
        arrays["visible"] = arrays["confidence"] >= settings.confidence_threshold
        for values in arrays.values():
            values.setflags(write=False)
        return Skeleton(
            **arrays,
            timestamps=np.array(self.times, np.float64),
            track_ids=np.array(kept, np.int64),
            layout=layout,
            frame_size=(int(size[0]), int(size[1])),
            source=source,
        )

    def _dropped(self, identity: int, reason: str) -> dict:
        rows = self.tracks[identity].rows
        return {
            "track_id": identity,
            "reason": reason,
            "rows": len(rows),
            "start": round(self.times[rows[0]], 3),
            "end": round(self.times[rows[-1]], 3),
        }
