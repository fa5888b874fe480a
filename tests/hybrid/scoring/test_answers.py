"""Strict parsing: what settles an answer, and what must not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.data.sample import Sample
from hybrid.scoring.answers import (
    normalize,
    parse_answer,
    parse_choice,
    parse_count,
    parse_interval,
    temporal_iou,
)

LIMBS = ["left arm", "right arm", "both arms", "left leg"]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("B", 1),
        ("b", 1),
        ("(B)", 1),
        ("[B]", 1),
        ("B.", 1),
        ("B)", 1),
        ("(b).", 1),
        (" B \n", 1),
        ("Answer: B", 1),
        ("The answer is (B).", 1),
        ("The correct answer is: B", 1),
        ("Option B", 1),
        ("B. right arm", 1),
        ("B: it goes up", 1),
        ("right arm", 1),
        ("Right  arm.", 1),
        ("Answer: right arm", 1),
        ("The person raises the right arm.", 1),
        ("both arms", 2),
    ],
)
def test_choices_that_are_settled(text, index):
    assert parse_choice(text, LIMBS) == index


@pytest.mark.parametrize(
    "text",
    [
        "",
        "E",
        "(Z)",
        "A man raises something",
        "I do not know",
        "Because of the way it moves",
        "B. left arm",
        "A or B",
        "A, B",
        "left arm or right arm",
        "not the left arm",
        "It isn't the left arm",
        "arm",
        "AB",
        "the left armband",
    ],
)
def test_choices_that_are_not(text):
    assert parse_choice(text, LIMBS) is None


def test_longer_options_win_and_their_negations_are_theirs():
    options = ["arm", "left arm", "does not move"]
    assert parse_choice("the left arm", options) == 1
    assert parse_choice("the arm", options) == 0
    assert parse_choice("It does not move.", options) == 2
    assert parse_choice("the left arm and the other arm", options) is None


def test_numbers_as_options():
    assert parse_choice("three", ["2", "3", "4"]) == 1
    assert parse_choice("3 times", ["2", "3", "4"]) == 1
    assert parse_choice("in 4.2 seconds, 3", ["2", "3", "4"]) is None
    assert parse_choice("2 or 3", ["2", "3", "4"]) is None
    assert parse_choice("9", ["2", "3", "4"]) is None
    assert parse_choice("B", ["2", "3", "4"]) == 1


@settings(max_examples=60, deadline=None)
@given(options=st.lists(st.text(), min_size=2, max_size=6, unique=True), pick=st.integers(0, 5), text=st.text())
def test_any_text_gives_an_index_or_none_and_an_option_itself(options, pick, text):
    assert parse_choice(text, options) in (None, *range(len(options)))
    option = options[pick % len(options)]
    if normalize(option) and [normalize(other) for other in options].count(normalize(option)) == 1:
        assert parse_choice(f"Answer: {option}", options) in (None, pick % len(options))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("3", 3),
        ("three", 3),
        ("Three times.", 3),
        ("It happens 3 (three) times", 3),
        ("twice", 2),
        ("zero", 0),
        ("12", 12),
        ("3.5", None),
        ("-3", None),
        ("2 or 3", None),
        ("2 to 3", None),
        ("many", None),
        ("", None),
    ],
)
def test_counts(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("1.2 to 2.8", (1.2, 2.8)),
        ("from 1.2 s to 2.8 s", (1.2, 2.8)),
        ("[1.2, 2.8]", (1.2, 2.8)),
        ("1.2-2.8", (1.2, 2.8)),
        ("between 1 and 3 seconds.", (1.0, 3.0)),
        ("1.2s – 2.8s", (1.2, 2.8)),
        ("From 1.2 seconds until 2.8 seconds.", (1.2, 2.8)),
        ("0:01 - 1:03.5", (1.0, 63.5)),
        ("It starts at 1.2 s and ends at 2.8 s.", (1.2, 2.8)),
        ("1.2 and then 2.8", None),
        ("2.8 to 1.2", None),
        ("2 to 2", None),
        ("1.2", None),
        ("1.2 2.8", None),
        ("1 to 2 to 3", None),
        ("1 to 2, twice at 5", None),
        ("-1 to 2", None),
        ("soon", None),
    ],
)
def test_intervals(text, interval):
    assert parse_interval(text) == interval


def test_temporal_iou():
    assert temporal_iou((0, 2), (1, 3)) == pytest.approx(1 / 3)
    assert temporal_iou((0, 1), (2, 3)) == 0
    assert temporal_iou((0, 4), (1, 2)) == pytest.approx(0.25)
    many = np.array([[0.0, 2.0], [1.0, 3.0], [5.0, 6.0]])
    np.testing.assert_allclose(temporal_iou(many, (1, 3)), [1 / 3, 1, 0])
    np.testing.assert_allclose(temporal_iou(many[:, None], many).shape, (3, 3))


def test_the_sample_decides_how_text_is_parsed():
    def sample(**more):
        return Sample("a", "?", "t", 0, 9, **more)

    assert parse_answer("B", sample(options=["x", "y"], answer=0)) == 1
    assert parse_answer("B", sample(options=["x", "y"])) == 1
    assert parse_answer("two", sample(answer=3)) == 2
    assert parse_answer("two", sample(answer="3")) == 2
    assert parse_answer("1 to 2", sample(answer=[0, 1])) == (1.0, 2.0)
    assert parse_answer(" the  left arm ", sample(answer="left arm")) == "the left arm"
    assert parse_answer(" ", sample()) is None
