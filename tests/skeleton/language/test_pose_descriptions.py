"""Words for a pose: right where the view tells it, none where it does not or where a state is not clear."""

import numpy as np
import pytest

from skeleton.errors import SkeletonError
from skeleton.events.kinematics import measure
from skeleton.language.pose_descriptions import ASPECTS, describe_pose, poses
from tests.skeleton.figures import figure, record


def words(pose=lambda time: {}, time=2.0, change=None, confidence=None, **how):
    """The words at `time` of a figure; `change` edits its joints [T, 17, 2]."""
    points = figure(pose, **how)
    if change is not None:
        change(points)
    body = record(points)
    if confidence is not None:
        body.confidence.setflags(write=True)
        body.confidence[0, :, confidence] = 0.3
    return poses(measure(body, 0)).get(time, {})


BOTH = {"left": (170, 0), "right": (90, 90)}


@pytest.mark.parametrize("view", ["front", "back"])
def test_sides_are_the_persons_own(view):
    told = words(lambda time: BOTH, view=view)
    assert told == {
        "posture": "standing", "trunk": "upright", "left arm": "overhead", "left elbow": "straight",
        "right arm": "level", "right reach": "to the side", "right elbow": "bent",
        "left knee": "straight", "right knee": "straight",
    }  # fmt: skip
    assert set(told) <= set(ASPECTS)


@pytest.mark.parametrize(("view", "other"), [("left", "right"), ("right", "left")])
def test_from_a_side_only_what_is_nearer_is_told(view, other):
    told = words(lambda time: {view: (90, 0), other: (170, 0)}, view=view)
    assert told[f"{view} arm"] == "level" and told[f"{view} reach"] == "to the front"
    assert not any(aspect.startswith(other) for aspect in told)


def test_between_two_words_nothing_is_said():
    heights = [words(lambda time, d=degrees: {"left": (d, 0)}).get("left arm") for degrees in range(0, 180, 10)]
    assert heights == ["hanging"] * 4 + [None] * 3 + ["level"] * 5 + [None] + ["overhead"] * 5
    bends = [words(lambda time, d=degrees: {"left": (90, d)}).get("left elbow") for degrees in range(0, 100, 10)]
    assert bends == ["straight"] * 3 + [None] * 3 + ["bent"] * 4


def test_a_state_that_passes_is_not_told():
    def swings(time):
        return {"left": (90 + 85 * np.sin(2 * np.pi * time), 0)}

    told = poses(measure(record(figure(swings)), 0))
    assert sum("left arm" in at for at in told.values()) < 0.5 * len(told)
    assert "left arm" not in told[2.0] and told[2.0]["right arm"] == "hanging"


def test_angles_need_bones_that_are_seen_at_their_length():
    """A lower arm that points at the camera looks straight, or bent, and is neither."""

    def shorten(points):
        points[30:, 9] = points[30:, 7] + 0.4 * (points[30:, 9] - points[30:, 7])

    assert words(lambda time: {"left": (90, 0)}, time=1.0, change=shorten)["left elbow"] == "straight"
    assert "left elbow" not in words(lambda time: {"left": (90, 0)}, time=3.0, change=shorten)
    assert words(lambda time: {"left": (90, 90)}, time=1.0, change=shorten)["left elbow"] == "bent"
    assert "left elbow" not in words(lambda time: {"left": (90, 90)}, time=3.0, change=shorten)


def test_doubtful_joints_tell_nothing():
    told = words(confidence=9)
    assert "left elbow" not in told and told["left arm"] == "hanging" and told["right elbow"] == "straight"
    assert "posture" not in words(confidence=15) and "left arm" not in words(confidence=7)


def test_postures():
    sits = poses(measure(record(figure(lambda time: {"hips": 0.75 * min(max(time - 1, 0), 1)}, view="right")), 0))
    assert (sits[0.5]["posture"], sits[3.0]["posture"]) == ("standing", "sitting")
    assert sits[3.0]["right knee"] == "bent" and "posture" not in sits[1.4]

    def turned(points):
        """On the back or the belly: what was up is to the right."""
        points[...] = (points - (320, 260))[..., ::-1] * (-1, 1) + (320, 260)

    def props(points):
        turned(points)
        points[20:60, 9:11] = points[20:60, 5:7] + (0, 70)

    assert words(change=turned, view="right")["posture"] == "lying"
    assert "posture" not in words(change=props, view="right")
    assert "posture" not in words(change=props, view="right", time=3.5)  # down in a push-up


def test_a_head_is_told_where_it_turns():
    told = poses(measure(record(figure(lambda time: {"nose": 0.2 * (2 < time < 2.8)})), 0))
    assert "head" not in told[1.0] and told[2.4]["head"] == "turned left"
    away = poses(measure(record(figure(lambda time: {"nose": 0.2 * (time < 3)})), 0))
    assert "head" not in away[3.6]  # straight ahead, although it is not the usual


def test_descriptions():
    assert describe_pose(words(lambda time: BOTH), "the person on the left") == (
        "the person on the left is standing, the left upper arm raised overhead, the elbow straight, "
        "the right upper arm level to the side, the elbow bent, both knees straight"
    )
    assert describe_pose(words(), "the person") == (
        "the person is standing, both upper arms hanging, the elbows straight, both knees straight"
    )
    some = {"trunk": "bent over", "left knee": "bent", "right elbow": "bent", "head": "lowered"}
    told = "she has the trunk bent over, the right elbow bent, the left knee bent, the head lowered"
    assert describe_pose(some, "she") == told
    with pytest.raises(SkeletonError, match="expected words of a pose of she, found {'trunk': 'upright'}: choose"):
        describe_pose({"trunk": "upright"}, "she")
