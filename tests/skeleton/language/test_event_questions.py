"""The grammar: computed answers on hand-made events, exchangeable options, balance."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from skeleton.events.limb_event import LimbEvent
from skeleton.language.answer_balance import balance
from skeleton.language.event_questions import TASKS, QuestionError, Subject, build_questions, counted_movements, flipped

WAVE = LimbEvent(person=0, limb="left arm", movement="wave", start=0.5, end=1.7, count=3)
RAISE = LimbEvent(person=0, limb="right leg", movement="raise", start=2.0, end=3.2)
TURN = LimbEvent(person=0, limb="head", movement="turn", direction="up", start=3.5, end=4.6)
ALONE = [Subject(0, "the person")]
TWO = [Subject(0, "the person in red"), Subject(1, "the person in blue")]


def ask(events, subjects=ALONE, seed=0, **options):
    questions = build_questions(events, subjects, 5.0, np.random.default_rng(seed), **options)
    return {task: [question for question in questions if question.task == task] for task in TASKS}


def test_answers_follow_from_the_events():
    asked = ask([WAVE, RAISE, TURN])
    answers = {question.text.split(" at ")[0]: question.answer_text for task in TASKS for question in asked[task]}
    assert answers["What does the person do with the left arm?"] == "wave it"
    assert answers["What does the person do with the head?"] == "turn it"
    assert answers["In which direction does the person turn the head?"] == "up"
    assert answers["How many times does the person wave the left arm?"] == "3"
    assert answers["When does the person raise the right leg?"] == "2.0 to 3.2"
    assert answers["What does the person do right after waving the left arm?"] == "raise the right leg"
    assert answers["What is the posture of the person"] == "standing"
    for question in asked["limb"]:
        time = float(question.text.split(" at ")[1].removesuffix(" s?"))
        event = next(event for event in (WAVE, RAISE, TURN) if event.start < time < event.end)
        assert question.answer_text == f"the {event.limb}"
    order = {question.text.split()[-1]: question.answer_text for question in ask([RAISE, WAVE])["order"]}
    assert order == {"first?": "wave the left arm", "last?": "raise the right leg"}


def test_what_never_happens_is_asked_now_and_then():
    asked = [question for seed in range(200) for question in ask([WAVE, RAISE, TURN], seed=seed)["count"]]
    never = [
        question.answer_text
        for question in asked
        if question.text == "How many times does the person wave the right arm?"
    ]
    assert set(never) == {"0"} and 15 < len(never) < 50


def test_what_never_happens_is_always_asked_where_the_caller_says_what():
    never = counted_movements()
    assert {"nod", "kick", "squat"} <= {event.movement for event in never} and "greet" not in {
        e.movement for e in never
    }
    for seed in range(20):
        zeros = [question for question in ask([WAVE], seed=seed, never=never)["count"] if question.answer == "0"]
        assert len(zeros) == 1 and "wave the left arm" not in zeros[0].text
    hidden = ask([WAVE], never=never, can_tell=lambda event: False)["count"]
    assert [question.answer for question in hidden] == ["3"]


@pytest.mark.parametrize("movement", ["walk", "run"])
def test_walking_and_running_are_told_apart(movement):
    way = LimbEvent(person=0, limb="whole body", movement=movement, direction="forward", start=0.0, end=5.0)
    (question,) = ask([way])["movement"]
    assert question.text == "Does the person walk or run?" and question.answer_text == movement
    assert sorted(question.options) == ["run", "walk"]


def test_options_hold_the_flip_of_each_option():
    for seed in range(20):
        for question in ask([WAVE, RAISE, TURN], seed=seed)["order"]:
            events = (WAVE, RAISE, TURN)
            flips = {event.phrase(with_direction=event.group == "head"): flipped(event) for event in events}
            closed = {text for text in question.options if text in flips}
            assert len(question.options) == 4 and len(closed) == 2
            assert {flips[text] for text in closed} == set(question.options) - closed
        for question in ask([WAVE, RAISE, TURN], seed=seed)["limb"]:
            sides = {text.replace("left", "right") for text in question.options if "left" in text}
            assert sides <= set(question.options)


def test_the_place_of_the_answer_tells_nothing():
    places = Counter(ask([WAVE], seed=seed)["movement"][0].answer for seed in range(400))
    assert all(70 <= places[place] <= 130 for place in range(4))


def test_nothing_is_asked_about_what_the_view_cannot_tell():
    blind = [replace(event, observable=False) for event in (WAVE, RAISE, TURN)]
    asked = ask(blind, can_tell=lambda event: False)
    assert [task for task in TASKS if asked[task]] == ["posture"]
    assert not ask([WAVE, RAISE], can_tell=lambda event: False)["count"][1:]


def test_events_under_way_together():
    beside = replace(RAISE, start=WAVE.start, end=WAVE.end)
    asked = ask([WAVE, beside])
    assert not asked["limb"] and not asked["order"]
    assert len(asked["movement"]) == 2


def test_posture_is_asked_while_it_is_kept():
    sit = LimbEvent(person=0, limb="whole body", movement="sit", start=0.4, end=9.0)
    for seed in range(10):
        sitting = [question for question in ask([sit], seed=seed)["posture"] if question.answer_text == "sitting"]
        times = [float(question.text.split(" at ")[1].removesuffix(" s?")) for question in sitting]
        assert len(times) >= 2 and min(times) >= 0.4 + 1.2 and max(times) <= 5.0
        assert not any(question.answer_text == "standing" for question in ask([sit])["posture"])


def test_several_persons_are_named_and_bound():
    other = LimbEvent(person=1, limb="head", movement="nod", start=0.5, end=2.0, count=2)
    asked = ask([WAVE, other], TWO)
    questions = [question for task in TASKS for question in asked[task]]
    assert all(question.binding and "the person in" in question.text for question in questions)
    counts = {question.text: question.answer for question in asked["count"]}
    assert counts["How many times does the person in red wave the left arm?"] == "3"
    assert counts["How many times does the person in blue nod the head?"] == "2"
    assert [question.person for question in asked["interval"]] == [0, 1]


def test_interaction_grids():
    hold = LimbEvent(person=0, limb="left arm", movement="hold", target="the red ball", start=-1.0, end=9.0)
    (question,) = ask([hold], objects=["the red ball", "the blue box"])["interaction"]
    assert question.text == "What does the person hold?"
    assert set(question.options) == {"the red ball", "the red box", "the blue ball", "the blue box"}
    assert question.answer_text == "the red ball"
    greet = LimbEvent(person=0, limb="left arm", movement="greet", target="the person in blue", start=1.0, end=2.0)
    (question,) = ask([greet], TWO)["interaction"]
    assert question.answer_text == "the person in blue" and "the person in red" not in question.options
    touch = LimbEvent(person=0, limb="left arm", movement="touch", target="the hip", start=1.0, end=2.0)
    (question,) = ask([touch])["interaction"]
    assert (question.text, question.answer_text) == ("What does the person touch with the left arm?", "the hip")


def test_sample_line():
    question = ask([WAVE])["interval"][0]
    line = question.sample("x", "a.mp4", None, 5.0, clip="a")
    assert line["answer"] == [0.5, 1.7] and line["options"] is None and line["person"] == 0
    assert line["meta"] == {"binding": False, "clip": "a"} and (line["start"], line["end"]) == (0.0, 5.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([WAVE], [Subject(0, "she"), Subject(1, "she")]), r"expected a distinct name .* found \['she', 'she'\]"),
        (([WAVE], [Subject(4, "the person")]), r"found events of persons \[0\]"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(QuestionError, match=message):
        ask(*arguments)
    with pytest.raises(QuestionError, match=r"expected tasks of .* found \['colour'\]"):
        build_questions([], ALONE, 5.0, np.random.default_rng(0), tasks=["colour"])


def test_balance_makes_keys_equal():
    rng = np.random.default_rng(0)
    events = [replace(WAVE, count=int(count)) for count in rng.choice(8, 300, p=[0.3, 0.2, *[0.1] * 4, 0.05, 0.05]) + 1]
    questions = [question for i, event in enumerate(events) for question in ask([event], seed=i)["count"]]
    chosen = [questions[i] for i in balance(questions, rng)]
    counts = Counter(question.answer for question in chosen)
    assert len(counts) == 9 and len(set(counts.values())) == 1
    assert min(Counter(question.answer for question in questions).values()) == counts["0"]
    assert len(balance(questions, rng, most_per_task=27)) == 27
