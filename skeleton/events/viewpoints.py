"""Sides from which a person is seen, and what each of them can tell.

A view is named by the side of the person that the camera sees: front, back, left or right.
"""

import numpy as np

from skeleton.events.limb_event import LimbEvent
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

VIEWS = ("front", "right", "back", "left")  # by quarter turns of the person towards its left


def is_observable(event: LimbEvent, view: str) -> bool:
    """Whether a view (front, back, left, right) can tell this event."""
    sideways = event.direction in ("left", "right")
    if view in ("left", "right"):
        hidden = event.movement in ("swing", "shake", "tilt") or sideways
    else:
        hidden = event.direction in ("forward", "back") and event.movement in ("lean", "step")
    if view == "back":
        outward = event.direction == "up" or event.limb == f"{event.direction} arm"
        before_the_trunk = event.movement == "raise" and event.group == "arm" and not outward
        before_the_trunk |= event.target in ("the belly", "the shoulder")
        hidden |= before_the_trunk or event.movement in ("nod", "shake", "turn", "punch")
    return not hidden


def facing(skeleton: Skeleton) -> np.ndarray:
    """[M, T] radians about y: where hips and shoulders of a record in metres with y up look. 0 is towards +z, more
    is towards +x, the left of who looks along +z."""
    at = {name: skeleton.keypoints[:, :, i].astype(float) for i, name in enumerate(get_layout(skeleton.layout).joints)}
    left = at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"]
    return np.arctan2(-left[..., 2], left[..., 0])  # forward is left x up: (-left z, 0, left x)


def view_of(yaw: np.ndarray) -> np.ndarray:
    """The view of persons that look along `yaw` radians (any shape), of a camera that looks along -z."""
    return np.array(VIEWS)[np.round(np.asarray(yaw) / (np.pi / 2)).astype(int) % 4]
