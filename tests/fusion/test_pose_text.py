"""Poses in numbers: a body of known angles, what is left out, and how the budget is spent."""

import re
from dataclasses import replace

import numpy as np
import pytest

from fusion.pose_text import EXAMPLE, HEADER, NOBODY, STEPS, pose_as_text
from skeleton.errors import SkeletonError
from skeleton.events.vocabulary import vocabulary
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

JOINTS = get_layout("coco17").joints
FPS = 20.0
# Seen from the front, in torsos from the hips, image right and up: the left arm is level, the right one hangs.
FRONT = {
    "nose": (0.0, 1.5), "left_eye": (0.1, 1.6), "right_eye": (-0.1, 1.6), "left_ear": (0.17, 1.5), "right_ear": (-0.17, 1.5),
    "left_shoulder": (0.375, 1.0), "right_shoulder": (-0.375, 1.0), "left_elbow": (0.925, 1.0), "right_elbow": (-0.375, 0.45),
    "left_wrist": (1.375, 1.0), "right_wrist": (-0.375, 0.0), "left_hip": (0.25, 0.0), "right_hip": (-0.25, 0.0),
    "left_knee": (0.25, -0.8), "right_knee": (-0.25, -0.8), "left_ankle": (0.25, -1.6), "right_ankle": (-0.25, -1.6),
}  # fmt: skip


def body(seconds=2.0, centres=(320,), shape=None, hidden=()):
    """A record of one still body for each of `centres` (pixels), torsos of 100 pixels; `hidden` joints are unseen."""
    rows = round(seconds * FPS)
    points = np.array([(shape or FRONT)[joint] for joint in JOINTS]) * (100, -100)
    keypoints = np.stack([np.tile(points + np.array([centre, 300]), (rows, 1, 1)) for centre in centres])
    visible = np.ones(keypoints.shape[:3], bool)
    visible[:, :, [JOINTS.index(joint) for joint in hidden]] = False
    boxes = np.concatenate([keypoints.min(2), keypoints.max(2)], -1)
    return Skeleton(
        keypoints=keypoints, confidence=visible.astype(np.float32), visible=visible, boxes=boxes,
        timestamps=np.arange(rows) / FPS, track_ids=np.arange(len(centres)) + 7, layout="coco17", frame_size=(480, 640),
        source={},
    )  # fmt: skip


def noise(persons=2, seconds=6.0):
    """Random joints, a fifth of them not seen."""
    rng, rows = np.random.default_rng(0), round(seconds * FPS)
    shape = (persons, rows, len(JOINTS))
    return Skeleton(
        keypoints=rng.uniform(10, 400, (*shape, 2)), confidence=np.ones(shape), visible=rng.random(shape) > 0.2,
        boxes=np.tile([10.0, 10, 400, 400], (persons, rows, 1)), timestamps=np.arange(rows) / FPS,
        track_ids=np.arange(persons), layout="coco17", frame_size=(480, 640), source={},
    )  # fmt: skip


def words(text):
    return len(re.findall(r"\w+|[^\w\s]|\n", text))


def seconds_of(text):
    return sorted({float(line.split()[0]) for line in text.splitlines() if line[0].isdigit()})


def test_a_still_body_in_numbers():
    text = pose_as_text(body(seconds=0.5), 0.0, 0.5, 330, words)
    assert text.splitlines() == [
        HEADER,
        "Person in the middle, seen from the front:",
        "0 head: yaw 0, pitch 0, roll 0, speed 0.0",
        "0 torso: trunk 90 up 0 left, hips +0.0 left +0.0 up, across 1.0, speed 0.0",
        "0 left arm: elbow 180, upper arm 0 up 90 out, hand +0.0 up +1.0 out, speed 0.0",
        "0 right arm: elbow 180, upper arm -90 up 0 out, hand -1.0 up +0.0 out, speed 0.0",
        "0 left leg: knee 180, thigh -90 up 0 out, foot -1.6 up +0.0 out, speed 0.0",
        "0 right leg: knee 180, thigh -90 up 0 out, foot -1.6 up +0.0 out, speed 0.0",
    ]


def test_speed_is_in_torsos_a_second():
    still = body()
    keypoints = still.keypoints.copy()
    wrist = JOINTS.index("right_wrist")
    keypoints[0, :, wrist, 1] -= np.linspace(0, 50, still.num_frames)  # half a torso up in two seconds
    text = pose_as_text(replace(still, keypoints=keypoints), 0.0, 2.0, 800, words)
    speeds = re.findall(r"right arm: .* speed (.*)", text)
    assert len(speeds) >= 2
    assert all(float(speed) == pytest.approx(0.25, abs=0.06) for speed in speeds)
    assert set(re.findall(r"left arm: .* speed (.*)", text)) == {"0.0"}


def test_what_is_not_seen_is_left_out():
    text = pose_as_text(body(hidden=["left_elbow", "left_wrist", "right_wrist", "right_ankle"]), 0.0, 2.0, 400, words)
    assert "left arm:" not in text
    assert re.search(r"^0 right arm: upper arm -90 up 0 out$", text, re.MULTILINE)
    assert re.search(r"^0 right leg: thigh -90 up 0 out$", text, re.MULTILINE)
    assert re.search(r"^0 left leg: knee 180, thigh .*, foot .*, speed 0.0$", text, re.MULTILINE)
    assert "forward" not in text.removeprefix(HEADER)  # a view from the front does not show it


def test_a_side_view_shows_forward_and_not_out():
    side = {
        joint: (0.0 if joint.split("_")[-1] in ("shoulder", "hip", "knee", "ankle") else x, y)
        for joint, (x, y) in FRONT.items()
    }
    side |= {
        "nose": (0.25, 1.5),
        "left_ear": (0.0, 1.5),
        "right_ear": (0.0, 1.5),
        "right_elbow": (0.0, 0.45),
        "right_wrist": (0.0, 0.0),
    }
    side |= {"left_elbow": (0.55, 1.0), "left_wrist": (1.0, 1.0)}
    text = pose_as_text(body(shape=side), 0.0, 2.0, 400, words)
    assert "seen from the right:" in text  # it looks to the image's right, so the camera stands at its right
    assert "0 left arm: elbow 180, upper arm 0 up 90 forward, hand +0.0 up +1.0 forward, speed 0.0" in text
    assert " out" not in text.removeprefix(HEADER)


def test_metres_show_all_three_axes():
    flat = body()
    deep = np.zeros((*flat.keypoints.shape[:3], 3), np.float32)
    deep[..., :2] = (flat.keypoints - (320, 300)) * (0.005, -0.005)
    deep[..., JOINTS.index("nose"), 2] = 0.1
    record = replace(flat, keypoints=deep, boxes=np.zeros_like(flat.boxes))
    text = pose_as_text(record, 0.0, 2.0, 500, words)
    assert "Person 7:" in text and "across" not in text
    assert (
        "0 left arm: elbow 180, upper arm 0 up 90 out 0 forward, hand +0.0 up +1.0 out +0.0 forward, speed 0.0" in text
    )


@pytest.mark.parametrize("budget", [330, 400, 700, 1500, 4000])
def test_the_step_is_the_finest_that_fits(budget):
    record, asked = noise(persons=1), {}

    def count(text):
        assert text.startswith(HEADER)
        asked[text] = words(text)
        return asked[text]

    text = pose_as_text(record, 0.0, 6.0, budget, count)
    assert asked[text] <= budget
    times = seconds_of(text)
    step = round(times[1] - times[0], 2) if len(times) > 1 else 6.0
    assert step in STEPS
    finer = [other for other in STEPS if other < step]
    if not finer:
        return
    next_times = [seconds_of(other) for other, size in asked.items() if size > budget]
    assert [round(times[1] - times[0], 2) for times in next_times] == [max(finer)]


def test_more_tokens_give_finer_steps_down_to_a_tenth_of_a_second():
    counts = [len(seconds_of(pose_as_text(noise(1), 0.0, 6.0, budget, words))) for budget in (330, 600, 1200, 100_000)]
    assert counts == sorted(set(counts))
    assert 58 <= counts[-1] <= 60  # the first row may lack the hips


def test_every_line_is_whole():
    for budget in (330, 500, 900):
        body_lines = pose_as_text(noise(), 0.0, 6.0, budget, words).removeprefix(HEADER + "\n").splitlines()
        for line in body_lines:
            assert re.fullmatch(
                r"Person .*:|[\d.]+ (head|torso|(left|right) (arm|leg)): .*\d( left| up| out| forward)?", line
            ), line


def test_no_verb_of_the_vocabulary_and_no_nan():
    verbs = {verb for movement in vocabulary().movements.values() for verb in movement.verb}
    assert {"wave", "raises", "turning"} <= verbs
    text = "\n".join([pose_as_text(noise(3), 0.0, 6.0, 5000, words), NOBODY, *EXAMPLE])
    assert not verbs & set(re.findall(r"[a-z]+", text.lower()))
    assert "nan" not in text.lower() and "inf" not in text and "-0 " not in text and "-0.0" not in text


def test_persons_have_headings_and_the_least_seen_go_first():
    three = body(centres=(500, 100, 300))
    visible = three.visible.copy()
    visible[1, :, JOINTS.index("left_wrist")] = False
    three = replace(three, visible=visible)
    text = pose_as_text(three, 0.0, 2.0, 2000, words)
    headings = [line for line in text.splitlines() if line.startswith("Person")]
    assert headings == [
        f"Person {place}, seen from the front:" for place in ("on the right", "on the left", "in the middle")
    ]
    limited = pose_as_text(three, 0.0, 2.0, 2000, words, max_persons=2)
    assert "on the left" not in limited and limited.count("Person") == 2
    scarce = pose_as_text(three, 0.0, 2.0, 370, words)
    assert 1 <= scarce.count("Person") < 3 and words(scarce) <= 370


def test_only_the_asked_seconds_are_told():
    moved = body(seconds=4.0)
    keypoints = moved.keypoints.copy()
    keypoints[:, 40:, JOINTS.index("left_wrist")] = keypoints[:, 40:, JOINTS.index("left_elbow")] + (0, 45)
    moved = replace(moved, keypoints=keypoints)
    first, second = (pose_as_text(moved, start, start + 2.0, 2000, words) for start in (0.0, 2.0))
    assert seconds_of(first)[0] == 0.0 and seconds_of(first)[-1] < 2.0 == seconds_of(second)[0]
    assert "elbow 90" in second and "elbow 90" not in first


def test_nobody_is_one_short_sentence():
    empty = Skeleton.empty(np.arange(20) / FPS, (480, 640))
    assert pose_as_text(empty, 0.0, 1.0, 300, words) == NOBODY
    assert pose_as_text(body(hidden=["left_shoulder", "right_shoulder"]), 0.0, 2.0, 300, words) == NOBODY
    assert pose_as_text(body(), 10.0, 12.0, 300, words) == NOBODY


def test_words_of_the_example_are_those_of_the_text():
    text = pose_as_text(body(centres=(100, 300, 500)), 0.0, 2.0, 1000, words).removeprefix(HEADER)
    assert set(re.findall(r"[a-zA-Z]+", text)) <= set(re.findall(r"[a-zA-Z]+", " ".join(EXAMPLE)))


def test_bad_arguments_are_one_sentence():
    with pytest.raises(SkeletonError, match="expected seconds start < end, found 2.0 and 2.0"):
        pose_as_text(body(), 2.0, 2.0, 300, words)
    with pytest.raises(
        SkeletonError, match=r"expected a budget of at least \d+ tokens, .* of one person takes, found 50"
    ):
        pose_as_text(body(centres=(100, 300)), 0.0, 2.0, 50, words)


def test_the_mirror_image_reads_the_same_with_left_and_right_exchanged():
    text = pose_as_text(body().mirrored(), 0.0, 2.0, 400, words)
    assert "right arm: elbow 180, upper arm 0 up 90 out, hand +0.0 up +1.0 out, speed 0.0" in text
    assert "left arm: elbow 180, upper arm -90 up 0 out, hand -1.0 up +0.0 out, speed 0.0" in text
