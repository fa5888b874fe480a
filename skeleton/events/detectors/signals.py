"""Pieces that every detector uses: intervals of a signal, and repetitions within one."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Found(NamedTuple):
    """A movement that a detector found, in rows [first, last]; limb as in the vocabulary."""

    limb: str
    movement: str
    first: int
    last: int
    direction: str | None = None
    count: int = 1  # type: ignore[assignment]  # a tuple has a method of that name
    target: str | None = None
    size: float = 1.0


@cache
def thresholds() -> dict[str, dict[str, float]]:
    """The numbers of thresholds.json by detector; what each means stands there."""
    data = json.loads(Path(__file__).with_name("thresholds.json").read_text(encoding="utf-8"))
    return {group: {name: value for name, (value, _) in entries.items()} for group, entries in data.items()}


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """[first, last] rows of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def excursions(signal: np.ndarray, high: float, low: float, gap: int, shortest: int) -> list[tuple[int, int]]:
    """[first, last] rows of the stretches above `low` that reach `high`, those less than `gap` rows apart joined;
    stretches of fewer than `shortest` rows are left out. NaN is below."""
    signal = np.nan_to_num(signal, nan=-np.inf)
    joined: list[tuple[int, int]] = []
    for first, last in runs(signal > low):
        if signal[first : last + 1].max() <= high:
            continue
        if joined and first - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return [(first, last) for first, last in joined if last - first + 1 >= shortest]


def lift(signal: np.ndarray, rest: float, active: float, usual: float) -> np.ndarray:
    """A height (cosine to up) scaled so that `rest` is 0 and `active` 1. A limb that seems never to hang quite down,
    because of perspective or noise, is measured from where it hangs most (its 20th percentile, up to `usual`)."""
    known = signal[np.isfinite(signal)]
    lowest = float(np.percentile(known, 20)) if len(known) else -1.0
    return (signal - max(lowest + 0.985, 0.0) * (lowest < usual) - rest) / (active - rest)


def core(first: int, last: int, share: float = 0.5) -> slice:
    """The middle `share` of the rows [first, last]: what a movement is like once it is under way."""
    edge = int((last - first + 1) * (1 - share) / 2)
    return slice(first + edge, last - edge + 1)


def middle(signal: np.ndarray) -> float:
    """Median of what is known; NaN where nothing is."""
    known = signal[np.isfinite(signal)]
    return float(np.median(known)) if len(known) else float("nan")


def quiet(signal: np.ndarray, window: int) -> float:
    """The noise of a signal: its standard deviation in the quieter windows of `window` rows (the 20th percentile)."""
    known = signal[np.isfinite(signal)]
    if len(known) < 2 * window:
        return float(known.std()) if len(known) else 0.0
    sums, squares = (np.concatenate([[0.0], np.cumsum(known**power)]) for power in (1, 2))
    mean, square = ((total[window:] - total[:-window]) / window for total in (sums, squares))
    return float(np.percentile(np.sqrt(np.maximum(square - mean**2, 0.0)), 20))


def repeated(cycles: list[Found], gap: int) -> list[Found]:
    """The same movements with those of one kind, limb and direction that follow each other within `gap` rows as one."""
    joined: list[Found] = []
    latest: dict[tuple, int] = {}
    for cycle in sorted(cycles, key=lambda found: found.first):
        kind = (cycle.limb, cycle.movement, cycle.direction)
        place = latest.get(kind)
        if place is not None and cycle.first - joined[place].last <= gap:
            last = joined[place]
            joined[place] = last._replace(
                last=cycle.last, count=last.count + cycle.count, size=max(last.size, cycle.size)
            )
        else:
            latest[kind] = len(joined)
            joined.append(cycle)
    return joined
