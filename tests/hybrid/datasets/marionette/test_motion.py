"""Primitives do what their event says: where, which way, how often, and nothing outside it."""

import numpy as np
import pytest

from hybrid.datasets.marionette.body import forward_kinematics, rest_pose
from hybrid.datasets.marionette.motion import Move, animate, min_jerk
from hybrid.datasets.marionette.splits import KINDS, draw_body
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary

TIMES = np.arange(0, 6, 1 / 32)
BODY = draw_body(np.random.default_rng(3), "train")


def move(limb, movement, start=1.0, end=4.0, **fields):
    aim = fields.pop("aim", None)
    return Move(LimbEvent(person=0, limb=limb, movement=movement, start=start, end=end, **fields), aim=aim)


def joints_of(*moves):
    return forward_kinematics(animate(list(moves), TIMES, BODY), BODY)


def peaks(values):
    """Number of excursions that reach half of the largest."""
    high = np.abs(values - values[0]) > 0.5 * np.abs(values - values[0]).max()
    return int((np.diff(high.astype(int)) == 1).sum())


def test_min_jerk_is_flat_at_both_ends():
    x = np.linspace(-0.5, 1.5, 401)
    y = min_jerk(x)
    assert (y[x <= 0] == 0).all() and (y[x >= 1] == 1).all() and (np.diff(y) >= 0).all()
    assert y[np.abs(x - 0.5).argmin()] == pytest.approx(0.5)


def all_moves():
    for name, entry in vocabulary().movements.items():
        target = {None: None, "body": "the head", "object": "the red ball", "person": "the person in red"}[entry.target]
        for limb, group in vocabulary().limbs.items():
            if f"{group} {name}" in KINDS and not (limb == "both legs" and name == "raise"):
                directions = entry.directions.get(group, (None,))
                for direction in directions:
                    yield move(limb, name, target=target, direction=direction, aim=(0.2, 1.1, 0.4), count=1)


@pytest.mark.parametrize("made", list(all_moves()), ids=lambda made: made.event.phrase())
def test_only_the_limb_of_the_event_moves_and_only_then(made):
    pose = animate([made], TIMES, BODY)
    event = made.event
    outside = (event.start > TIMES) | (event.end < TIMES)
    if event.movement == "step":
        outside = event.start > TIMES  # whoever stepped stays there
    np.testing.assert_allclose(pose[outside], rest_pose(outside.sum()), atol=1e-9)
    joints = forward_kinematics(pose, BODY)
    moved = {name: np.ptp(points - joints["pelvis"], axis=0).max() > 0.02 for name, points in joints.items()}
    expected = {
        "left arm": ["left_wrist"], "right arm": ["right_wrist"], "both arms": ["left_wrist", "right_wrist"],
        "left leg": ["left_ankle"], "right leg": ["right_ankle"], "both legs": ["left_ankle", "right_ankle"],
        "head": ["nose"],
    }.get(event.limb)  # fmt: skip
    if expected:
        watched = ("left_wrist", "right_wrist", "left_ankle", "right_ankle", "nose")
        assert [name for name in watched if moved[name]] == expected


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize(
    ("limb", "movement", "joint", "axis"),
    [
        ("left leg", "kick", "left_ankle", 2), ("right leg", "swing", "right_ankle", 0),
        ("left leg", "bend", "left_ankle", 1), ("head", "nod", "nose", 1), ("torso", "bow", "nose", 2),
        ("whole body", "squat", "pelvis", 1), ("left arm", "circle", "left_wrist", 1),
    ],
)  # fmt: skip
def test_counts(limb, movement, joint, axis, count):
    assert peaks(joints_of(move(limb, movement, end=5.5, count=count))[joint][:, axis]) == count


@pytest.mark.parametrize(
    ("limb", "movement", "direction", "joint", "axis", "sign"),
    [
        ("left arm", "raise", "left", "left_wrist", 0, 1), ("left arm", "raise", "right", "left_wrist", 0, -1),
        ("right arm", "raise", "left", "right_wrist", 0, 1), ("right arm", "raise", "right", "right_wrist", 0, -1),
        ("right arm", "raise", "up", "right_wrist", 1, 1), ("left arm", "raise", "forward", "left_wrist", 2, 1),
        ("head", "turn", "left", "nose", 0, 1), ("head", "turn", "right", "nose", 0, -1),
        ("head", "turn", "up", "nose", 1, 1), ("head", "turn", "down", "nose", 1, -1),
        ("head", "tilt", "left", "crown", 0, 1), ("torso", "lean", "left", "neck", 0, 1),
        ("torso", "lean", "right", "neck", 0, -1), ("torso", "lean", "forward", "neck", 2, 1),
        ("torso", "lean", "back", "neck", 2, -1), ("whole body", "step", "left", "pelvis", 0, 1),
        ("whole body", "step", "right", "pelvis", 0, -1), ("whole body", "step", "forward", "pelvis", 2, 1),
        ("whole body", "step", "back", "pelvis", 2, -1),
    ],
)  # fmt: skip
def test_directions_are_the_persons_own(limb, movement, direction, joint, axis, sign):
    track = joints_of(move(limb, movement, direction=direction))[joint]
    assert sign * (track[len(TIMES) * 3 // 6 + 1] - track[0])[axis] > 0.03


def test_postures_are_told_apart():
    middle = len(TIMES) // 2
    held = {name: joints_of(move("whole body", name, 0.5, 5.5)) for name in ("sit", "kneel", "squat", "lie")}
    hips = {name: joints["pelvis"][middle, 1] for name, joints in held.items()}
    standing = 0.08 + BODY.thigh + BODY.shank
    assert max(hips["lie"], hips["squat"]) < 0.8 * hips["sit"] < hips["kneel"] < 0.7 * standing
    assert held["kneel"]["left_knee"][middle, 1] < 0.1 < held["sit"]["left_knee"][middle, 1]
    assert np.ptp([points[middle, 1] for points in held["lie"].values()]) < 0.6


def test_the_hand_comes_to_its_aim():
    aim = (0.3, 1.2, 0.3)
    track = joints_of(move("left arm", "reach", target="the red ball", aim=aim))["left_wrist"]
    assert np.linalg.norm(track[len(TIMES) * 5 // 12] - aim) < 0.02
