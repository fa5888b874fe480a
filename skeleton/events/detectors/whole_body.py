"""What the whole body does: postures, squats, jumps, steps, walks, runs, turns."""

import numpy as np
from scipy.ndimage import gaussian_filter1d, grey_opening

from skeleton.events.denoising import between_sides
from skeleton.events.detectors.signals import Found, core, excursions, middle, repeated, thresholds
from skeleton.events.kinematics import SIDES, Kinematics


def whole_body(body: Kinematics) -> list[Found]:
    """Movements of the whole body."""
    low = _postures(body)
    hops = _jumps(body, low)
    return low + hops + _paths(body, low + hops) + _turns(body)


def _postures(body: Kinematics) -> list[Found]:
    limit = thresholds()["body"]
    height = body.height()
    thigh = between_sides(*(body.bones[side, "thigh"][:, 1:2] for side in SIDES))[:, 0]
    found = []
    for first, last in excursions(
        1 - height, 1 - limit["low"], 1 - limit["low_rest"], 2, max(round(0.15 * body.fps), 2)
    ):
        rows = slice(first, last + 1)
        inner = core(first, last)
        if middle(body.trunk[inner, 1]) < limit["lie_trunk"]:
            kind = "lie"
        elif last - first + 1 < limit["kept"] * body.fps:
            if np.nan_to_num(height[rows], nan=1.0).min() > limit["squat_deep"]:
                continue
            found.append(Found("whole body", "squat", first, last))
            continue
        elif middle(thigh[inner]) < limit["kneel_thigh"]:
            kind = "kneel"
        else:
            # A camera that looks down a little sees knees that point at it lower than they are
            tilt = limit["tilt"] * middle(body.across[inner]) if body.planar else 0.0
            kind = "squat" if middle(thigh[inner]) > limit["squat_thigh"] - tilt else "sit"
        found.append(Found("whole body", kind, first, last))
    short = [f for f in found if f.movement == "squat" and f.last - f.first + 1 < limit["kept"] * body.fps]
    return [f for f in found if f not in short] + repeated(short, round(limit["together"] * body.fps))


def _jumps(body: Kinematics, low: list[Found]) -> list[Found]:
    limit = thresholds()["body"]
    feet = [body.joints[f"{side}_ankle"][:, 1] / body.torso for side in SIDES]
    lower = np.fmin(*feet)
    if np.isnan(lower).all():
        return []
    lower = np.interp(np.arange(len(lower)), np.flatnonzero(np.isfinite(lower)), lower[np.isfinite(lower)])
    window = 2 * round(limit["hop_window"] * body.fps / 2) + 1
    risen = lower - grey_opening(lower, window)
    apart = np.linalg.norm(body.joints["left_ankle"] - body.joints["right_ankle"], axis=1) / body.torso
    found = []
    for first, last in excursions(risen, limit["hop"], limit["hop_rest"], 1, 2):
        air = last - first + 1
        if any(f.first <= last and first <= f.last and f.movement != "squat" for f in low):
            continue
        trunk = (body.joints["hip"][:, 1] + body.joints["shoulder"][:, 1]) / 2 / body.torso
        ground = min(trunk[max(first - 1, 0)], trunk[min(last + 1, len(trunk) - 1)])
        if not trunk[first : last + 1].max() - ground > limit["hop_trunk"]:
            continue
        if middle(apart[first : last + 1]) > limit["hop_feet"]:
            continue
        start = max(first - round(limit["hop_crouch"] * air), 0)
        end = min(last + round(limit["hop_landing"] * air), len(lower) - 1)
        found.append(Found("whole body", "jump", start, end))
    return repeated(found, round(limit["together"] * body.fps))


def _paths(body: Kinematics, others: list[Found]) -> list[Found]:
    """Steps, walks and runs: stretches in which the hips travel."""
    limit = thresholds()["body"]
    found = []
    travel = np.gradient(np.nan_to_num(body.root[:, [0, 2]]), axis=0) * body.fps
    travel = gaussian_filter1d(travel, 0.12 * body.fps, axis=0, mode="nearest")
    speed = np.linalg.norm(travel, axis=1)
    feet = body.joints["left_ankle"] - body.joints["right_ankle"]
    for first, last in excursions(
        speed, 1.5 * limit["moving"], limit["moving"], round(0.3 * body.fps), round(0.3 * body.fps)
    ):
        rows = slice(first, last + 1)
        moved = travel[rows].sum(0) / body.fps
        far = float(np.linalg.norm(moved))
        apart = np.ptp(np.nan_to_num(feet[rows]), axis=0).max() / body.torso[first]
        if far < limit["step"] or apart < limit["feet"]:
            continue
        if any(min(f.last, last) - max(f.first, first) > 0.5 * (last - first) for f in others):
            continue
        axis = int(np.argmax(np.abs(moved)))
        direction = (("right", "left"), ("back", "forward"))[axis][int(moved[axis] > 0)]
        seconds = (last - first + 1) / body.fps
        kind = "step" if far < limit["walk"] else "run" if far / seconds > limit["run"] else "walk"
        found.append(Found("whole body", kind, first, last, direction))
    return found


def _turns(body: Kinematics) -> list[Found]:
    """Turns of the whole body, by its heading; of 2D they are not told."""
    limit = thresholds()["body"]
    if body.planar:
        return []
    left = body.upright[:, 0]
    angle = np.degrees(np.unwrap(np.arctan2(-left[:, 2], left[:, 0])))
    rate = gaussian_filter1d(np.gradient(angle), 0.15 * body.fps, mode="nearest") * body.fps
    found = []
    for sign, word in ((1, "left"), (-1, "right")):
        for first, last in excursions(
            sign * rate, limit["pivot_rate"], limit["pivot_rest"], round(0.2 * body.fps), round(0.3 * body.fps)
        ):
            if abs(angle[last] - angle[first]) > limit["pivot"]:
                found.append(Found("whole body", "pivot", first, last, word))
    return found
