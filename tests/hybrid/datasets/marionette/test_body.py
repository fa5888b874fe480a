"""The kinematic body: bone lengths, joint limits, sides, inverse kinematics."""

import numpy as np
import pytest

from hybrid.datasets.marionette.body import (
    CHANNEL,
    HIGHEST,
    LOWEST,
    arm_angles,
    draw_idle,
    draw_stance,
    forward_kinematics,
    rest_pose,
)
from hybrid.datasets.marionette.splits import draw_body


@pytest.fixture
def body():
    return draw_body(np.random.default_rng(0), "train")


def test_bone_lengths_never_change(body):
    pose = np.random.default_rng(1).uniform(LOWEST, HIGHEST, (50, len(LOWEST)))
    joints = forward_kinematics(pose, body)
    for start, end, length in (
        ("left_shoulder", "left_elbow", body.upper_arm), ("right_elbow", "right_wrist", body.forearm),
        ("left_hip", "left_knee", body.thigh), ("right_knee", "right_ankle", body.shank),
        ("pelvis", "neck", body.trunk),
    ):  # fmt: skip
        found = np.linalg.norm(joints[start] - joints[end], axis=1)
        np.testing.assert_allclose(found, length, rtol=1e-6)


def test_rest_stands_on_the_floor_with_left_at_positive_x(body):
    joints = forward_kinematics(rest_pose(1), body)
    assert joints["left_ankle"][0, 1] == pytest.approx(0.08, abs=0.01)
    assert joints["crown"][0, 1] == pytest.approx(body.height, abs=0.02)
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear"):
        assert joints[f"left_{part}"][0, 0] > 0 > joints[f"right_{part}"][0, 0]
    assert joints["nose"][0, 2] > joints["left_ear"][0, 2]


@pytest.mark.parametrize(
    ("channel", "degrees", "joint", "axis", "sign"),
    [
        ("bend", 40, "nose", 2, 1), ("lean", 30, "nose", 0, 1), ("head_yaw", 60, "nose", 0, 1),
        ("head_pitch", 30, "nose", 1, -1), ("head_tilt", 30, "crown", 0, 1), ("left_hip", 60, "left_knee", 2, 1),
        ("right_open", 40, "right_ankle", 0, -1), ("left_knee", 90, "left_ankle", 2, -1),
        ("left_lift", 90, "left_elbow", 1, 1), ("twist", 40, "left_shoulder", 2, -1),
    ],
)  # fmt: skip
def test_each_angle_turns_its_way(body, channel, degrees, joint, axis, sign):
    pose = rest_pose(2)
    pose[1, CHANNEL[channel]] = degrees
    joints = forward_kinematics(pose, body)
    moved = joints[joint] - joints["pelvis"]
    assert sign * (moved[1, axis] - moved[0, axis]) > 0.03


def test_limits_hold(body):
    pose = rest_pose(2)
    pose[:, CHANNEL["left_knee"]] = (150, 400)
    joints = forward_kinematics(pose, body)
    np.testing.assert_allclose(joints["left_ankle"][0], joints["left_ankle"][1])


@pytest.mark.parametrize("side", ["left", "right"])
def test_inverse_kinematics_reaches(body, side):
    rng = np.random.default_rng(2)
    sign = 1 if side == "left" else -1
    for _ in range(50):
        direction = rng.normal(size=3) * (1, 1, 0.5)
        target = direction / np.linalg.norm(direction) * rng.uniform(0.15, body.upper_arm + body.forearm - 0.02)
        pose = rest_pose(1)
        for name, angle in zip(
            ("lift", "sweep", "fore_lift", "fore_sweep"), arm_angles(target, side, body), strict=True
        ):
            pose[0, CHANNEL[f"{side}_{name}"]] = angle
        joints = forward_kinematics(pose, body)
        np.testing.assert_allclose(joints[f"{side}_wrist"][0] - joints[f"{side}_shoulder"][0], target, atol=1e-6)
        assert sign * joints[f"{side}_shoulder"][0, 0] > 0


def test_stances_differ_and_stay_near_rest(body):
    rng = np.random.default_rng(4)
    stances = np.array([draw_stance(rng) for _ in range(200)])
    assert ((stances >= LOWEST) & (stances <= HIGHEST)).all()
    for name in ("lift", "fore_lift", "knee"):
        left, right = (stances[:, CHANNEL[f"{side}_{name}"]] for side in ("left", "right"))
        assert left.std() > 1.5 and 0.3 < np.abs(left - right).mean() < 5
    hanging = forward_kinematics(stances, body)
    assert (hanging["left_wrist"][:, 1] < hanging["left_elbow"][:, 1]).all()
    feet = np.abs(hanging["left_ankle"] - hanging["left_hip"])[:, 2]
    assert feet.max() < 0.05  # below the hips, however bent the knees


def test_idle_people_sway_a_little(body):
    times = np.arange(0, 5, 1 / 16)
    idle = draw_idle(np.random.default_rng(5), times)
    joints = forward_kinematics(rest_pose(len(times)) + idle, body)
    spread = np.linalg.norm(joints["left_wrist"].std(0))
    assert 0.002 < spread < 0.06
    assert np.abs(np.diff(joints["left_wrist"], axis=0)).max() * 16 < 0.25  # metres a second
