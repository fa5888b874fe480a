"""What the trunk does over the hips: bows beat or stay deep, leans are shallow and stay."""

import numpy as np

from skeleton.detection.signals import Found, excursions, repeated, thresholds
from skeleton.kinematics import Kinematics


def trunk(body: Kinematics) -> list[Found]:
    """Movements of the torso."""
    limit = thresholds()["trunk"]
    left, up, forward = body.trunk.T
    shortest = max(round(0.12 * body.fps), 2)
    ahead = np.degrees(np.arctan2(forward, up))
    aside = np.degrees(np.arctan2(left, up))
    if body.planar:
        shown = np.linalg.norm(body.joints["shoulder"] - body.joints["hip"], axis=1) / body.torso
        turned = np.where(body.lateral, np.degrees(np.arccos(np.clip(shown, -1, 1))), np.nan)
        ahead = np.where(body.lateral, turned, ahead)
    bows = [Found("torso", "bow", *part) for part in excursions(ahead, limit["bow"], 20, 1, shortest)]
    found = repeated(bows, round(limit["together"] * body.fps))
    least = round(limit["shortest"] * body.fps)
    signals = {"left": aside, "right": -aside}
    seen = ~body.lateral | (not body.planar)
    signals |= {"forward": np.where(seen, ahead, np.nan), "back": np.where(seen, -ahead, np.nan)}
    for direction, signal in signals.items():
        for first, last in excursions(signal, limit["lean"], limit["rest"], 2, least):
            if not any(bow.first <= last and first <= bow.last for bow in bows):
                found.append(Found("torso", "lean", first, last, direction))
    return found
