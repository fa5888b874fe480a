"""Exact sentences at each level of detail."""

import pytest

from skeleton.errors import SkeletonError
from skeleton.events.limb_event import LimbEvent
from skeleton.language.event_captions import NOTHING, describe, narrate
from skeleton.language.event_questions import Subject


def test_tells_in_time_order_what_can_be_seen():
    events = [
        LimbEvent(person=1, limb="head", movement="nod", start=2.0, end=3.0, count=1),
        LimbEvent(person=0, limb="left arm", movement="wave", start=0.5, end=2.0, count=3),
        LimbEvent(person=0, limb="right leg", movement="kick", start=0.7, end=2.0, count=2),
        LimbEvent(person=0, limb="torso", movement="lean", direction="back", start=2.5, end=3.0, observable=False),
        LimbEvent(person=1, limb="whole body", movement="sit", start=-1.0, end=9.0),
    ]
    subjects = [Subject(0, "the person in red"), Subject(1, "the person in blue")]
    assert narrate(events, subjects) == (
        "From the beginning the person in blue sits down. "
        "At 0.5 s the person in red waves the left arm 3 times while kicking with the right leg 2 times. "
        "At 2.0 s the person in blue nods the head once."
    )
    assert describe(events, subjects[0]) == (
        "the person in red waves the left arm 3 times, kicks with the right leg 2 times"
    )
    assert describe(events[:1], subjects[0]) == ""


def test_nothing_to_tell_and_strangers():
    assert narrate([], [Subject(0, "the person")]) == NOTHING
    event = LimbEvent(person=7, limb="head", movement="nod", start=0.0, end=1.0)
    with pytest.raises(SkeletonError, match=r"expected events of the persons \[0\], found one of person 7"):
        narrate([event], [Subject(0, "the person")])


SUBJECTS = [Subject(0, "the person in red"), Subject(1, "the person in blue")]
EVENTS = [
    LimbEvent(person=1, limb="head", movement="nod", start=2.0, end=3.0, size=0.4),
    LimbEvent(person=0, limb="left arm", movement="wave", start=0.5, end=2.0, count=3, size=0.9),
    LimbEvent(person=0, limb="right leg", movement="kick", start=0.7, end=3.0, count=2, size=0.6),
    LimbEvent(person=0, limb="torso", movement="lean", direction="back", start=2.5, end=3.0, observable=False),
    LimbEvent(person=1, limb="whole body", movement="sit", start=0.0, end=9.0),
    LimbEvent(person=0, limb="whole body", movement="kneel", start=4.0, end=8.0),
    LimbEvent(person=0, limb="whole body", movement="jump", start=9.0, end=13.0, count=2),
    LimbEvent(person=0, limb="whole body", movement="jump", start=14.0, end=15.0),
]


def test_brief_is_one_sentence_a_person_in_time_order_without_numbers():
    text = narrate(EVENTS, SUBJECTS, detail="brief")
    assert text == (
        "The person in red waves the left arm while kicking with the right leg, then kneels down, then jumps. "
        "The person in blue sits down, then nods the head."
    )
    assert narrate(EVENTS[3:4], SUBJECTS, detail="brief") == NOTHING


def test_full_tells_ends_sizes_rates_postures_and_who_moves_meanwhile():
    assert narrate(EVENTS, SUBJECTS, detail="full") == (
        "From the beginning to 9.0 s the person in blue is sitting. "
        "From 0.5 s to 2.0 s the person in red waves the left arm 3 times in wide movements, about 2 times a second, "
        "while kicking with the right leg 2 times until 3.0 s, about once a second. "
        "From 2.0 s to 3.0 s the person in blue nods the head once in a small movement, "
        "while the person in red is kicking with the right leg. "
        "From 4.0 s to 8.0 s the person in red kneels down and stays kneeling. "
        "From 9.0 s to 13.0 s the person in red jumps 2 times, about once every 2 s. "
        "From 14.0 s to 15.0 s the person in red jumps once."
    )
    assert narrate(EVENTS[3:4], SUBJECTS, detail="full") == NOTHING


def test_a_squat_that_is_not_kept_and_a_middle_size_add_nothing():
    squat = LimbEvent(person=0, limb="whole body", movement="squat", start=1.0, end=2.0)
    lean = LimbEvent(person=0, limb="torso", movement="lean", direction="left", start=3.0, end=4.5, size=0.7)
    reach = LimbEvent(person=0, limb="left arm", movement="reach", start=5.0, end=6.0, size=0.2, target="the red ball")
    assert narrate([squat, lean, reach], SUBJECTS, detail="full") == (
        "From 1.0 s to 2.0 s the person in red squats once. "
        "From 3.0 s to 4.5 s the person in red leans to the left. "
        "From 5.0 s to 6.0 s the person in red reaches for the red ball with the left arm."
    )


def test_normal_is_the_default_and_others_are_an_error():
    assert narrate(EVENTS, SUBJECTS, detail="normal") == narrate(EVENTS, SUBJECTS)
    assert narrate(EVENTS, SUBJECTS, detail="full") == narrate(EVENTS[::-1], SUBJECTS, detail="full")
    with pytest.raises(SkeletonError, match="expected a detail of brief, normal, full, found 'long': use one of these"):
        narrate(EVENTS, SUBJECTS, detail="long")
    for detail in ("brief", "full"):
        with pytest.raises(SkeletonError, match=r"expected events of the persons \[1\], found one of person 0"):
            narrate(EVENTS, SUBJECTS[1:], detail=detail)
