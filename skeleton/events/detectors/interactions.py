"""What arms do to things and to other persons: reach, hold, throw; handshakes, and waves at somebody.

An object is known only where its path is given, so without paths nothing is said of objects. An excursion of an
arm that turns out to be one of these is no longer what the joints alone would call it.
"""

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import binary_closing

from skeleton.events.detectors.arms import lifted
from skeleton.events.detectors.signals import Found, core, middle, runs, thresholds
from skeleton.events.kinematics import SIDES, Kinematics


def with_objects(body: Kinematics, found: list[Found], objects: Mapping[str, np.ndarray]) -> list[Found]:
    """The movements of one person, with reaching, holding and throwing. objects: name -> positions [T, C], rows of
    `body`, up positive, in the record's units."""
    limit = thresholds()["object"]
    for name, path in objects.items():
        for side in SIDES:
            wrist = body.joints[f"{side}_wrist"]
            apart = np.nan_to_num(np.linalg.norm(path - wrist, axis=1) / body.torso, nan=9.0)
            near = apart < limit["near"]
            for first, last in lifted(body, side):
                kind = _object_kind(body, path, near, apart, first, last)
                if kind is not None:
                    limb = f"{side} arm"
                    found = [one for one in found if not _same(one, limb, first, last)]
                    found.append(Found(limb, kind, first, last, target=name))
    return found


def _object_kind(
    body: Kinematics, path: np.ndarray, near: np.ndarray, apart: np.ndarray, first: int, last: int
) -> str | None:
    limit, rows, seconds = thresholds()["object"], core(first, last), (last - first + 1) / body.fps
    if near[first : last + 1].mean() < limit["ever_near"]:
        return None
    later = slice(last, min(last + max(round(0.2 * body.fps), 1), len(near) - 1) + 1)
    flown = np.linalg.norm(np.nan_to_num(path[later] - path[max(first - 1, 0)]), axis=1).max() / body.torso[first]
    left = near[max(first - 2, 0) : first + 3].any() and min(apart[later].max(), flown) > limit["gone"]
    if left and seconds < limit["throw"]:
        return "throw"
    if near[first : last + 1].mean() > limit["held"] and seconds > limit["hold"]:
        return "hold"
    still = np.ptp(np.nan_to_num(path[first : last + 1]), axis=0).max() / body.torso[first] < limit["still"]
    return "reach" if still and near[rows].mean() > limit["reached"] else None


def with_persons(bodies: Mapping[int, Kinematics], found: dict[int, list[Found]], names: Mapping[int, str]) -> None:
    """Adds handshakes and turns waves at somebody into greetings, in place. Keys are track ids."""
    for one in bodies:
        for other in bodies:
            if one != other:
                _handshakes(bodies, found, one, other, names)
    for person in bodies:
        for place, movement in enumerate(found[person]):
            if movement.movement == "wave":
                target = _ahead(bodies, person, core(movement.first, movement.last))
                if target is not None:
                    found[person][place] = movement._replace(movement="greet", target=names[target])


def _handshakes(
    bodies: Mapping[int, Kinematics], found: dict[int, list[Found]], one: int, other: int, names: Mapping[int, str]
) -> None:
    limit, body, partner = thresholds()["arm"], bodies[one], bodies[other]
    rows = np.searchsorted(partner.times, body.times).clip(0, len(partner.times) - 1)
    same = np.abs(partner.times[rows] - body.times) < 0.5 / body.fps
    hand, theirs = body.joints["right_wrist"], partner.joints["right_wrist"][rows]
    apart = np.linalg.norm(hand - theirs, axis=1) / body.torso
    if body.planar:  # hands that meet in the picture may be far apart in depth: look for as large, on the same ground
        larger = np.maximum(body.torso, partner.torso[rows]) / np.minimum(body.torso, partner.torso[rows])
        higher = np.abs(body.joints["hip"][:, 1] - partner.joints["hip"][rows, 1]) / body.torso
        same &= (larger < limit["same_size"]) & (higher < limit["same_ground"])
    near = same & (np.nan_to_num(apart, nan=9.0) < limit["near_hand"])
    lift = np.zeros(len(near), bool)
    for first, last in lifted(body, "right"):
        lift[first : last + 1] = True
    way = round(limit["way"] * body.fps)
    for first, last in runs(binary_closing(near & lift, np.ones(round(0.2 * body.fps) + 1))):
        if last - first + 1 >= limit["handshake"] * body.fps:
            first, last = max(first - way, 0), min(last + way, len(near) - 1)
            found[one] = [movement for movement in found[one] if not _same(movement, "right arm", first, last)]
            found[one].append(Found("right arm", "handshake", first, last, target=names[other]))


def _ahead(bodies: Mapping[int, Kinematics], person: int, rows: slice) -> int | None:
    """The nearest person straight ahead of one who waves, or None."""
    body = bodies[person]
    nearest: int | None = None
    least = np.inf
    for other, partner in bodies.items():
        if other == person:
            continue
        theirs = np.searchsorted(partner.times, body.times[rows]).clip(0, len(partner.times) - 1)
        way = (partner.joints["hip"][theirs] - body.joints["hip"][rows]) / body.torso[rows, None]
        if body.planar:
            if body.lateral[rows].mean() > 0.5:
                continue
            far, ahead = middle(np.abs(way[:, 0])), middle(way[:, 0] * body.facing[rows]) > 0
        else:
            left, _, forward = np.einsum("tij,tj->it", body.upright[rows], way)
            far, ahead = (
                middle(np.hypot(left, forward)),
                abs(middle(np.degrees(np.arctan2(left, forward)))) < thresholds()["arm"]["around"],
            )
        if ahead and far < least:
            nearest, least = other, far
    return nearest


def _same(one: Found, limb: str, first: int, last: int) -> bool:
    return one.limb == limb and one.first <= last and first <= one.last
