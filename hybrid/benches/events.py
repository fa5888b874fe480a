"""Limb events found in Marionette's skeletons against its truth: precision, recall, counts, directions; and speed.

A found event is right when a true one has the same person, limb and movement and they overlap by an IoU of at
least 0.3, one to one. True events that the generator marks as not observable count neither way, nor does what is
found of the same limb group during them. Scenes are made in memory, without pictures.
"""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from hybrid.config.datasets import PrepareConfig
from hybrid.config.loading import field
from hybrid.datasets.marionette.dataset import clip_generator, make_scene, skeletons, subjects_of
from hybrid.datasets.marionette.scene import Scene
from hybrid.datasets.marionette.splits import SPLITS
from hybrid.errors import ConfigError
from hybrid.scoring.answers import temporal_iou
from hybrid.scoring.report import wilson
from skeleton.events.detectors import detect_events
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary
from skeleton.language.event_captions import narrate
from skeleton.language.event_questions import Subject
from skeleton.record import Skeleton

LEAST_IOU = 0.3
OBJECT_JITTER = 0.006  # of a body height: a detector's noise on the middle of an object
HOUR = 3600 * 30  # rows


@dataclass
class EventsBench:
    """Keys of `tools/bench.py events`."""

    output: str = field("JSON file of the figures")
    clips: int = field("clips to make", 400)
    split: str = field("split whose bodies, cameras and compositions are drawn: train, val or test", "test")
    seed: int = field("seed of the clips", 12)

    def check(self) -> None:
        if self.clips < 1:
            raise ConfigError(f"expected at least 1 clip, found {self.clips}: give a larger number")
        if self.split not in SPLITS:
            raise ConfigError(f"expected split of {SPLITS}, found {self.split!r}: use one of these")


def measure(config: EventsBench) -> dict[str, Any]:
    """Figures in 3D and in 2D with the estimator's noise, and the seconds for an hour of one person."""
    prepare = PrepareConfig(output="", seed=config.seed)
    tallies = {"3d": Tally(), "2d": Tally()}
    for number in tqdm(range(config.clips), unit="clip"):
        scene = make_scene(prepare, config.split, number)
        noisy, true = skeletons(scene, clip_generator(config.seed, config.split, number, "noise"), str(number))
        rng = clip_generator(config.seed, config.split, number, "objects")
        names = {subject.person: subject.name for subject in subjects_of(scene)}
        truth = [cut(event, scene.duration) for event in scene.events]
        for kind, record in (("3d", true), ("2d", noisy)):
            tallies[kind].add(truth, detect_events(record, object_paths(scene, kind == "3d", rng), names))
    figures = {f"{name}_{kind}": value for kind, tally in tallies.items() for name, value in tally.figures().items()}
    return {**figures, "seconds_for_an_hour": hour(prepare)}


def cut(event: LimbEvent, duration: float) -> LimbEvent:
    """The event as far as it lies inside the clip."""
    return replace(event, start=max(event.start, 0.0), end=min(event.end, duration))


def object_paths(scene: Scene, solid: bool, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Where the objects are: true positions, or pixels with a detector's jitter."""
    if solid:
        return {thing.name: thing.path for thing in scene.things}
    spread = OBJECT_JITTER * 1.7 * scene.camera.focal / scene.camera.distance
    pixels = {thing.name: scene.camera.project(thing.path)[0] for thing in scene.things}
    return {name: path + rng.normal(0, spread, path.shape) for name, path in pixels.items()}


class Tally:
    """Counts of found, missed and invented events by kind ("arm wave"), and what of the found ones is right."""

    def __init__(self) -> None:
        self.found, self.missed, self.invented = Counter(), Counter(), Counter()
        self.right: dict[str, list[bool]] = defaultdict(list)

    def add(self, truth: list[LimbEvent], found: list[LimbEvent]) -> None:
        """One clip."""
        pairs = matched(truth, found)
        for i, event in enumerate(truth):
            if event.observable and i not in pairs:
                self.missed[_kind(event)] += 1
            elif event.observable:
                self._compare(event, found[pairs[i]])
        used = set(pairs.values())
        unseen = [event for event in truth if not event.observable]
        for j, event in enumerate(found):
            if j not in used and not any(_during(event, other) for other in unseen):
                self.invented[_kind(event)] += 1

    def _compare(self, event: LimbEvent, found: LimbEvent) -> None:
        entry = vocabulary().movement(event.movement)
        self.found[_kind(event)] += 1
        if entry.counted and entry.target is None and not (entry.posture and event.end - event.start > 1.5):
            self.right["count"].append(event.count == found.count)
        if event.direction is not None:
            self.right["direction"].append(event.direction == found.direction)
        if event.target is not None:
            self.right["target"].append(event.target == found.target)

    def figures(self) -> dict[str, Any]:
        """Precision and recall with their 95 % intervals, shares of right counts, directions and targets."""
        found, missed, invented = (sum(counter.values()) for counter in (self.found, self.missed, self.invented))
        kinds = sorted({*self.found, *self.missed, *self.invented})
        return {
            "events": found + missed,
            "precision": found / max(found + invented, 1),
            "precision_ci95": wilson(found, found + invented),
            "recall": found / max(found + missed, 1),
            "recall_ci95": wilson(found, found + missed),
            **{f"{name}_right": float(np.mean(values)) for name, values in sorted(self.right.items())},
            "kinds": {kind: [self.found[kind], self.missed[kind], self.invented[kind]] for kind in kinds},
        }


def matched(truth: list[LimbEvent], found: list[LimbEvent]) -> dict[int, int]:
    """Pairs of the same person, limb and movement, the largest overlap first."""
    pairs = sorted(
        (
            (temporal_iou((one.start, one.end), (other.start, other.end)), i, j)
            for i, one in enumerate(truth)
            for j, other in enumerate(found)
            if (one.person, one.limb, one.movement) == (other.person, other.limb, other.movement)
        ),
        reverse=True,
    )
    result: dict[int, int] = {}
    for iou, i, j in pairs:
        if iou >= LEAST_IOU and i not in result and j not in result.values():
            result[i] = j
    return result


def hour(config: PrepareConfig) -> float:
    """Seconds for the events and the narration of an hour of one person at 30 rows a second: clips end to end."""
    rows: list[Skeleton] = []
    number = total = 0
    while total < HOUR:
        scene = make_scene(replace(config, fps=30.0), "train", number)
        if len(scene.persons) == 1:
            rows.append(skeletons(scene, clip_generator(config.seed, "train", number, "noise"), str(number))[0])
            total += rows[-1].num_frames
        number += 1
    record = replace(
        rows[0], timestamps=np.arange(total) / 30.0, track_ids=np.zeros(1, np.int64),
        **{name: np.concatenate([getattr(part, name) for part in rows], axis=1)
           for name in ("keypoints", "confidence", "visible", "boxes")},
    )  # fmt: skip
    started = time.perf_counter()
    events = detect_events(record)
    narrate(events, [Subject(0, "the person")])
    return (time.perf_counter() - started) * HOUR / total


def _kind(event: LimbEvent) -> str:
    return f"{event.group} {event.movement}"


def _during(one: LimbEvent, other: LimbEvent) -> bool:
    """Whether two events of one limb group of a person overlap."""
    alike = (one.person, one.group) == (other.person, other.group)
    return alike and temporal_iou((one.start, one.end), (other.start, other.end)) >= LEAST_IOU
