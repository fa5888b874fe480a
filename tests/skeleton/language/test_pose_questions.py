"""Questions about poses: computed answers, options that the pose contradicts, sets closed under their flips."""

from collections import Counter

import numpy as np

from skeleton.language.answer_balance import balance
from skeleton.language.event_questions import Subject
from skeleton.language.pose_questions import DIFFERENCE, POSE, pose_questions

ALONE = [Subject(7, "the person")]
TWO = [Subject(7, "the person on the left"), Subject(4, "the person on the right")]
STRAIGHT = {f"{side} {part}": "straight" for side in ("left", "right") for part in ("elbow", "knee")}
REST = STRAIGHT | {"posture": "standing", "left arm": "hanging", "right arm": "hanging"}
UP = REST | {"left arm": "overhead"}


def ask(poses, subjects=ALONE, seeds=60):
    return [one for seed in range(seeds) for one in pose_questions(subjects, poses, np.random.default_rng(seed))]


def answers(asked, start):
    return {one.question.text: one.question.answer_text for one in asked if one.question.text.startswith(start)}


def test_descriptions():
    asked = ask({7: {1.0: UP, 2.0: {"left arm": "level"}}})
    said = answers(asked, "Describe")
    assert said == {
        "Describe the pose of the person at 1.0 s.": "the person is standing, the left upper arm raised overhead, "
        "the elbow straight, the right upper arm hanging, the elbow straight, both knees straight"
    }
    choices = [one.question for one in asked if one.question.text.startswith("Which description")]
    assert {one.task for one in choices} == {POSE} and {one.text.split("at ")[1] for one in choices} == {"1.0 s?"}
    assert {one.answer_text for one in choices} == {
        "the left upper arm raised overhead, the elbow straight", "the right upper arm hanging, the elbow straight",
    }  # fmt: skip
    for one in choices:
        parts = [(text.split()[1], text.split(" arm ")[1].split(",")[0], text.split()[-1]) for text in one.options]
        varied = [len(set(column)) for column in zip(*parts, strict=True)]
        assert sorted(varied) == [1, 2, 2] and len(set(parts)) == 4  # two flips, closed
        true = {("left", "raised overhead", "straight"), ("right", "hanging", "straight")}
        assert len(true & set(parts)) == 1 and parts[one.answer] in true
    assert len({one.family.split(",")[0] for one in choices}) >= 4


def test_no_option_may_hold():
    """Of a right arm that is not known, nothing can be denied."""
    unknown = {"left arm": "overhead", "left elbow": "straight"}
    texts = {text for one in ask({7: {1.0: unknown}}) for text in one.question.options or ()}
    assert texts and not any("right" in text for text in texts)


def test_the_one_bent_joint():
    asked = answers(ask({7: {1.0: REST | {"right knee": "bent"}}}), "Which joint")
    assert asked == {"Which joint of the person is bent at 1.0 s?": "the right knee"}
    most = STRAIGHT | dict.fromkeys(["left elbow", "right elbow", "left knee"], "bent")
    asked = answers(ask({7: {1.0: most}}), "Which joint")
    assert asked == {"Which joint of the person is straight at 1.0 s?": "the right knee"}
    assert not answers(ask({7: {1.0: REST | {"right knee": "bent", "left elbow": "bent"}}}), "Which joint")
    assert not answers(ask({7: {1.0: {"right knee": "bent", "left knee": "straight"}}}), "Which joint")


def test_differences_between_moments():
    asked = [one for one in ask({7: {1.0: REST, 3.4: UP}}) if one.question.task == DIFFERENCE]
    (text,) = answers(asked, "What is different").items()
    assert text == (
        "What is different about the person at 3.4 s from 1.0 s?",
        "the left upper arm is raised overhead instead of hanging",
    )  # fmt: skip
    different = next(one for one in asked if one.question.text.startswith("What"))
    assert set(different.question.options) == {
        f"the {side} upper arm is {now} instead of {before}" for side in ("left", "right")
        for now, before in (("raised overhead", "hanging"), ("hanging", "raised overhead"))
    } and different.moment == 1.0  # fmt: skip
    when = answers(asked, "When does the person hold the left upper arm higher, at 1.0 s or at 3.4 s?")
    assert set(when.values()) == {"at 3.4 s"}
    both = UP | {"right arm": "level"}
    assert not answers(ask({7: {1.0: REST, 3.4: both}}), "What is different")  # two things are
    assert not answers(ask({7: {1.0: REST, 1.3: UP}}), "What is different")  # too close
    sits = answers(ask({7: {1.0: REST, 3.4: REST | {"posture": "sitting"}}}), "What is different")
    assert set(sits.values()) == {"the person is sitting instead of standing"}


def test_differences_between_persons():
    asked = [one for one in ask({7: {2.0: REST}, 4: {2.0: UP, 3.0: REST}}, TWO) if one.other is not None]
    names = " at 2.0 s, the person on the left or the person on the right?"
    told = {one.question.text: one.question.answer_text for one in asked}
    assert told == {f"Who holds the left upper arm higher{names}": "the person on the right"}
    assert {(one.question.person, one.other, one.moment, one.question.key) for one in asked} == {(7, 4, 2.0, "right")}
    assert all(one.question.binding for one in asked)
    sits = answers(ask({7: {2.0: {"posture": "sitting"}}, 4: {2.0: {"posture": "standing"}}}, TWO), "Who is")
    assert sits == {f"Who is sitting{names}": TWO[0].name, f"Who is standing{names}": TWO[1].name}
    assert not [one for one in ask({7: {2.0: REST}, 4: {3.0: UP}}, TWO) if one.other is not None]


def test_balanced_answers_do_not_follow_from_the_options():
    """Poses are uneven: most arms hang straight. Once balanced, no answer is more frequent among the sets it is in."""
    rng, questions = np.random.default_rng(0), []
    for _ in range(1500):
        arms = {f"{side} arm": rng.choice(["hanging"] * 4 + ["level", "overhead"]).item() for side in ("left", "right")}
        bends = {f"{side} elbow": rng.choice(["straight"] * 3 + ["bent"]).item() for side in ("left", "right")}
        questions += [one.question for one in pose_questions(ALONE, {7: {1.0: arms | bends}}, rng)]
    questions = [one for one in questions if one.text.startswith("Which desc")]
    kept = [questions[i] for i in balance(questions, rng)]
    right, offered = Counter(one.answer_text for one in kept), Counter(text for one in kept for text in one.options)
    assert len(kept) > 200 and all(abs(right[text] / offered[text] - 0.25) < 0.08 for text in offered), (right, offered)
    assert not any(one.binding for one in questions)


def test_the_seed_decides():
    poses = {7: {1.0: REST, 3.4: UP}, 4: {1.0: UP}}
    assert pose_questions(TWO, poses, np.random.default_rng(3)) == pose_questions(TWO, poses, np.random.default_rng(3))
    assert pose_questions(TWO, {}, np.random.default_rng(3)) == []
