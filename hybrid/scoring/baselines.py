"""What guessing is worth: chance and the best constant answer of the training split, sample by sample.

The rules are in the table of `hybrid.scoring.report`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from hybrid.data.sample import Sample
from hybrid.scoring.answers import normalize, temporal_iou

RIGHT_IOU = 0.5  # an interval is right from here on
_GRID = 48  # candidates for the start, and for the end, of the best constant interval
_KEPT = 4096  # training intervals that are looked at, evenly spaced

Baseline = tuple[float | None, float | None]  # chance, majority


def baselines(samples: Sequence[Sample], train_samples: Sequence[Sample]) -> dict[str, Baseline]:
    """(chance, majority) of each sample's id: the expected accuracy of guessing on it, None where unknown."""
    train = defaultdict(list)
    for sample in train_samples:
        train[sample.task, sample.kind].append(sample)
    groups = defaultdict(list)
    for sample in samples:
        groups[sample.task, sample.kind].append(sample)
    result = {}
    for key, group in groups.items():
        rule = {"choice": _choice, "interval": _interval}.get(key[1], _constant)
        result.update(zip((sample.id for sample in group), rule(group, train[key]), strict=True))
    return result


def best_interval(intervals: np.ndarray) -> np.ndarray:
    """The [start, end] that is right for most of `intervals` [n, 2], from a grid of their quantiles."""
    steps = np.linspace(0.0, 1.0, _GRID)
    starts = np.unique(np.quantile(intervals[:, 0], steps, method="nearest"))
    ends = np.unique(np.quantile(intervals[:, 1], steps, method="nearest"))
    candidates = np.stack(np.meshgrid(starts, ends, indexing="ij"), axis=-1).reshape(-1, 2)
    candidates = candidates[candidates[:, 0] < candidates[:, 1]]
    hits = [np.mean(temporal_iou(candidate, intervals) >= RIGHT_IOU) for candidate in candidates]
    return candidates[int(np.argmax(hits))]


def _choice(group: list[Sample], train: list[Sample]) -> list[Baseline]:
    favourite = _most_common(normalize(sample.answer_text) for sample in train)
    result = []
    for sample in group:
        chance = 1 / len(sample.options)
        listed = favourite in [normalize(option) for option in sample.options]
        majority = float(normalize(sample.answer_text) == favourite) if listed else chance
        result.append((chance, None if favourite is None else majority))
    return result


def _constant(group: list[Sample], train: list[Sample]) -> list[Baseline]:
    """Counts and texts."""
    answers = [_key(sample) for sample in train]
    favourite = _most_common(answers)
    if favourite is None:
        return [(None, None)] * len(group)
    return [(1 / len(set(answers)), float(_key(sample) == favourite)) for sample in group]


def _interval(group: list[Sample], train: list[Sample]) -> list[Baseline]:
    if not train:
        return [(None, None)] * len(group)
    seen = np.array([sample.answer for sample in train])
    seen = seen[np.linspace(0, len(seen) - 1, min(len(seen), _KEPT)).round().astype(int)]
    constant = best_interval(seen)
    return [
        (float(np.mean(temporal_iou(seen, sample.answer) >= RIGHT_IOU)), float(_near(constant, sample)))
        for sample in group
    ]


def _near(interval: np.ndarray, sample: Sample) -> bool:
    return bool(temporal_iou(interval, sample.answer) >= RIGHT_IOU)


def _key(sample: Sample) -> int | str:
    return int(sample.answer) if sample.kind == "count" else normalize(sample.answer)


def _most_common(answers) -> int | str | None:
    """The most frequent answer; among equals the smallest, so that the order of the file does not matter."""
    counts = Counter(answers)
    return min(counts, key=lambda answer: (-counts[answer], answer)) if counts else None
