"""Persons of a stream of frames, top-down: boxes from a detector, joints from an estimator in each box.

The detector sees every `every`-th frame. Between two of those a box moves in a straight line from where its person was
found to where they are found again; where somebody is lost or moves fast, the frame in the middle is detected too, and
so on, until all agree: a file, unlike a camera, can be read ahead. Joints are estimated in every frame.

Detectors flicker and persons do not. Whoever is not found where they just were is looked for there by the estimator
for a moment longer, and counts as there while the joints are. Boxes that can neither begin nor continue a person
are left out before joints are estimated, which is what takes the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from skeleton.extraction.persons import Detections, Persons, box_iou, suppress
from skeleton.extraction.streaming import Frame, Stages, blocks

DUPLICATE = 0.5  # IoU above which the worse of two boxes is taken for the same person
FOLLOWED = 0.3  # IoU from which two boxes, at different times, may be one person
STEADY = 0.85  # IoU from which a box need not be looked for between two detections
CARRIED_SECONDS = 0.35  # how long somebody who is not found is looked for at the old place
CARRIED_JOINTS = 0.4  # share of the joints that must be sure for them to count as there


class PersonSource(Protocol):
    """Where persons come from: networks over frames, or a file that somebody else's networks wrote."""

    layout: str

    def persons(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Persons]]:
        """The persons in each frame, in order, as the frames come."""


class Detector(Protocol):
    """Finds persons."""

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """RGB images uint8 [H, W, 3] of one size -> the persons in each, best first."""


class Estimator(Protocol):
    """Finds the joints of `layout` in boxes."""

    layout: str

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """RGB images uint8 [H, W, 3], boxes [N, 4] in each -> keypoints [N, V, 2] px, confidence [N, V]."""


@dataclass(frozen=True)
class _Boxes:
    """Where joints are to be estimated: boxes [N, 4], scores [N], carried [N] bool: nobody was found there just now."""

    boxes: np.ndarray
    scores: np.ndarray
    carried: np.ndarray


@dataclass
class TopDown:
    """A detector and an estimator.

    every: frames from one detection to the next; window: frames held at a time. A box below `start_score` counts where
    a person was in the last `patience_seconds`. threshold: confidence of a sure joint.
    """

    detector: Detector
    estimator: Estimator
    every: int = 1
    start_score: float = 0.4
    patience_seconds: float = 2.0
    threshold: float = 0.3
    window: int = 16
    stages: Stages = field(default_factory=Stages)

    @property
    def layout(self) -> str:
        """The joint layout of the estimator."""
        return self.estimator.layout

    def persons(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Persons]]:
        """Yields each frame with its persons, at most `window + every` frames after it came."""
        found: dict[int, Detections] = {}
        places: dict[int, _Boxes] = {}
        held: list[Frame] = []
        memory = _Memory(self.start_score, self.patience_seconds)
        for block, last in blocks(frames, self.window):
            held += block
            keys = [frame for frame in block if frame.number % self.every == 0]
            if last and block[-1].number % self.every:
                keys.append(block[-1])
            if not keys:
                continue
            self._detect(keys, found)
            self._refine(held, found)
            done = keys[-1].number
            ready = [frame for frame in held if frame.number <= done]
            held = [frame for frame in held if frame.number > done]
            for frame in ready:
                if frame.number in found:
                    places[frame.number] = memory.places(frame.seconds, found[frame.number])
            yield from self._estimate(ready, [_between(frame.number, places) for frame in ready])
            found, places = {done: found[done]}, {done: places[done]}

    def _estimate(self, frames: list[Frame], places: list[_Boxes]) -> Iterator[tuple[Frame, Persons]]:
        with self.stages.timed("estimate", sum(len(one.boxes) for one in places)):
            poses = self.estimator([frame.image for frame in frames], [one.boxes for one in places])
        for frame, one, (keypoints, confidence) in zip(frames, places, poses, strict=True):
            there = ~one.carried | ((confidence >= self.threshold).mean(1) >= CARRIED_JOINTS)
            yield frame, Persons(one.boxes, one.scores, keypoints, confidence)[there]

    def _detect(self, frames: Sequence[Frame], found: dict[int, Detections]) -> None:
        with self.stages.timed("detect", len(frames)):
            for frame, one in zip(frames, self.detector([frame.image for frame in frames]), strict=True):
                keep = suppress(one.boxes, one.scores, DUPLICATE)
                found[frame.number] = Detections(one.boxes[keep], one.scores[keep])

    def _refine(self, held: list[Frame], found: dict[int, Detections]) -> None:
        """Detects between detections that do not agree, all intervals at once, until they do."""
        by_number = {frame.number: frame for frame in held}
        open_ends = _neighbours(found)
        while open_ends:
            middles = [
                (begin + end) // 2
                for begin, end in open_ends
                if end - begin > 1 and not agree(found[begin], found[end])
            ]
            self._detect([by_number[number] for number in middles], found)
            open_ends = [pair for pair in _neighbours(found) if set(pair) & set(middles)]


class _Memory:
    """Who was where at the last detections."""

    def __init__(self, start_score: float, patience_seconds: float):
        self._start_score, self._patience = start_score, patience_seconds
        self._boxes, self._scores, self._seen = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0)

    def places(self, seconds: float, found: Detections) -> _Boxes:
        """The boxes found that are worth the estimator's time, and those of persons who were there a moment ago."""
        recent = seconds - self._seen <= self._patience
        boxes, scores, seen = self._boxes[recent], self._scores[recent], self._seen[recent]
        follows = box_iou(found.boxes, boxes) >= FOLLOWED
        keep = (found.scores >= self._start_score) | follows.any(1)
        lost = ~follows[keep].any(0)
        carried = lost & (seconds - seen <= CARRIED_SECONDS)
        # Somebody looked for may continue a person, but not begin one.
        unsure = np.minimum(scores, 0.99 * self._start_score)
        self._boxes = np.concatenate([found.boxes[keep], boxes[lost]])
        self._scores = np.concatenate([found.scores[keep], unsure[lost]])
        self._seen = np.concatenate([np.full(keep.sum(), seconds), seen[lost]])
        return _Boxes(
            np.concatenate([found.boxes[keep], boxes[carried]]),
            np.concatenate([found.scores[keep], unsure[carried]]),
            np.repeat([False, True], [keep.sum(), carried.sum()]),
        )


def _neighbours(found: dict[int, Detections]) -> list[tuple[int, int]]:
    return list(pairwise(sorted(found)))


def matched(first: np.ndarray, second: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of boxes [N, 4] and [M, 4] that may be one person: the best pairs of an IoU of at least `least`."""
    overlap = box_iou(first, second)
    rows, columns = linear_sum_assignment(np.where(overlap >= least, overlap, 0), maximize=True)
    good = overlap[rows, columns] >= least
    return rows[good], columns[good]


def agree(first: Detections, second: Detections) -> bool:
    """Whether every person of either frame is found again, nearly unmoved, in the other."""
    rows, _ = matched(first.boxes, second.boxes, STEADY)
    return len(rows) == len(first.boxes) == len(second.boxes)


def _between(number: int, places: dict[int, _Boxes]) -> _Boxes:
    """Where persons are in a frame: as found there, or on the way between the detections on both sides."""
    if number in places:
        return places[number]
    numbers = sorted(places)
    index = int(np.searchsorted(numbers, number))
    begin, end = numbers[index - 1], numbers[index]
    share = (number - begin) / (end - begin)
    first, second = places[begin], places[end]
    rows, columns = matched(first.boxes, second.boxes, FOLLOWED)
    # Who is on one side only stands there all the way, and is looked for as those who are not found.
    alone = [
        np.setdiff1d(np.flatnonzero(~side.carried), used) for side, used in ((first, rows), (second, columns))
    ]
    boxes = np.concatenate(
        [(1 - share) * first.boxes[rows] + share * second.boxes[columns], first.boxes[alone[0]], second.boxes[alone[1]]]
    )
    scores = np.concatenate(
        [(1 - share) * first.scores[rows] + share * second.scores[columns], first.scores[alone[0]], second.scores[alone[1]]]
    )
    carried = np.ones(len(boxes), bool)
    carried[: len(rows)] = first.carried[rows] & second.carried[columns]
    keep = suppress(boxes, scores, DUPLICATE)
    return _Boxes(boxes[keep].astype(np.float32), scores[keep].astype(np.float32), carried[keep])
