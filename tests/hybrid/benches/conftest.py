"""A file of captures, made on the spot by the built-in body."""

import numpy as np
import pytest

from hybrid.datasets.marionette.body import forward_kinematics
from hybrid.datasets.marionette.motion import animate
from tests.skeleton.events.detectors.bodies import BODY, TIMES, move

NAMES = {  # joints of the built-in body -> those of a capture
    "pelvis": "Hips", "neck": "Neck", "head": "Head", "left_shoulder": "LeftArm", "left_elbow": "LeftForeArm",
    "left_wrist": "LeftHand", "left_hip": "LeftUpLeg", "left_knee": "LeftLeg", "left_ankle": "LeftFoot",
    "left_toe": "LeftToeBase",
}  # fmt: skip
NAMES |= {name.replace("left", "right"): to.replace("Left", "Right") for name, to in NAMES.items() if "left" in name}


@pytest.fixture
def captures(tmp_path):
    clips = {
        "raise-up-left-hand": [move("left arm", "raise", direction="up")],
        "wave-both-hands": [move("both arms", "wave", count=3, end=3.4)],
        "raise-up-right-hand": [move("left arm", "raise", direction="up")],  # a name that lies
        "walk": [],
    }
    points = []
    for moves in clips.values():
        local = forward_kinematics(animate(moves, TIMES, BODY), BODY)
        points.append(np.stack([local[name] for name in NAMES], axis=1))
    file = tmp_path / "captures.npz"
    np.savez(
        file, xyz=(1000 * np.concatenate(points)).astype(np.int16), offset=np.arange(len(clips) + 1) * len(TIMES),
        name=list(clips), content=list(clips), joint_names=list(NAMES.values()), parents=np.full(len(NAMES), -1), fps=16.0,
    )  # fmt: skip
    return file
