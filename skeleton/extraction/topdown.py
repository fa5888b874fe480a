"""Persons of a stream of frames, top-down: boxes from a detector, joints from an estimator in each box.

The detector sees every `every`-th frame. Between two of those a box moves in a straight line from where its person was
found to where they are found again; where somebody is lost or moves fast, the frame in the middle is detected too, and
so on, until all agree: a file, unlike a camera, can be read ahead.

Joints are estimated `rate` times a second at least, which is in every frame of most videos. In the frames between, the
joints of whoever is alike on both sides are on a straight way too, and those of everybody else are estimated.

Detectors flicker and persons do not. Whoever is not found where they just were is looked for there by the estimator
for a moment longer, and counts as there while the joints are. Boxes that can neither begin nor continue a person
are left out before joints are estimated, which is what takes the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np

from skeleton.extraction.persons import Detections, Persons, joined, oks, oks_sigmas, suppress
from skeleton.extraction.places import DUPLICATE, Boxes, Memory, agree, between, matched, pairs
from skeleton.extraction.streaming import Frame, Stages, blocks

CARRIED_JOINTS = 0.4  # share of the joints that must be sure for somebody who was not found to count as there
ALIKE = 0.5  # OKS from which joints are interpolated between two estimates


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


@dataclass
class TopDown:
    """A detector and an estimator.

    every: frames from one detection to the next; 1 also estimates joints in every frame. rate: estimates a second at
    least, None for every frame. window: frames held at a time. A box below `start_score` counts where a person was in
    the last `patience_seconds`. threshold: confidence of a sure joint.
    """

    detector: Detector
    estimator: Estimator
    every: int = 1
    rate: float | None = None
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
        places: dict[int, Boxes] = {}
        known: dict[int, Persons] = {}
        held: list[Frame] = []
        previous: Frame | None = None
        memory = Memory(self.start_score, self.patience_seconds)
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
            boxes = {frame.number: _between(frame.number, places) for frame in ready}
            due = self._due(ready, previous)
            known.update(self._estimate(due, boxes))
            known.update(self._fill([frame for frame in ready if frame.number not in known], boxes, known))
            yield from ((frame, known[frame.number]) for frame in ready)
            found, places, known = {done: found[done]}, {done: places[done]}, {done: known[done]}
            previous = ready[-1]

    def _due(self, frames: list[Frame], last: Frame | None) -> list[Frame]:
        """The frames in which joints are estimated: the last, and each after which the next would be too late."""
        if self.rate is None or self.every == 1:
            return frames
        due = []
        for frame, following in pairwise(frames):
            if last is None or following.seconds - last.seconds > 1.001 / self.rate:
                due.append(frame)
                last = frame
        return [*due, frames[-1]]

    def _estimate(self, frames: list[Frame], places: dict[int, Boxes]) -> dict[int, Persons]:
        """The persons in some frames, at their places."""
        if not frames:
            return {}
        boxes = [places[frame.number].boxes for frame in frames]
        with self.stages.timed("estimate", sum(map(len, boxes))):
            poses = self.estimator([frame.image for frame in frames], boxes)
        result = {}
        for frame, (keypoints, confidence) in zip(frames, poses, strict=True):
            one = places[frame.number]
            there = ~one.carried | ((confidence >= self.threshold).mean(1) >= CARRIED_JOINTS)
            result[frame.number] = Persons(one.boxes, one.scores, keypoints, confidence)[there]
        return result

    def _fill(self, frames: list[Frame], places: dict[int, Boxes], known: dict[int, Persons]) -> dict[int, Persons]:
        """The persons in frames between those of `known`: on their way where they are alike on both sides, else estimated."""
        sigmas, numbers = oks_sigmas(self.layout), sorted(known)
        certain: dict[int, Persons] = {}
        rest: dict[int, Boxes] = {}
        for frame in frames:
            begin, end, share = _sides(frame.number, numbers)
            first, second = known[begin], known[end]
            rows, columns = pairs(oks(first, second, sigmas, self.threshold), ALIKE)
            moving, place = first[rows].towards(second[columns], share), places[frame.number]
            here, there = matched(place.boxes, moving.boxes, DUPLICATE)
            certain[frame.number] = moving[there]
            rest[frame.number] = place[np.setdiff1d(np.arange(len(place.boxes)), here)]
        estimated = self._estimate(frames, rest)
        return {number: joined(certain[number], persons) for number, persons in estimated.items()}

    def _detect(self, frames: Sequence[Frame], found: dict[int, Detections]) -> None:
        with self.stages.timed("detect", len(frames)):
            for frame, one in zip(frames, self.detector([frame.image for frame in frames]), strict=True):
                keep = suppress(one.boxes, one.scores, DUPLICATE)
                found[frame.number] = Detections(one.boxes[keep], one.scores[keep])

    def _refine(self, held: Sequence[Frame], found: dict[int, Detections]) -> None:
        """Detects between detections that do not agree, all intervals at once, until they do."""
        by_number = {frame.number: frame for frame in held}
        open_ends = list(pairwise(sorted(found)))
        while open_ends:
            middles = [
                (begin + end) // 2
                for begin, end in open_ends
                if end - begin > 1 and not agree(found[begin], found[end])
            ]
            self._detect([by_number[number] for number in middles], found)
            open_ends = [pair for pair in pairwise(sorted(found)) if set(pair) & set(middles)]


def _sides(number: int, known: list[int]) -> tuple[int, int, float]:
    """The numbers next to `number` on both sides among sorted `known`, and how far it is from the first to the second."""
    index = int(np.searchsorted(known, number))
    begin, end = known[index - 1], known[index]
    return begin, end, (number - begin) / (end - begin)


def _between(number: int, places: dict[int, Boxes]) -> Boxes:
    """Where persons are in a frame: as found there, or on the way between the detections on both sides."""
    if number in places:
        return places[number]
    begin, end, share = _sides(number, sorted(places))
    return between(places[begin], places[end], share)
