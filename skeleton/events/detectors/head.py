"""What the head does against the trunk: nods and shakes beat, turns and tilts stay."""

import numpy as np
from scipy.signal import find_peaks

from skeleton.events.detectors.signals import Found, excursions, middle, quiet, repeated, thresholds
from skeleton.events.kinematics import Kinematics


def head(body: Kinematics, postures: list[Found], bends: list[Found]) -> list[Found]:
    """Movements of the head; in a posture that is kept it is measured against how it is carried there, else against
    the rest of the time; `bends` of the trunk tell nothing. Angles below the noise of the estimate do not count."""
    limit = dict(thresholds()["head"])
    angles = body.head.copy()
    still = np.ones(len(angles), bool)
    for one in [*postures, *bends]:
        still[max(one.first - 2, 0) : one.last + 3] = False
    if still.sum() >= 5:
        angles -= np.nan_to_num([middle(angles[still, axis]) for axis in range(3)])
        beats, _ = find_peaks(np.nan_to_num(-angles[:, 1]), prominence=limit["pitch"])
        if len(beats) > 2:  # whoever nods all the time is low half of the time
            known = angles[still, 1]
            angles[:, 1] -= np.percentile(known[np.isfinite(known)], 80) if np.isfinite(known).any() else 0.0
        for axis, name in enumerate(("yaw", "pitch", "roll")):
            noise = limit["noise"] * quiet(angles[:, axis], round(body.fps))
            limit[name] = float(np.clip(noise, limit[name], limit["noise_most"] * limit[name]))
    change = round(limit["change"] * body.fps)
    for posture in postures if body.planar else ():
        inner = slice(posture.first + change, max(posture.last + 1 - change, posture.first + change))
        angles[inner] -= np.nan_to_num([middle(angles[inner, axis]) for axis in range(3)])
        if posture.first > 0:
            angles[max(posture.first - change // 3, 0) : inner.start] = np.nan
        if posture.last < len(angles) - 1:
            angles[inner.stop : posture.last + change // 3 + 1] = np.nan
    yaw, pitch, roll = angles.T
    found = []
    for sign, word in ((1, "left"), (-1, "right")):
        for first, last in excursions(sign * roll, limit["roll"], limit["rest"], 2, round(limit["kept"] * body.fps)):
            found.append(Found("head", "tilt", first, last, word))
    for first, last in excursions(pitch, limit["pitch"], limit["rest"], 2, round(limit["kept"] * body.fps)):
        found.append(Found("head", "turn", first, last, "up"))
    nods = []
    for first, last in excursions(-pitch, limit["pitch"], limit["rest"], 1, round(limit["nod_least"] * body.fps)):
        half = -pitch[first : last + 1] > 0.5 * np.nan_to_num(-pitch[first : last + 1]).max()
        if half.sum() <= limit["nod"] * body.fps + 0.5:
            nods.append(Found("head", "nod", first, last))
        else:
            depth = np.nan_to_num(-pitch[first : last + 1])
            tops, _ = find_peaks(depth, prominence=max(limit["nod_return"] * depth.max(), limit["rest"]))
            if len(tops) > 1:
                nods.append(Found("head", "nod", first, last, count=len(tops)))
            else:
                found.append(Found("head", "turn", first, last, "down"))
    found += repeated(nods, round(limit["together"] * body.fps))
    sideways = _sideways(body, yaw, limit)
    shakes = [one for one in sideways if one.movement == "shake"]
    return sideways + [one for one in found if not any(one.first <= s.last and s.first <= one.last for s in shakes)]


def _sideways(body: Kinematics, yaw: np.ndarray, limit: dict[str, float]) -> list[Found]:
    """Turns to a side, and shakes: sides that alternate."""
    parts = [
        (first, last, sign)
        for sign in (1, -1)
        for first, last in excursions(sign * yaw, limit["shake"], limit["rest"], 1, 2)
    ]
    groups: list[list[tuple[int, int, int]]] = []
    for part in sorted(parts):
        near = groups and part[0] - groups[-1][-1][1] <= limit["alternate"] * body.fps
        if near and part[2] != groups[-1][-1][2]:
            groups[-1].append(part)
        else:
            groups.append([part])
    found = []
    for group in groups:
        first, last = group[0][0], group[-1][1]
        if len(group) > 1:
            found.append(Found("head", "shake", first, last, count=max(1, round(len(group) / 2))))
        elif (
            np.nan_to_num(np.abs(yaw[first : last + 1])).max() > limit["yaw"]
            and last - first + 1 >= limit["kept"] * body.fps
        ):
            found.append(Found("head", "turn", first, last, "left" if group[0][2] > 0 else "right"))
    return found
