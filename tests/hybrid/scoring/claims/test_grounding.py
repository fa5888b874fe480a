"""The checker: which claims hold against which events, why not, in which order, and what silence is worth."""

import pytest

from hybrid.errors import DataError
from hybrid.scoring.claims.grounding import check_caption, check_claims, score_captions
from hybrid.scoring.claims.read_claims import Claim
from skeleton.events.limb_event import LimbEvent
from skeleton.language.event_captions import describe, narrate
from skeleton.language.event_questions import Subject

RED, BLUE = Subject(1, "the person in red"), Subject(2, "the person in blue")


def event(limb, movement, start=1.0, end=2.0, person=1, **more):
    return LimbEvent(person=person, limb=limb, movement=movement, start=start, end=end, **more)


def truths(text, events, subjects=None, duration=10.0, **more):
    return [verdict.truth for verdict in check_caption(text, events, subjects, duration, **more).verdicts]


def reason(text, events, **more):
    (verdict,) = check_caption(text, events, duration=10.0, **more).verdicts
    assert verdict.truth is not True
    return verdict.reason


LEFT_WAVE = event("left arm", "wave", count=2)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("he waves", True), ("he waves the left arm", True), ("he waves twice", True), ("he waves an arm 2 times", True),
        ("he waves the right arm", False), ("he waves both arms", False), ("he waves three times", False),
        ("he circles the left arm", False), ("he does not wave", False), ("he does not wave the right arm", True),
        ("at 1.4 s he waves", True), ("at 2.4 s he waves", True), ("at 2.6 s he waves", False),
        ("between 0 and 0.6 seconds he waves", True), ("from 3 to 4 s he waves", False),
        ("he waves at the person in blue", True), ("he raises the left arm and waves it", True),
    ],
)  # fmt: skip
def test_one_wave(text, truth):
    assert truths(text, [LEFT_WAVE])[-1] is truth


def test_reasons_say_what_was_seen():
    assert reason("he waves the right arm", [LEFT_WAVE]) == "said right arm, it was the left arm"
    assert reason("he waves three times", [LEFT_WAVE]) == "said 3 times, it was 2 times"
    assert reason("at 5 s he waves once", [LEFT_WAVE]) == "said once, it was 2 times; said at 5 s, it was at 1.0 s"
    assert reason("he nods", [LEFT_WAVE]) == "no nod was seen"
    assert reason("he does not wave", [LEFT_WAVE]) == "said not, but waving the left arm was seen"
    head = event("left arm", "touch", target="the head")
    assert reason("he touches his belly", [head]) == "said the belly, it was the head"
    assert reason("he turns the head left", [event("head", "turn", direction="up")]) == "said left, it was up"
    text = "he waves, then waves again, then nods"
    again = check_caption(text, [LEFT_WAVE, event("head", "nod", 3.0, 4.0)]).verdicts[1]
    assert (again.truth, again.reason) == (False, "waving the left arm was seen, but is told already")


def test_directions_count_only_where_both_have_one():
    turned = [event("head", "turn", direction="left")]
    assert truths("he turns the head right", turned) == [False]
    assert truths("he turns the head left", turned) == [True]
    assert truths("he turns the head", turned) == [True]
    assert truths("he turns the head left", [event("head", "turn")]) == [True]
    seen_from_outside = event("head", "turn", direction="right", frame_of_reference="image")
    assert truths("he turns the head left", [seen_from_outside]) == [True]


def test_both_arms_are_one_event_or_two_at_the_same_time():
    left, right = event("left arm", "raise"), event("right arm", "raise", 1.2, 2.2)
    assert truths("he raises both arms", [event("both arms", "raise")]) == [True]
    assert truths("he raises both arms", [left, right]) == [True]
    assert truths("he raises both arms", [left, event("right arm", "raise", 3.0, 4.0)]) == [False]
    assert truths("he raises both arms", [left]) == [False]
    assert truths("he raises the left arm", [event("both arms", "raise")]) == [True]
    grounding = check_caption("he raises both arms", [left, right])
    assert (grounding.told, grounding.coverage) == (2, 1.0)
    opposite = event("left arm", "raise", direction="left"), event("right arm", "raise", direction="right")
    assert truths("he raises both arms", opposite) == [False]


def test_two_mentions_need_two_events_unless_what_is_told_lasts():
    once, twice = [LEFT_WAVE], [LEFT_WAVE, event("left arm", "wave", 4.0, 5.0)]
    assert truths("he waves, then waves", once) == [True, False]
    assert truths("he waves, then waves", twice) == [True, True]
    walking = [event("whole body", "walk", 0.0, 8.0), event("left arm", "wave", 3.0, 4.0)]
    grounding = check_caption("he walks, waves, then walks", walking)
    assert grounding.count(True) == 3 and not grounding.contradicted


def test_what_follows_from_events():
    up = [event("left arm", "raise", 1.0, 3.0)]
    assert truths("he raises the left arm and lowers it", up) == [True, True]
    assert truths("he lowers the right arm", up) == [False]
    assert truths("he lowers the left arm", [event("left arm", "raise", 1.0, 9.9)]) == [False]
    assert truths("he sits down, then stands up", [event("whole body", "sit", 1.0, 5.0)]) == [True, True]
    assert check_caption("he stands up", [event("whole body", "sit", 1.0, 5.0)]).coverage == 0.0
    assert truths("he takes a step forward", [event("whole body", "walk", direction="forward")]) == [True]
    assert truths("he takes a step back", [event("whole body", "walk", direction="forward")]) == [False]
    steps = [event("whole body", "step", start, start + 0.5, direction="left") for start in (1.0, 2.0)]
    assert truths("he walks to the left", steps) == [True]
    assert truths("he walks to the left", steps[:1]) == [False]
    assert truths("he bows", [event("torso", "lean", direction="forward")]) == [True]
    assert truths("he bows", [event("torso", "lean", direction="left")]) == [False]
    assert truths("he leans forward", [event("torso", "bow")]) == [True]
    assert truths("he leans back", [event("torso", "bow")]) == [False]
    greeting = event("left arm", "greet", target="the person in blue", count=2)
    assert truths("he waves twice", [greeting]) == [True]
    assert truths("he waves at the person in red", [greeting]) == [False]


def test_a_raise_goes_with_the_wave_that_is_told_with_it_only():
    assert truths("he raises the left arm and waves it", [LEFT_WAVE]) == [True, True]
    clap = event("both arms", "clap", 0.1, 0.9)
    assert truths("he raises the left arm, claps, waves the left arm", [LEFT_WAVE, clap]) == [False, True, True]
    assert truths("he raises the left arm", [LEFT_WAVE]) == [False]


def test_what_cannot_be_told():
    hidden = event("left arm", "raise", observable=False)
    assert truths("he raises the left arm", [hidden]) == [None]
    assert truths("he does not raise the left arm", [hidden]) == [None]
    assert truths("he raises the right arm", [hidden]) == [False]
    assert check_caption("he raises the left arm", [hidden]).observable == 0
    assert truths("he throws a ball", [LEFT_WAVE]) == [None]
    assert truths("he does not throw a ball", [LEFT_WAVE]) == [None]
    assert truths("he throws a ball", [LEFT_WAVE], movements=["wave", "throw"]) == [False]
    ball = event("left arm", "hold", 4.0, 5.0, target="the red ball")
    assert truths("he throws a ball", [LEFT_WAVE, ball]) == [False]
    assert "do not hold throw" in reason("he throws a ball", [LEFT_WAVE])


def test_persons():
    events = [LEFT_WAVE, event("head", "nod", person=2)]
    both = [RED, BLUE]
    assert truths("the person in red waves. the person in blue nods.", events, both) == [True, True]
    assert truths("the person in blue waves. the person in red nods.", events, both) == [False, False]
    assert truths("the man in red waves. he nods.", events, both) == [True, False]
    assert truths("a person waves. somebody nods.", events, both) == [True, True]
    assert truths("the person in green waves", events, both) == [False]
    assert truths("the person in green does not wave", events, both) == [True]
    assert truths("the person waves", [LEFT_WAVE], [Subject(1, "the person")]) == [True]
    verdict = check_caption("the person in green waves", events, both).verdicts[0]
    assert verdict.reason == "there is nobody called 'the person in green'"


def test_order():
    nod = event("head", "nod", 3.0, 4.0)
    right = check_caption("he waves, then nods", [nod, LEFT_WAVE])
    assert (right.in_order, right.pairs, right.order, right.contradicted) == (1, 1, 1.0, False)
    wrong = check_caption("he nods, then waves", [nod, LEFT_WAVE])
    assert (wrong.order, wrong.count(False), wrong.contradicted) == (0.0, 0, True)
    assert check_caption("he nods while waving", [nod, LEFT_WAVE]).order is None
    assert check_caption("he nods, then waves", [LEFT_WAVE, event("head", "nod", 1.2, 2.0)]).order == 1.0
    # the nod at the end is told last, though there is one at the start
    both = [event("head", "nod", 0.0, 0.5), LEFT_WAVE, event("head", "nod", 5.0, 6.0)]
    for text in ("he waves, then nods", "he nods, then waves", "he nods, then waves, then nods"):
        assert not check_caption(text, both).contradicted
    sitting = [event("whole body", "sit", 1.0, 5.0), event("both arms", "clap", 6.0, 7.0)]
    assert check_caption("he sits, then stands up, then claps", sitting).order == 1.0
    assert check_caption("he sits, then claps, then stands up", sitting).order == pytest.approx(2 / 3)


def test_silence_does_not_score():
    events = [LEFT_WAVE, event("head", "nod", 3.0, 4.0)]
    silent = check_caption("Somebody is there.", events)
    assert (silent.precision, silent.coverage, silent.recall, silent.contradicted) == (None, 0.0, 0.0, False)
    figures = score_captions([silent])
    assert (figures["precision"], figures["coverage"], figures["f1"], figures["silent"]) == (None, 0.0, 0.0, 1)
    whole = check_caption("he waves, then nods", events)
    assert (whole.precision, whole.coverage) == (1.0, 1.0)
    figures = score_captions([silent, whole, check_caption("he claps and waves", events)])
    assert figures["precision"] == pytest.approx(3 / 4)
    assert figures["coverage"] == figures["recall"] == pytest.approx(3 / 6)
    assert figures["f1"] == pytest.approx(0.6)
    assert figures["contradicted"] == pytest.approx(1 / 3)
    assert (figures["n_captions"], figures["n_claims"], figures["n_events"], figures["n_pairs"]) == (3, 4, 6, 1)
    assert score_captions([])["f1"] == 0.0


def test_what_is_said_to_be_absent_covers_nothing():
    grounding = check_caption("he does not nod", [LEFT_WAVE])
    assert (grounding.precision, grounding.coverage) == (1.0, 0.0)


def test_claims_may_be_given_read():
    claim = Claim("left arm", "wave", count=2)
    assert check_claims([claim], [LEFT_WAVE]).precision == 1.0
    assert check_claims("he waves", [LEFT_WAVE]) == check_caption("he waves", [LEFT_WAVE])


def test_narration_holds_against_its_own_events():
    events = [
        event("whole body", "sit", -1.0, 9.0), event("left arm", "greet", 1.0, 3.0, target=BLUE.name, count=4),
        event("head", "nod", 1.1, 2.0, count=2), event("right arm", "handshake", 4.0, 5.0, target=BLUE.name),
        event("left arm", "handshake", 4.0, 5.0, person=2, target=RED.name), event("right leg", "kick", 6.0, 7.0, person=2),
    ]  # fmt: skip
    grounding = check_caption(narrate(events, [RED, BLUE]), events, [RED, BLUE], 10.0)
    assert (grounding.precision, grounding.coverage, grounding.order) == (1.0, 1.0, 1.0)
    own = [one for one in events if one.person == 2]
    assert check_caption(describe(events, BLUE), own, [BLUE], 10.0).coverage == 1.0


def test_events_of_strangers_are_an_error():
    message = r"expected events of the persons \[1\], found events of \[2\]: name those persons too"
    with pytest.raises(DataError, match=message):
        check_caption("he nods", [event("head", "nod", person=2)], [RED])
