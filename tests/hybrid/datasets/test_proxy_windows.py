"""Windows of a record: how it is cut, who is asked about and by which name, what can be told of them."""

from dataclasses import replace

import numpy as np

from hybrid.datasets import proxy_windows
from hybrid.datasets.proxy_windows import could_tell, name_of, observed, people, windows
from skeleton.events.limb_event import LimbEvent
from skeleton.layouts.layout import get_layout
from tests.skeleton.figures import figure, record

COCO = get_layout("coco17")


def test_persons_are_named_by_place():
    assert [name_of(place, 2) for place in range(2)] == ["the person on the left", "the person on the right"]
    assert name_of(0, 1) == "the person" and name_of(1, 3) == "the person in the middle"
    assert name_of(1, 5) == "the person second from the left" and name_of(4, 5) == "the person on the far right"
    body = record(*(figure(x=x) for x in (420, 120, 260, 560)))
    kept, there, reasons = people(body, 4)
    assert [(person.row, person.subject.person) for person in kept] == [(1, 4), (2, 5), (0, 3), (3, 6)]
    assert kept[2].subject.name == "the person third from the left" and there == 4 and not reasons
    assert people(body, 3) == ([], 4, {"too many persons": 4})


def test_who_is_not_asked_about():
    still, rows = figure(x=100), np.arange(80)
    passing = still + (rows * 5)[:, None, None] * (1, 0)  # walks past the middle one
    kept, there, reasons = people(record(passing, figure(x=300), figure(x=550)), 4)
    assert [person.subject.name for person in kept] == ["the person on the right"]
    assert there == 3 and reasons == {"places change": 2}
    visible = np.ones((2, 80, 17), bool)
    visible[1, 30:] = False
    kept, there, reasons = people(record(still, figure(x=400), visible=visible), 4)
    assert [person.subject.name for person in kept] == ["the person on the left"]  # the other is there, and counts
    assert reasons == {"hips and shoulders seen too little": 1}
    visible[0, :12], visible[1, 12:] = False, False  # now they are never there together, and may be one person
    kept, there, reasons = people(record(still, figure(x=400), visible=visible), 4)
    assert there == 2 and not kept and reasons["places change"] == 1
    small = record(still * 0.1, figure(x=400))
    assert people(small, 4)[2] == {"too small": 1} and len(people(small, 4)[0]) == 1
    zoom = still[:1] * np.linspace(0.7, 1.2, 200)[:, None, None]
    assert people(record(zoom), 4)[2] == {"size changes": 1}


def test_only_what_can_be_seen_is_observable(monkeypatch):
    visible = np.ones((2, 80, 17), bool)
    visible[0, :, COCO.index("right_wrist")] = False
    body = record(figure(x=150), figure(x=450), visible=visible)
    (window,) = windows(body, 8)
    wave = LimbEvent(person=3, limb="left arm", movement="wave", start=1.0, end=2.0, count=2)
    told_of = [
        wave, replace(wave, limb="right arm"), replace(wave, limb="both arms"),
        replace(wave, person=4, limb="right arm"),
        LimbEvent(person=3, limb="torso", movement="lean", direction="left", start=1.0, end=2.0),
        LimbEvent(person=3, limb="torso", movement="lean", direction="forward", start=1.0, end=2.0),
        LimbEvent(person=3, limb="left arm", movement="greet", target="person 4", start=1.0, end=2.0),
    ]  # fmt: skip
    monkeypatch.setattr(proxy_windows, "detect_events", lambda body, names: told_of)
    persons, _, _ = people(window.body, 4)
    assert [event.observable for event in observed(window, persons[:1])] == [True, False, False, True, False]
    assert len(observed(window, persons)) == 7  # both are asked about: nobody else is meant
    assert could_tell(window, persons, wave) and not could_tell(window, persons, told_of[1])
    assert not could_tell(window, persons, told_of[5])


def test_windows():
    parts = windows(record(figure(seconds=20), fps=20.0), 8)
    assert [(part.start, part.end, part.body.num_frames) for part in parts] == [
        (0.0, 6.667, 134), (6.667, 13.333, 133), (13.333, 20.0, 133),
    ]  # fmt: skip
    assert all(0 <= part.body.timestamps[0] < 0.05 for part in parts)
    assert [part.seconds for part in windows(record(figure(seconds=8)), 8)] == [8.0]
