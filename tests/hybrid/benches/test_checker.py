"""The checker bench: what it changes in events, and that its figures tell a checker from none."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from hybrid.benches import checker
from hybrid.benches.checker import CheckerBench, counts, directions, measure, orders, sides
from hybrid.errors import ConfigError
from skeleton.events.limb_event import LimbEvent

BENCH = Path(__file__).resolve().parents[3] / "tools" / "bench.py"


def event(limb, movement, start=1.0, end=2.0, person=1, **more):
    return LimbEvent(person=person, limb=limb, movement=movement, start=start, end=end, **more)


WAVE, NOD = event("left arm", "wave", count=2), event("head", "nod", 3.0, 4.0)


def changed(change, events):
    """The events that each change made, without those that stayed."""
    return [[one for one in after if one not in events] for _, after in change(events)]


def test_sides():
    assert changed(sides, [WAVE, NOD]) == [[event("right arm", "wave", count=2)]]
    same = event("right arm", "wave", 5.0, 6.0, count=2)
    assert changed(sides, [WAVE, same]) == []  # what is told is so
    assert changed(sides, [WAVE, event("both arms", "wave", 5.0, 6.0, count=2)]) == []
    assert len(changed(sides, [WAVE, event("right arm", "wave", 5.0, 6.0, count=3)])) == 2
    assert changed(sides, [event("left arm", "wave", observable=False)]) == []
    assert (
        changed(sides, [event("left arm", "handshake", target="the person in red")]) == []
    )  # is told without its side


def test_directions():
    lean = event("torso", "lean", direction="forward")
    assert changed(directions, [lean, NOD]) == [[event("torso", "lean", direction="back")]]
    assert changed(directions, [event("left arm", "raise", direction="up")]) == []  # nobody raises an arm down


def test_counts():
    assert {one.count for (one,) in changed(counts, [WAVE])} == {1, 3, 4}
    assert {one.count for (one,) in changed(counts, [event("head", "nod")])} == {2, 3}
    assert changed(counts, [event("whole body", "sit")]) == []


def test_orders():
    ((first, second),) = changed(orders, [WAVE, NOD])
    assert (first.movement, first.start, second.movement, second.start) == ("wave", 3.0, "nod", 1.0)
    assert changed(orders, [WAVE, event("head", "nod", 1.5, 2.5)]) == []  # at the same time
    assert changed(orders, [WAVE, NOD, event("left arm", "wave", 5.0, 6.0, count=2)]) == []  # true both ways
    assert changed(orders, [WAVE, event("head", "nod", 3.0, 4.0, person=2)]) == []


@pytest.fixture(scope="module")
def figures():
    return measure(CheckerBench(output="", clips=12))


def test_true_captions_hold_and_wrong_ones_are_caught(figures):
    assert figures["clips"] == 12
    assert figures["precision"] >= 0.98 and figures["recall"] >= 0.98
    assert set(figures["caught"]) == {"side", "direction", "order", "count"}
    for rows in figures["caught"].values():
        assert set(rows) == {"narrate", "describe"}
        assert all(row["caught"] >= 0.9 and row["n"] > 2 for row in rows.values())
    assert figures["true"]["narrate"]["contradicted"] == 0.0


def test_silent_captions_score_nothing(monkeypatch):
    monkeypatch.setattr(checker, "narrate", lambda events, subjects: "Nothing happens.")
    monkeypatch.setattr(checker, "describe", lambda events, subject: "Nothing happens.")
    silent = measure(CheckerBench(output="", clips=3))
    assert silent["precision"] is None and silent["recall"] == 0.0 and silent["caught_least"] == 0.0


def test_the_tool_writes_the_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench.py", "checker", "clips=2", f"output={tmp_path / 'figures.json'}"])
    runpy.run_path(str(BENCH), run_name="__main__")
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["clips"] == 2 and "precision" in capsys.readouterr().out


def test_errors():
    with pytest.raises(ConfigError, match="expected clips to be at least 1, found 0: give more"):
        CheckerBench(output="x", clips=0).check()
