"""What the trunk does over the hips: bows beat or stay deep, leans are shallow and stay."""

import numpy as np

from skeleton.events.detectors.signals import Found, excursions, repeated, thresholds
from skeleton.events.kinematics import Kinematics


def trunk(body: Kinematics) -> list[Found]:
    """Movements of the torso."""
    limit = thresholds()["trunk"]
    left, up, forward = body.trunk.T
    shortest = max(round(0.12 * body.fps), 2)
    ahead = np.degrees(np.arctan2(forward, up))
    aside = np.degrees(np.arctan2(left, up))
    if body.planar:
        ahead = np.where(body.lateral, foreshortening(body), ahead)
    bows = [Found("torso", "bow", *part) for part in excursions(ahead, limit["bow"], limit["bow_rest"], 1, shortest)]
    found = repeated(bows, round(limit["together"] * body.fps))
    least = round(limit["shortest"] * body.fps)
    signals = {"left": aside, "right": -aside}
    signals |= {"forward": np.where(body.sagittal, ahead, np.nan), "back": np.where(body.sagittal, -ahead, np.nan)}
    for direction, signal in signals.items():
        for first, last in excursions(signal, limit["lean"], limit["rest"], 2, least):
            if not any(bow.first <= last and first <= bow.last for bow in bows):
                found.append(Found("torso", "lean", first, last, direction))
    return found


def foreshortening(body: Kinematics) -> np.ndarray:
    """[T]: degrees by which the trunk must point at the camera or away from it to look as short as it does."""
    shown = np.linalg.norm(body.joints["shoulder"] - body.joints["hip"], axis=1) / body.torso
    return np.degrees(np.arccos(np.clip(shown, -1, 1)))


def bends(body: Kinematics) -> list[Found]:
    """Stretches in which a trunk seen in 2D from the front or back is bent, forward or back cannot be told."""
    limit = thresholds()["trunk"]
    least = round(limit["shortest"] * body.fps)
    signal = np.where(body.lateral, foreshortening(body), np.nan)
    return [Found("torso", "lean", *part) for part in excursions(signal, limit["bend"], limit["bend_rest"], 2, least)]
