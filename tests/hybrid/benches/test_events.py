"""The bench of limb events: its tally is right, and its figures come from real scenes."""

from dataclasses import replace

import pytest

from hybrid.benches.events import EventsBench, Tally, matched, measure
from hybrid.errors import ConfigError
from skeleton.events.limb_event import LimbEvent

WAVE = LimbEvent(person=0, limb="left arm", movement="wave", start=1.0, end=3.0, count=3)
TURN = LimbEvent(person=0, limb="head", movement="turn", direction="up", start=3.5, end=4.6)
TOUCH = LimbEvent(person=1, limb="right arm", movement="touch", target="the hip", start=1.0, end=2.0)


def test_only_the_same_person_limb_and_movement_at_the_same_time_match():
    assert matched([WAVE, TURN], [TURN, WAVE]) == {0: 1, 1: 0}
    other = [replace(WAVE, person=1), replace(WAVE, limb="right arm"), replace(WAVE, movement="circle")]
    assert matched([WAVE], [*other, replace(WAVE, start=2.6, end=4.6)]) == {}
    close, closer = replace(WAVE, start=1.5), replace(WAVE, start=1.1)
    assert matched([WAVE], [close, closer]) == {0: 1} and matched([WAVE, closer], [close]) == {1: 0}


def test_the_tally_counts_found_missed_and_invented():
    tally = Tally()
    tally.add([WAVE, TURN, TOUCH], [replace(WAVE, count=2), replace(TURN, limb="head", direction="down")])
    tally.add([], [TOUCH])
    figures = tally.figures()
    assert figures["events"] == 3 and figures["recall"] == pytest.approx(2 / 3)
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["count_right"] == figures["direction_right"] == 0.0 and "target_right" not in figures
    assert figures["kinds"] == {"arm touch": [0, 1, 1], "arm wave": [1, 0, 0], "head turn": [1, 0, 0]}


def test_what_cannot_be_observed_counts_neither_way():
    hidden = replace(WAVE, observable=False)
    tally = Tally()
    tally.add([hidden], [])
    tally.add([hidden], [replace(WAVE, movement="circle"), WAVE])
    assert tally.figures()["events"] == 0 and tally.figures()["precision"] == 0.0 and not tally.invented
    tally.add([hidden], [TURN])
    assert tally.invented == {"head turn": 1}


def test_figures_of_real_scenes(tmp_path, monkeypatch):
    monkeypatch.setattr("hybrid.benches.events.HOUR", 600)
    figures = measure(EventsBench(output=str(tmp_path / "o.json"), clips=12))
    assert figures["events_3d"] == figures["events_2d"] > 15
    assert figures["precision_3d"] > 0.9 < figures["recall_3d"] and figures["precision_2d"] > 0.7 < figures["recall_2d"]
    assert figures["seconds_for_an_hour"] > 0 and figures["precision_ci95_3d"][0] <= figures["precision_3d"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"clips": 0}, "expected at least 1 clip, found 0"), ({"split": "all"}, "expected split of .* found 'all'")],
)
def test_bad_keys(keys, message):
    with pytest.raises(ConfigError, match=message):
        EventsBench(output="o", **keys).check()
