"""Skeletons of the built-in body that does what a test says, in 3D or as a camera sees it."""

import numpy as np

from hybrid.datasets.marionette.body import forward_kinematics, rotate_y
from hybrid.datasets.marionette.camera import Camera
from hybrid.datasets.marionette.motion import Move, animate
from hybrid.datasets.marionette.noise import joint_names
from hybrid.datasets.marionette.scene import YAW
from hybrid.datasets.marionette.splits import draw_body
from skeleton.events.limb_event import LimbEvent
from skeleton.record import Skeleton

FPS, SECONDS = 16.0, 5.0
TIMES = np.arange(round(FPS * SECONDS)) / FPS
BODY = draw_body(np.random.default_rng(3), "train")


def move(limb, movement, start=1.0, end=2.4, sagittal=False, aim=None, **event):
    """A move of person 0."""
    return Move(
        LimbEvent(person=0, limb=limb, movement=movement, start=start, end=end, **event), sagittal=sagittal, aim=aim
    )


def joints(moves, view="front", place=(0.0, 0.0, 0.0)):
    """True joints [T, V, 3] in the camera's world."""
    local = forward_kinematics(animate(list(moves), TIMES, BODY), BODY)
    turn = np.full(len(TIMES), np.radians(YAW[view]))
    return np.stack([rotate_y(local[name], turn) + place for name in joint_names()], axis=1)


def camera():
    """A still camera on a level with the hips."""
    flat = np.zeros(len(TIMES))
    return Camera(256, 110.0 * 6, 6.0, 0.0, 140.0, np.stack([flat, flat], 1), flat + 1)


def solid(*persons):
    """3D record of persons, each [T, V, 3]."""
    return _record(np.stack(persons))


def planar(*persons):
    """2D record of the same, as `camera` sees them, without noise."""
    return _record(np.stack([camera().project(person)[0] for person in persons]))


def _record(keypoints):
    shape = keypoints.shape[:3]
    return Skeleton(
        keypoints=keypoints, confidence=np.full(shape, 0.9), visible=np.ones(shape, bool),
        boxes=np.zeros((*shape[:2], 4)), timestamps=TIMES, track_ids=np.arange(shape[0]), layout="coco17",
        frame_size=(256, 256), source={},
    )  # fmt: skip
