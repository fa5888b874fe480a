"""HAIC's standard form: exact captions, and words of position from boxes."""

from dataclasses import replace

import numpy as np
import pytest

from skeleton.errors import SkeletonError
from skeleton.events.limb_event import LimbEvent
from skeleton.language.event_captions import NOTHING
from skeleton.language.event_questions import Subject
from skeleton.language.haic_captions import places, standard_caption
from skeleton.record import Skeleton

SUBJECTS = [Subject(4, "person 4"), Subject(9, "person 9")]
EVENTS = [
    LimbEvent(person=9, limb="head", movement="nod", start=2.5, end=3.0, count=1),
    LimbEvent(person=4, limb="left arm", movement="wave", start=0.5, end=2.0, count=3),
    LimbEvent(person=4, limb="right leg", movement="kick", start=0.7, end=2.0, count=2),
    LimbEvent(person=4, limb="torso", movement="lean", direction="back", start=2.2, end=2.4, observable=False),
    LimbEvent(person=9, limb="whole body", movement="squat", start=1.0, end=2.0),
    LimbEvent(person=9, limb="left arm", movement="raise", direction="up", start=4.0, end=5.0),
]


def record(centres, boxes=True):
    """A record of persons around these x in a frame of 300 x 300 pixels, tracks from 5 down; None is never seen."""
    rows, ids = 3, 5 - np.arange(len(centres))
    keypoints = np.zeros((len(centres), rows, 17, 2), np.float32)
    seen = np.array([centre is not None for centre in centres], dtype=bool)
    x = np.array([centre or 0 for centre in centres], np.float32)
    keypoints[..., 0] = x[:, None, None]
    visible = np.broadcast_to(seen[:, None, None], keypoints.shape[:3])
    box = np.stack([x - 10, x * 0 + 20, x + 10, x * 0 + 200], -1) * seen[:, None] * boxes
    return Skeleton(
        keypoints=keypoints, confidence=visible.astype(np.float32), visible=visible,
        boxes=np.repeat(box[:, None], rows, 1), timestamps=np.arange(rows) / 10, track_ids=ids, layout="coco17",
        frame_size=(300, 300), source={},
    )  # fmt: skip


def test_how_many_what_tells_them_apart_and_what_they_do_in_time_order():
    attributes = {4: "in a red shirt, on the left", 9: "in a blue shirt, on the right", 77: "somebody else"}
    assert standard_caption(EVENTS, SUBJECTS, attributes) == (
        "There are two people: one in a red shirt, on the left; one in a blue shirt, on the right. "
        "The person in a red shirt waves the left arm 3 times while kicking with the right leg 2 times. "
        "Meanwhile the person in a blue shirt squats once, then nods the head once, then raises the left arm up."
    )


def test_persons_are_called_by_as_much_as_tells_them_apart():
    attributes = {4: "in a shirt, on the left", 9: "in a shirt, on the right"}
    last = [EVENTS[1], EVENTS[5]]
    assert standard_caption(last, SUBJECTS, attributes) == (
        "There are two people: one in a shirt, on the left; one in a shirt, on the right. "
        "The person in a shirt on the left waves the left arm 3 times. "
        "Then the person in a shirt on the right raises the left arm up."
    )


def test_one_person_and_nobody_and_nothing():
    one = [Subject(4, "the person")]
    assert standard_caption(EVENTS[1:3], one, {4: "in the middle"}) == (
        "There is one person, in the middle. "
        "The person in the middle waves the left arm 3 times while kicking with the right leg 2 times."
    )
    assert standard_caption(EVENTS[3:4], one, {4: "in the middle"}) == f"There is one person, in the middle. {NOTHING}"
    assert standard_caption([], [], {}) == "There is nobody."


def test_what_cannot_be_told_is_one_sentence():
    with pytest.raises(
        SkeletonError, match=r"attributes of the persons \[4, 9\], found none of \[9\]: describe them, or add"
    ):
        standard_caption(EVENTS, SUBJECTS, {4: "in red", 9: " "})
    with pytest.raises(SkeletonError, match=r"tell persons apart, found 'in red' for the persons \[4, 9\]: say more"):
        standard_caption(EVENTS, SUBJECTS, {4: "in red", 9: "in red"})
    with pytest.raises(SkeletonError, match=r"expected events of the persons \[4\], found one of person 9"):
        standard_caption(EVENTS, SUBJECTS[:1], {4: "in red"})


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize(
    ("centres", "expected"),
    [
        ([], {}),
        ([20], {5: "on the left"}),
        ([150], {5: "in the middle"}),
        ([280], {5: "on the right"}),
        ([280, 20], {5: "on the right", 4: "on the left"}),
        ([150, None, 140], {5: "on the right", 3: "on the left"}),
        ([150, 20, 280], {5: "in the middle", 4: "on the left", 3: "on the right"}),
        (
            [10, 50, 90, 130],
            {5: "on the far left", 4: "second from the left", 3: "third from the left", 2: "on the far right"},
        ),
    ],
)
def test_places_follow_the_order_of_mean_centres(centres, expected, boxes):
    assert places(record(centres, boxes)) == expected


def test_places_make_a_caption_where_nothing_else_is_known():
    two = record([250, 40])
    subjects = [Subject(5, "person 5"), Subject(4, "person 4")]
    event = replace(EVENTS[0], person=4)
    assert standard_caption([event], subjects, places(two) | {5: "in a hat"}) == (
        "There are two people: one in a hat; one on the left. The person on the left nods the head once."
    )
