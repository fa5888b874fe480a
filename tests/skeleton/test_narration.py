import pytest

from skeleton.errors import SkeletonError
from skeleton.events import LimbEvent
from skeleton.narration import NOTHING, describe, narrate
from skeleton.questions import Subject


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
