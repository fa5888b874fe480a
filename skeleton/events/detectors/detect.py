"""Puts the detectors together: a record -> the LimbEvents of everybody in it."""

from collections.abc import Mapping

import numpy as np

from skeleton.events.detectors.arms import arm
from skeleton.events.detectors.head import head
from skeleton.events.detectors.interactions import with_objects, with_persons
from skeleton.events.detectors.legs import leg
from skeleton.events.detectors.signals import Found, thresholds
from skeleton.events.detectors.trunk import bends, trunk
from skeleton.events.detectors.whole_body import whole_body
from skeleton.events.kinematics import SIDES, Kinematics, camera_shift, measure
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

VISIBLE = 0.3  # confidence from which a joint is visible, where a record does not say
SURE = 1.5  # times the confidence from which a joint is visible, that the moving joints must have in 2D
MOVING = {
    "arm": ("elbow", "wrist"), "leg": ("knee", "ankle"), "head": ("nose", "ear"), "torso": ("shoulder", "hip"),
    "whole body": ("hip", "knee", "ankle"),
}  # fmt: skip
LEAST_ROWS = 8  # of whom less is seen, nothing is told
MOST_JITTER = 0.12  # torsos; of a hundred persons of Marionette one shakes more: then nothing is told in 2D
TOGETHER = 0.6  # of the time that either takes, left and right must share to be told as both


def detect_events(
    skeleton: Skeleton, objects: Mapping[str, np.ndarray] | None = None, names: Mapping[int, str] | None = None
) -> list[LimbEvent]:
    """Events of every person, in time order.

    skeleton: 2D (pixels) or 3D (metres, y up). objects: name ("the red ball") -> positions [T, C] in the record's
    units, NaN where it is not seen; what is done with objects is told only where they are given. names: track id ->
    words for whoever is the target of a movement; "person ID" where none are given.
    """
    bodies, found, shift = {}, {}, camera_shift(skeleton)
    for row, person in enumerate(skeleton.track_ids.tolist()):
        body = measure(skeleton, row, shift)
        if body is None or len(body.times) < LEAST_ROWS or (body.planar and body.jitter > MOST_JITTER):
            continue
        start = int(np.searchsorted(skeleton.timestamps, body.times[0]))
        rows = slice(start, start + len(body.times))
        sign = (1, -1) if body.planar else (1, 1, 1)
        paths = {name: (np.asarray(path, float) - shift)[rows] * sign for name, path in (objects or {}).items()}
        bodies[person], found[person] = body, with_objects(body, movements(body), paths)
        if body.planar:
            least = SURE * float(skeleton.source.get("confidence_threshold", VISIBLE))
            found[person] = [one for one in found[person] if surely_seen(body, one, least)]
        found[person] = _joined(found[person])
    with_persons(bodies, found, {person: f"person {person}" for person in bodies} | dict(names or {}))
    events = [event(one, person, bodies[person]) for person, list_ in found.items() for one in list_]
    return sorted(events, key=lambda event: (event.start, event.person, event.limb))


def movements(body: Kinematics) -> list[Found]:
    """What every limb of one person does, left and right apart."""
    rows = len(body.times)
    whole = whole_body(body)
    beats, kept = ([one for one in whole if _beats(one, body.fps) == beat] for beat in (True, False))
    torso = _outside(trunk(body), whole, rows)
    legs = _outside([found for side in SIDES for found in leg(body, side)], whole, rows)
    bows = [found for found in torso if found.movement == "bow"]  # arms that hang meanwhile are lifted from the trunk
    arms = _outside([found for side in SIDES for found in arm(body, side)], bows, rows)
    faces = head(body, kept, torso + beats)
    if body.planar:  # a trunk that bends towards the camera takes the head along
        faces = _outside(faces, torso + beats + bends(body), rows)
    return whole + torso + legs + arms + faces


def _joined(found: list[Found]) -> list[Found]:
    """The same with both arms or legs told as one where they move alike."""
    rest = [one for one in found if not one.limb.endswith((" arm", " leg"))]
    for limb in ("arm", "leg"):
        rest += _both([one for one in found if one.limb.endswith(f" {limb}")], f"{limb}s")
    return rest


def event(found: Found, person: int, body: Kinematics) -> LimbEvent:
    """The event of a movement, rows turned into seconds."""
    entry = vocabulary().movement(found.movement)
    start, end = float(body.times[found.first]), float(body.times[found.last])
    return LimbEvent(
        person=person, limb=found.limb, movement=found.movement, direction=found.direction, target=found.target,
        count=found.count if entry.counted else 1, start=round(start, 3), end=round(max(end, start + 1 / body.fps), 3),
        size=found.size,
    )  # fmt: skip


def surely_seen(body: Kinematics, found: Found, least: float) -> bool:
    """Whether the joints that a movement is told by have a median confidence of `least` during it; of a body seen from
    a side, the better half."""
    group = found.limb.removeprefix("left ").removeprefix("right ")
    sides = [side for side in SIDES if found.limb.startswith(side)] or list(SIDES)
    names = get_layout("coco17").joints
    columns = [i for i, name in enumerate(names) if name in MOVING[group] or _of(name, sides) in MOVING[group]]
    rows = np.nan_to_num(body.confidence[found.first : found.last + 1, columns])
    values = np.sort(np.median(rows, axis=0))
    return bool(np.median(values[len(values) // 2 :] if len(sides) > 1 else values) >= least)


def _of(name: str, sides: list[str]) -> str:
    side, _, part = name.partition("_")
    return part if side in sides else ""


def _outside(found: list[Found], others: list[Found], rows: int) -> list[Found]:
    """Those movements of which at most half lies inside the others."""
    taken = np.zeros(rows, bool)
    for one in others:
        taken[one.first : one.last + 1] = True
    return [one for one in found if taken[one.first : one.last + 1].mean() <= 0.5]


def _beats(found: Found, fps: float) -> bool:
    """Whether a movement of the whole body bends the trunk for a moment."""
    short = found.last - found.first < thresholds()["body"]["kept"] * fps * found.count
    return found.movement == "jump" or (found.movement == "squat" and short)


def _both(found: list[Found], limb: str) -> list[Found]:
    """Left and right at once become both."""
    left = [one for one in found if one.limb.startswith("left")]
    result = [one for one in found if one.limb.startswith("right")]
    for one in left:
        place = next((i for i, other in enumerate(result) if _together(one, other)), None)
        if place is None:
            result.append(one)
            continue
        other = result[place]
        result[place] = one._replace(
            limb=f"both {limb}", first=min(one.first, other.first), last=max(one.last, other.last),
            direction=one.direction if one.direction == other.direction else None, count=max(one.count, other.count),
        )  # fmt: skip
    return result


def _together(one: Found, other: Found) -> bool:
    common = min(one.last, other.last) - max(one.first, other.first) + 1
    union = max(one.last, other.last) - min(one.first, other.first) + 1
    alike = (one.movement, one.target) == (other.movement, other.target)
    return alike and other.limb.startswith("right") and common > TOGETHER * union
