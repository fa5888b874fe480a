"""What an arm does: an excursion from hanging, told by where it goes, whether it turns round, beats or stays."""

import numpy as np
from scipy.signal import find_peaks

from skeleton.events.detectors.signals import Found, core, excursions, lift, middle, repeated, thresholds
from skeleton.events.kinematics import Kinematics


def arm(body: Kinematics, side: str) -> list[Found]:
    """Movements of one arm that the joints alone can tell."""
    limit = thresholds()["arm"]
    upper, fore = body.bones[side, "upper"], body.bones[side, "fore"]
    found = []
    way = round(limit["way"] * body.fps)
    for first, last in lifted(body, side, plainly=True):
        first, last = max(first - way, 0), min(last + way, len(upper) - 1)
        rows = slice(first, last + 1)
        kind = (
            _punch(upper[rows, 1], fore[rows, 1], body.fps)
            or _wave(upper[rows], fore[rows])
            or _touch_high(body, side, first, last)
            or _circle(body, side, rows)
            or _raise(body, side, first, last)
        )
        if kind is not None and last - first + 1 >= limit["shortest"] * body.fps:
            size = float(np.clip((np.nan_to_num(upper[rows, 1], nan=-1.0).max() + 1) / 2, 0.05, 1.0))
            found.append(Found(limb=f"{side} arm", first=first, last=last, size=size, **kind))
    for first, last in lifted(body, side):
        apart = not any(one.first <= last and first <= one.last for one in found)
        kind = _touch_low(body, side, first, last) if apart else None
        if kind is not None:
            found.append(Found(limb=f"{side} arm", first=first, last=last, size=0.5, **kind))
    circles = [one for one in found if one.movement == "circle"]  # a circling arm hangs for a moment each time round
    return [one for one in found if one not in circles] + repeated(circles, round(limit["together"] * body.fps))


def lifted(body: Kinematics, side: str, plainly: bool = False) -> list[tuple[int, int]]:
    """[first, last] rows of the stretches in which this arm does not hang, or is plainly away from hanging."""
    limit = thresholds()["arm"]
    if plainly:
        upper, fore = (body.bones[side, bone][:, 1] for bone in ("upper", "fore"))
        height = np.fmax(upper - limit["upper_plain"], fore - limit["fore_plain"])
        return excursions(height, 0.1, 0.0, round(0.12 * body.fps), max(round(0.15 * body.fps), 2))
    height = np.fmax(
        lift(body.bones[side, "upper"][:, 1], limit["upper_rest"], limit["upper_active"], -0.72),
        lift(body.bones[side, "fore"][:, 1], limit["fore_rest"], limit["fore_active"], -0.6),
    )
    return excursions(height, 1.0, 0.0, round(0.12 * body.fps), max(round(0.15 * body.fps), 2))


def _circle(body: Kinematics, side: str, rows: slice) -> dict | None:
    limit, turns = thresholds()["arm"], []
    hand = body.between(f"{side}_shoulder", f"{side}_wrist", rows=rows)
    for axis in (0, 2):
        known = np.isfinite(hand[:, axis]) & np.isfinite(hand[:, 1])
        if known.sum() > 3:
            angle = np.unwrap(np.arctan2(hand[known, axis], hand[known, 1]))
            wide = np.median(np.hypot(hand[known, axis], hand[known, 1]))
            turns.append(abs(np.degrees(angle[-1] - angle[0])) if wide > limit["circle_wide"] else 0.0)
    turn = max(turns, default=0.0)
    if turn < limit["circle_turn"]:
        return None
    return {"movement": "circle", "count": max(1, round((turn + 40) / 360))}  # the ends of a circle are cut off


def _punch(upper: np.ndarray, fore: np.ndarray, fps: float) -> dict | None:
    limit = thresholds()["arm"]
    fold = np.nan_to_num(fore - upper)
    if fold.max() < limit["punch_fold"]:
        return None
    dips, _ = find_peaks(-fold, prominence=limit["punch_dip"])
    far = max(round(limit["punch_seconds"] * fps), 1)
    folded = [(fold[max(row - far, 0) : row].max(), fold[row:].max()) for row in dips]
    dips = [
        row
        for row, (before, after) in zip(dips, folded, strict=True)
        if before > limit["punch_before"] and after > limit["punch_after"]
    ]
    guard = middle(upper[fold > 0.8 * fold.max()])
    real = [row for row in dips if upper[row] - guard > limit["punch_upper_swing"]]
    return {"movement": "punch", "count": len(real)} if real else None


def _wave(upper: np.ndarray, fore: np.ndarray) -> dict | None:
    limit = thresholds()["arm"]
    high = np.flatnonzero(fore[:, 1] > limit["wave_fore"])
    if len(high) < 4:
        return None
    rows = slice(high[0], high[-1] + 1)
    if middle(fore[rows, 1]) < limit["wave_fore_middle"]:
        return None
    level = np.stack([np.nan_to_num(fore[rows, axis]) for axis in (0, 2)])
    level = level[np.argmax(level.std(1))]
    sway = np.degrees(np.arctan2(level * (1 if level.mean() >= 0 else -1), fore[rows, 1]))
    inner = sway[2:-2] if len(sway) > 8 else sway
    tops, _ = find_peaks(sway, prominence=limit["wave_swing"])
    bottoms, _ = find_peaks(-sway, prominence=limit["wave_swing"])
    least = 1 if middle(upper[rows, 1]) < limit["wave_upper"] else 3  # an arm held overhead must go to and fro
    if not len(tops) or len(tops) + len(bottoms) < least:
        return None
    low = inner.min() + 0.3 * (sway[tops].max(initial=inner.min()) - inner.min())
    return {"movement": "wave", "count": max(1, int((sway[bottoms] <= low).sum()))}


def _touch_high(body: Kinematics, side: str, first: int, last: int) -> dict | None:
    """A hand at the head or the other shoulder."""
    limit, rows, wrist = thresholds()["arm"], core(first, last), f"{side}_wrist"
    upper, fore = (middle(body.bones[side, bone][rows, 1]) for bone in ("upper", "fore"))
    ears = np.fmin(body.far(wrist, "left_ear", rows), body.far(wrist, "right_ear", rows))
    face = middle(np.fmin(ears, body.far(wrist, "nose", rows)))
    if limit["head_fore"] < fore < limit["head_fore_most"] and face < limit["near_head"]:
        return {"movement": "touch", "target": "the head"}
    far = middle(body.far(wrist, "right_shoulder" if side == "left" else "left_shoulder", rows))
    if fore > limit["shoulder_fore"] and upper < limit["shoulder_upper"] and far < limit["near_shoulder"]:
        return {"movement": "touch", "target": "the shoulder"}
    return None


def _touch_low(body: Kinematics, side: str, first: int, last: int) -> dict | None:
    """A hand at the belly or the hip: places measured from the middle of the hips, in torsos."""
    limit, rows, sign = thresholds()["arm"], core(first, last), 1 if side == "left" else -1
    if last - first + 1 < limit["touch_seconds"] * body.fps:
        return None
    upper, fore = (middle(body.bones[side, bone][rows, 1]) for bone in ("upper", "fore"))
    left, height, forward = (middle(part) for part in body.between("hip", f"{side}_wrist", rows=rows).T)
    elbow_left, _, elbow_forward = (middle(part) for part in body.between("hip", f"{side}_elbow", rows=rows).T)
    outward, behind = sign * left, elbow_forward < -limit["elbow_back"]
    if np.isfinite(outward):
        aside = sign * elbow_left > limit["elbow_out"]
        belly = abs(outward) < limit["belly_aside"]
        hip = abs(outward - limit["hip_place"]) < limit["hip_apart"] and (aside or behind)
    else:
        belly = limit["belly_ahead"] < forward < limit["belly_far"]
        hip = abs(forward) < limit["hip_apart"] and behind
    if (
        belly
        and limit["belly_low"] < height < limit["belly_high"]
        and limit["belly_fore"] < fore < limit["belly_fore_most"]
    ):
        return {"movement": "touch", "target": "the belly"}
    if hip and limit["hip_low"] < height < limit["belly_high"] and upper < limit["hip_upper"] and fore < 0:
        return {"movement": "touch", "target": "the hip"}
    return None


def _raise(body: Kinematics, side: str, first: int, last: int) -> dict | None:
    limit, rows = thresholds()["arm"], core(first, last)
    upper, fore = (middle(body.bones[side, bone][rows, 1]) for bone in ("upper", "fore"))
    if not (upper > limit["raise_upper"] and fore > limit["raise_fore"]):
        return None
    direction: str | None = "up"
    left, height, forward = (middle(part) for part in body.between(f"{side}_shoulder", f"{side}_wrist", rows=rows).T)
    if upper < limit["raise_up"] and not (fore > limit["raise_fore_up"] and height > limit["raise_hand_up"]):
        if np.isfinite(left) and np.isfinite(forward):
            outward = left * (1 if side == "left" else -1)
            level = abs(left) > abs(forward) * (1 if outward > 0 else limit["raise_across"])
            direction = ("left" if left > 0 else "right") if level else "forward"
        elif np.isfinite(left):
            direction = ("left" if left > 0 else "right") if abs(left) > limit["raise_level"] else "forward"
        else:
            direction = "forward" if forward > limit["raise_level"] else None
    return {"movement": "raise", "direction": direction}
