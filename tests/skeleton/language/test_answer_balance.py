"""Rare answers do not cost the frequent ones."""

from collections import Counter

import numpy as np

from skeleton.language.answer_balance import balance, frequent
from skeleton.language.event_questions import Question


def questions(**counts):
    """counts: family_key=number."""
    made = []
    for name, number in counts.items():
        family, key = name.split("_")
        question = Question("posture", "?", None, "a", 0, False, family, None if key == "None" else key)
        made += [question] * number
    return made


def test_frequent_keys_stay():
    made = questions(a_stand=90, a_sit=1, b_up=50, b_left=60, b_right=40, b_down=3, c_one=70, d_None=5, e_x=2, e_y=2)
    kept = [made[i] for i in frequent(made)]
    counts = Counter((question.family, question.key) for question in kept)
    assert {family: {key for name, key in counts if name == family} for family, _ in counts} == {
        "a": {"stand", "sit"}, "b": {"up", "left", "right"}, "d": {None}, "e": {"x", "y"},
    }  # fmt: skip
    assert counts["b", "left"] == 60  # the surplus is balance's work
    left = Counter((kept[i].family, kept[i].key) for i in balance(kept, np.random.default_rng(0)))
    assert left == {
        ("a", "stand"): 1, ("a", "sit"): 1, ("b", "up"): 40, ("b", "left"): 40, ("b", "right"): 40, ("d", None): 5,
        ("e", "x"): 2, ("e", "y"): 2,
    }  # fmt: skip
    assert frequent([]) == []
