"""The bench of proxy tasks: answers are held against what was played, and a real run is mostly right."""

from dataclasses import replace

import numpy as np
import pytest

from hybrid.benches.proxy import ProxyBench, agrees, measure
from skeleton.events.limb_event import LimbEvent
from skeleton.language.event_questions import TASKS, Subject, build_questions

WAVE = LimbEvent(person=0, limb="left arm", movement="wave", start=0.5, end=1.7, count=3)
RAISE = LimbEvent(person=0, limb="right leg", movement="raise", start=2.0, end=3.2)
TURN = LimbEvent(person=0, limb="head", movement="turn", direction="up", start=3.5, end=4.6)
SIT = LimbEvent(person=0, limb="whole body", movement="sit", start=0.2, end=4.8)
TOUCH = LimbEvent(person=0, limb="right arm", movement="touch", target="the hip", start=0.4, end=1.6)
PLAYED = [[WAVE, RAISE, TURN], [SIT, replace(WAVE, start=2.0, end=3.2)], [TOUCH]]


def lines():
    for events in PLAYED:
        questions = build_questions(events, [Subject(0, "the person")], 5.0, np.random.default_rng(0))
        yield from ((question.sample("a", None, None, 5.0), events) for question in questions)


def test_true_answers_agree_and_wrong_ones_do_not():
    seen = set()
    for line, events in lines():
        assert agrees(line, events), line
        wrong = dict(line)
        if line["options"] is not None:
            wrong["answer"] = (line["answer"] + 1) % len(line["options"])
        elif line["task"] == "count":
            wrong["answer"] = str(int(line["answer"]) + 1)
        else:
            wrong["answer"] = [second + 2.0 for second in line["answer"]]
        assert not agrees(wrong, events), wrong
        seen.add(line["task"])
    assert seen == set(TASKS)


def test_figures_of_a_few_clips(tmp_path):
    figures = measure(ProxyBench(output=str(tmp_path / "o.json"), clips=8))
    assert figures["questions"] == sum(n for _, n in figures["tasks"].values()) > 30
    assert figures["right"] > 0.7 and figures["words"] > 100 and figures["words_right"] > 0.95
    assert figures["right_ci95"][0] <= figures["right"] <= figures["right_ci95"][1]


@pytest.mark.parametrize("task", ["limb", "direction", "order"])
def test_nothing_played_agrees_with_nothing(task):
    line = next(line for line, _ in lines() if line["task"] == task)
    assert not agrees(line, [])
