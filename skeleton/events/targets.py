"""What the encoder's own event prediction must say: for each person, time bin and limb, what that limb does.

Targets come from limb events (computed or synthetic), never from questions. A column each: every movement, every
direction and every body target of the vocabulary (1 where an observable event covers at least `COVER` of the bin, or
of itself where it is shorter), whether one starts or ends there, and last the repetitions done within the bin.
"""

from functools import cache

import numpy as np

from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary
from skeleton.layouts.layout import LIMBS

COVER = 0.3
_PARTS = {
    "both arms": ("left arm", "right arm"),
    "both legs": ("left leg", "right leg"),
    "whole body": ("torso", "left leg", "right leg"),
}


@cache
def columns() -> dict[str, int]:
    """Column of each movement, direction and body target; the last column, `repetitions`, is a number."""
    words = vocabulary()
    names = [*words.movements, *words.directions, *words.body_targets, "start", "end", "repetitions"]
    return {name: place for place, name in enumerate(names)}


def num_movements() -> int:
    """The movements' columns come first."""
    return len(vocabulary().movements)


def event_targets(events: list[LimbEvent], track_ids: list[int], bins: int, width: float) -> np.ndarray:
    """Targets [M, K, G, F] float32 of one clip; persons in the order of `track_ids`, bins of `width` in the unit of
    the events' times."""
    targets = np.zeros((len(track_ids), bins, len(LIMBS), len(columns())), dtype=np.float32)
    starts = np.arange(bins) * width
    for event in events:
        if event.person not in track_ids or not event.observable:
            continue
        overlap = np.clip(np.minimum(starts + width, event.end) - np.maximum(starts, event.start), 0, None)
        names = [event.movement, event.direction, event.target]
        marked = [columns()[name] for name in names if name in columns()]
        limbs = [LIMBS.index(limb) for limb in _PARTS.get(event.limb, (event.limb,))]
        for limb in limbs:
            cell = targets[track_ids.index(event.person), :, limb]
            under_way = np.flatnonzero(overlap >= COVER * min(width, event.end - event.start))
            for column in marked:
                cell[under_way, column] = 1
            cell[under_way[:1], columns()["start"]] = 1
            cell[under_way[-1:], columns()["end"]] = 1
            if vocabulary().movement(event.movement).counted:
                cell[:, -1] += event.count * overlap / (event.end - event.start)
    return targets
