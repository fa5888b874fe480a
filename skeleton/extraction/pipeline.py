"""The streaming pipeline: decoded frames -> persons -> joints -> ids -> one `Skeleton` for a video.

Frames go through in chunks and only their numbers are kept, so memory does not grow with the pictures. Every
sampled frame gets a row; where nobody is found the row is invisible, and the whole image is never a person.
Persons that were left out (seen too briefly, or beyond `max_persons`) are listed in the record's source.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from skeleton.errors import ExtractionError
from skeleton.extraction.detector import PersonDetector
from skeleton.extraction.estimator import PoseEstimator
from skeleton.extraction.tracker import Persons, Tracker, without_duplicates
from skeleton.extraction.zoo import find_config, sha256
from skeleton.layouts import get_layout
from skeleton.record import Skeleton
from skeleton.video import read_frames

_PROJECTS = ("mmdet", "mmpose", "mmengine", "mmcv", "mmcv-lite", "torch", "torchvision", "numpy", "av")


@dataclass(frozen=True)
class Settings:
    """What decides a record besides the models; stored in its source.

    fps None takes every frame. detector_score: least score of a box that may continue a person; start_score:
    of one that begins a person. A joint is visible from `confidence_threshold` on. A person seen in fewer
    than `min_rows` frames is dropped, and so are those with the fewest visible joints beyond `max_persons`.
    """

    fps: float | None = None
    detector_score: float = 0.25
    start_score: float = 0.4
    confidence_threshold: float = 0.3
    patience_seconds: float = 1.0
    min_rows: int = 3
    max_persons: int = 32


@dataclass(frozen=True)
class Models:
    """The four files that extraction runs on."""

    detector_config: Path
    detector_checkpoint: Path
    estimator_config: Path
    estimator_checkpoint: Path

    @classmethod
    def find(cls, detector: str, detector_weights: Path, estimator: str, estimator_weights: Path) -> "Models":
        """Resolves config names; ExtractionError for a config that does not exist."""
        return cls(find_config(detector), detector_weights, find_config(estimator), estimator_weights)


def describe(models: Models, settings: Settings) -> dict:
    """The part of a record's source that every video of a run shares; needs no model to be built."""
    files = asdict(models)
    source: dict = {"extractor": "top-down: MMDet persons, MMPose joints"}
    for part in ("detector", "estimator"):
        config, checkpoint = files[f"{part}_config"], files[f"{part}_checkpoint"]
        source[part] = {
            "config": config.name,
            "config_sha256": sha256(config),
            "checkpoint": checkpoint.name,
            "checkpoint_sha256": sha256(checkpoint),
        }
    found = {name: list(metadata.distributions(name=name)) for name in _PROJECTS}
    source["versions"] = {name: entries[0].version for name, entries in found.items() if entries}
    source["settings"] = asdict(settings)
    source["confidence_threshold"] = settings.confidence_threshold
    return source


class Extractor:
    """Runs detector, estimator and tracker over videos."""

    def __init__(
        self,
        detector: PersonDetector,
        estimator: PoseEstimator,
        settings: Settings,
        source: dict,
        batch_size: int = 8,
    ):
        """source: what every record says of models and settings. ExtractionError without sigmas."""
        self.detector, self.estimator = detector, estimator
        self.settings, self.source, self.batch_size = settings, source, batch_size
        sigmas = get_layout(estimator.layout).sigmas
        if sigmas is None:
            raise ExtractionError(
                f"tracking needs a layout with sigmas, found {estimator.layout}; choose a COCO model"
            )
        self._sigmas = np.array(sigmas)

    def to(self, device: torch.device) -> None:
        """Moves both networks."""
        self.detector.to(device)
        self.estimator.to(device)

    def extract(self, video: str | Path, on_frames: Callable[[int], None] | None = None) -> Skeleton:
        """The record of one video; `on_frames` hears the size of each chunk. VideoError for a bad file."""
        settings, rows = self.settings, _Rows()
        tracker = Tracker(
            self._sigmas,
            settings.start_score,
            patience_seconds=settings.patience_seconds,
            joint_threshold=settings.confidence_threshold,
        )
        size = (0, 0)
        for chunk in _chunks(read_frames(video, settings.fps), self.batch_size):
            size = chunk[0][1].shape[:2]
            for (seconds, _), persons in zip(
                chunk, self._persons([image for _, image in chunk]), strict=True
            ):
                rows.add(seconds, persons, tracker.update(seconds, persons))
            if on_frames is not None:
                on_frames(len(chunk))
        source = {"video": Path(video).name, "sha256": sha256(video), **self.source}
        return rows.record(self.estimator.layout, size, source, settings)

    def _persons(self, images: list[np.ndarray]) -> Iterator[Persons]:
        detections = self.detector(images)
        poses = self.estimator(images, [found.boxes for found in detections])
        for found, (keypoints, confidence) in zip(detections, poses, strict=True):
            persons = Persons(found.boxes, found.scores, keypoints, confidence)
            yield without_duplicates(persons, self._sigmas, self.settings.confidence_threshold)


def build_extractor(
    models: Models, settings: Settings, device: str | torch.device = "cpu", batch_size: int = 8
) -> Extractor:
    """Loads both networks; ExtractionError or SkeletonError where a file does not fit."""
    detector = PersonDetector(
        models.detector_config, models.detector_checkpoint, device, settings.detector_score
    )
    estimator = PoseEstimator(models.estimator_config, models.estimator_checkpoint, device, batch_size)
    return Extractor(detector, estimator, settings, describe(models, settings), batch_size)


class _Rows:
    """What was found so far, frame by frame; a few hundred bytes for each person and frame."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.tracks: dict[int, list[tuple[int, Persons]]] = {}

    def add(self, seconds: float, persons: Persons, ids: np.ndarray) -> None:
        for index, identity in enumerate(ids.tolist()):
            if identity >= 0:
                self.tracks.setdefault(identity, []).append((len(self.times), persons[np.array([index])]))
        self.times.append(seconds)

    def record(self, layout: str, size: tuple[int, int], source: dict, settings: Settings) -> Skeleton:
        def joints(identity: int) -> int:
            return sum(
                int((p.confidence >= settings.confidence_threshold).sum()) for _, p in self.tracks[identity]
            )

        least = min(settings.min_rows, len(self.times))
        brief = [identity for identity, found in self.tracks.items() if len(found) < least]
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
        persons, frames, count = len(kept), len(self.times), len(get_layout(layout).joints)
        keypoints = np.zeros((persons, frames, count, 2), np.float32)
        confidence = np.zeros((persons, frames, count), np.float32)
        boxes = np.zeros((persons, frames, 4), np.float32)
        for m, identity in enumerate(kept):
            for t, person in self.tracks[identity]:
                keypoints[m, t], confidence[m, t] = person.keypoints[0], person.confidence[0]
                boxes[m, t] = person.boxes[0]
        return Skeleton(
            keypoints=keypoints,
            confidence=confidence,
            visible=confidence >= settings.confidence_threshold,
            boxes=boxes,
            timestamps=np.array(self.times, np.float64),
            track_ids=np.array(kept, np.int64),
            layout=layout,
            frame_size=(int(size[0]), int(size[1])),
            source=source,
        )

    def _dropped(self, identity: int, reason: str) -> dict:
        rows = [row for row, _ in self.tracks[identity]]
        return {
            "track_id": identity,
            "reason": reason,
            "rows": len(rows),
            "start": round(self.times[rows[0]], 3),
            "end": round(self.times[rows[-1]], 3),
        }


def _chunks(
    frames: Iterable[tuple[float, np.ndarray]], size: int
) -> Iterator[list[tuple[float, np.ndarray]]]:
    frames = iter(frames)
    while chunk := list(islice(frames, size)):
        yield chunk
