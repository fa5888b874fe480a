"""Reading motion claims: our own narration word by word, the guide's examples, and what stands around a claim."""

from itertools import product
from random import Random

import pytest

from hybrid.scoring.claims.parser.clauses import clauses
from hybrid.scoring.claims.parser.lexicon import lexicon
from hybrid.scoring.claims.parser.wording import chunks, tokens
from hybrid.scoring.claims.read_claims import Claim, parse_claims
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import FORMS, phrase, vocabulary
from skeleton.language.event_captions import NOTHING, describe, narrate
from skeleton.language.event_questions import Subject

SUBJECTS = [Subject(1, "the person in red"), Subject(2, "the person in blue")]
TARGETS = {None: None, "body": "the belly", "object": "the red ball", "person": "the person in blue"}


def said(text):
    """Steps of claims as in the labels: LIMB|MOVEMENT|DIRECTION|COUNT|TARGET."""
    steps = {}
    for claim in parse_claims(text):
        parts = [claim.limb, claim.movement, claim.direction or "", str(claim.count or ""), claim.target or ""]
        steps.setdefault(claim.step, []).append(("not " if claim.negated else "") + "|".join(parts).rstrip("|"))
    return [steps[step] for step in sorted(steps)]


def every_event():
    words = vocabulary()
    for name, movement in words.movements.items():
        for limb in (limb for limb, group in words.limbs.items() if group in movement.limbs):
            for direction in (None, *movement.directions.get(words.group(limb), ())):
                if (name, limb) in (("clap", "left arm"), ("clap", "right arm")) or (name, direction) == ("lean", None):
                    continue  # nobody claps with one arm; to lean has a direction
                for count in (1, 3) if movement.counted else (1,):
                    yield LimbEvent(
                        person=1, limb=limb, movement=name, direction=direction, count=count, start=1.2, end=2.0,
                        target=TARGETS[movement.target],
                    )  # fmt: skip


def as_event(claim):
    return claim.limb, claim.movement, claim.direction, claim.count, claim.target


def wanted(event):
    limb = "arm" if event.movement == "handshake" else event.limb  # "shakes hands" does not say which
    counted = vocabulary().movement(event.movement).counted
    return limb, event.movement, event.direction, event.count if counted else None, event.target


@pytest.mark.parametrize("event", list(every_event()), ids=lambda event: f"{event.phrase()} {event.count}")
def test_every_sentence_of_our_own_narration_is_read_back(event):
    nod = LimbEvent(person=1, limb="head", movement="nod", start=1.25, end=2.0, count=7)
    for events in ([event], [event, nod]):
        text = narrate(events, SUBJECTS)
        found = [claim for claim in parse_claims(text) if claim.count != 7]
        assert [as_event(claim) for claim in found] == [wanted(event)], text
        assert (found[0].person, found[0].start, found[0].end, found[0].step) == ("the person in red", 1.2, 1.2, 0)
        assert {claim.step for claim in parse_claims(text)} == {0}
    text = describe([event, LimbEvent(**{**nod.__dict__, "start": 3.0, "end": 4.0})], SUBJECTS[0])
    first, second = parse_claims(text)
    assert as_event(first) == wanted(event) and second.movement == "nod"
    assert (first.step, second.step, second.person, first.start) == (0, 1, "the person in red", None)


@pytest.mark.parametrize(("name", "form"), list(product(vocabulary().movements, FORMS)))
def test_every_verb_form_of_the_vocabulary_is_known(name, form):
    movement = vocabulary().movement(name)
    limb = next(limb for limb, group in vocabulary().limbs.items() if group in movement.limbs)
    direction = "left" if name == "lean" else None
    text = phrase(name, "both arms" if name == "clap" else limb, form, direction, TARGETS[movement.target])
    if form == "gerund":
        text = f"they pause while {text}"
    assert [claim.movement for claim in parse_claims(text)] == [name], text


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a person raises the right arm up", [["right arm|raise|up"]]),
        ("she puts both arms up in front of herself", [["both arms|raise|forward"]]),
        ("a man stretches his arms above the head and outward", [["both arms|raise|up"]]),
        ("someone holds the left arm out to the side", [["left arm|raise|left"]]),
        ("he stretches his arms.", []),
        ("a person stands in a t-pose", [["both arms|raise"]]),
        ("a person waves above the head with the left hand", [["left arm|wave"]]),
        ("a person waves", [["arm|wave"]]),
        ("he puts up the left hand, then the right hand", [["left arm|raise|up"], ["right arm|raise|up"]]),
        ("a person raises the left hand, then the right", [["left arm|raise"], ["right arm|raise"]]),
        ("a man lifts his left knee and then the other one", [["left leg|raise"], ["right leg|raise"]]),
        ("a person lifts the left arm and the right leg", [["left arm|raise", "right leg|raise"]]),
        ("he alternates kicking", [["both legs|kick"]]),
        ("a person grabs something, then places it with the left hand", [["arm|reach"]]),
        ("a person moves his arms up and down", [["both arms|raise|up"], ["both arms|lower"]]),
        ("someone drops the arms to the sides", [["both arms|lower"]]),
        ("he raises the hand to touch the head", [["arm|raise", "arm|touch|||the head"]]),
        ("a person scratches their nose", [["arm|touch|||the head"]]),
        ("a person with hands on hips walks", [["both arms|touch|||the hip", "whole body|walk"]]),
        ("he puts his hands on his knees", []),
        ("a person claps their hands twice", [["both arms|clap||2"]]),
        ("a person throws three punches with the right hand", [["right arm|punch||3"]]),
        ("a person reaches forward with one arm", [["arm|reach"]]),
        ("he reaches the left arm upwards", [["left arm|raise|up"]]),
        ("he walks up to shake hands", [["whole body|walk"], ["arm|handshake"]]),
        ("a person shakes out his hands", []),
        ("a person shakes his head", [["head|shake"]]),
        ("she looks left and right", [["head|turn|left"], ["head|turn|right"]]),
        ("she looks at the wall", []),
        ("a man tilts his head down and to the right", [["head|tilt|right"]]),
        ("a person leans over the table", [["torso|bow"]]),
        ("a person leans to the left", [["torso|lean|left"]]),
        ("leans down to a kneeled position", [["whole body|kneel"]]),
        ("he bends his knees", [["both legs|bend"]]),
        ("a person sits and then stands back up", [["whole body|sit"], ["whole body|stand"]]),
        ("a person is standing still", []),
        ("a person does jumping jacks", [["whole body|jump"]]),
        ("a person takes four steps forward", [["whole body|step|forward|4"]]),
        ("a person walks a few steps forward", [["whole body|walk|forward"]]),
        ("a person runs five steps", [["whole body|run"]]),
        ("a person steps carefully while walking forward", [["whole body|walk|forward"]]),
        ("he walks forward and to the right", [["whole body|walk|forward"]]),
        ("he walks from side to side", [["whole body|walk"]]),
        ("a person steps to the left and to the right", [["whole body|step|left"], ["whole body|step|right"]]),
        ("a person steps to the side, then back", [["whole body|step"], ["whole body|step"]]),
        ("a person takes one step back", [["whole body|step|back|1"]]),
        ("he steps forward, turns and walks back", [["whole body|step|forward"], ["whole body|pivot"], ["whole body|walk"]]),
        ("a man turns counter-clockwise", [["whole body|pivot|left"]]),
        ("a man spins his wrists", [["both arms|circle"]]),
        ("the person is dancing and swimming", []),
        ("the man pours water and wipes the table", []),
        ("a person is preparing to throw a ball", []),
        ("a person pretends to throw a ball", [["arm|throw"]]),
        ("a man walks as if he carries a box", [["whole body|walk", "arm|hold"]]),
    ],
)  # fmt: skip
def test_examples_of_the_guide(text, steps):
    assert said(text) == steps


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("he waves and walks", 1), ("he waves and claps", 2), ("he waves while clapping", 1), ("he waves, then claps", 2),
        ("he waves before clapping", 2), ("he waves. he claps.", 2), ("he waves, kicking", 1), ("he waves, kicks", 2),
        ("he walks with both arms up", 1), ("he stands with both arms up, kicks", 1), ("while walking he waves", 1),
        ("he sits and stands up", 2), ("he turns to kick", 2), ("he bends down to pick up a box", 1),
    ],
)  # fmt: skip
def test_steps(text, steps):
    assert len(parse_claims(text)) == 2
    assert len(said(text)) == steps


def test_before_and_after_give_the_order_in_time_and_not_of_the_words():
    assert said("he claps after sitting down") == [["whole body|sit"], ["both arms|clap"]]
    assert said("after sitting down he claps") == [["whole body|sit"], ["both arms|clap"]]
    assert said("before clapping, he sits down") == [["whole body|sit"], ["both arms|clap"]]


def test_while_after_a_sequence_is_said_of_its_first_step():
    assert said("he sits, then nods while waving") == [["whole body|sit", "arm|wave"], ["head|nod"]]


def test_a_limb_that_was_raised_does_what_follows():
    assert said("he raises the left arm and waves") == [["left arm|raise"], ["left arm|wave"]]
    assert said("he kicks with the left leg and waves") == [["left leg|kick", "arm|wave"]]


def test_denied_movements():
    assert said("the person does not raise the left arm") == [["not left arm|raise"]]
    assert said("he doesn't nod but claps") == [["not head|nod", "both arms|clap"]]
    assert said("he waves without bending the knees") == [["arm|wave", "not both legs|bend"]]
    assert said("the person neither walks nor runs") == [["not whole body|walk"], ["not whole body|run"]]


def test_told_times():
    claims = parse_claims("From 1.0 to 2.5 s he nods. Between 3 and 4 seconds he claps. At 5 s he bows for 2 seconds.")
    assert [(claim.movement, claim.start, claim.end) for claim in claims] == [
        ("nod", 1.0, 2.5), ("clap", 3.0, 4.0), ("bow", 5.0, 5.0),
    ]  # fmt: skip
    claims = parse_claims("From the beginning the person sits down. He waves then nods.")
    assert [(claim.start, claim.end) for claim in claims] == [(0.0, 0.0), (None, None), (None, None)]


def test_persons_are_the_subjects_and_pronouns_repeat_them():
    claims = parse_claims("The person in red waves. He nods. The person in the blue shirt claps and she bows.")
    red, blue = "the person in red", "the person in blue"
    assert [claim.person for claim in claims] == [red, red, blue, blue]
    assert parse_claims("waving")[0].person is None
    assert [claim.person for claim in parse_claims("while waving, the man claps")] == ["the man", "the man"]


def test_targets_are_things_and_persons_of_the_vocabulary():
    greeting = parse_claims("the person in red waves the left arm at the person in blue twice")[0]
    assert greeting == Claim(
        "left arm", "greet", None, 2, "the person in blue", person="the person in red", span=greeting.span
    )
    assert parse_claims("he waves at somebody")[0].movement == "wave"
    assert parse_claims("he throws the green bottle with the right arm")[0].target == "the green bottle"
    assert parse_claims("he throws a stone")[0].target is None
    assert [claim.target for claim in parse_claims("he touches his head and shoulder")] == ["the head", "the shoulder"]


def test_spans_hold_the_words_that_were_read():
    text = "A  MAN waves his left hand, then sits down."
    assert [text[slice(*claim.span)] for claim in parse_claims(text)] == ["waves his left hand", "sits down"]


def test_silence_claims_nothing():
    assert parse_claims("") == parse_claims(NOTHING) == parse_claims("?! ..., 12 &") == []


def test_spelling_is_mended_and_characters_are_kept():
    read = tokens("aman steps foward")
    assert [token.word for token in read] == ["a", "man", "steps", "forward"]
    assert [(token.start, token.end) for token in read] == [(0, 4), (0, 4), (5, 10), (11, 17)]
    assert said("aman runs foward") == [["whole body|run|forward"]]


def test_stages_can_be_read_one_by_one():
    read = chunks("he takes 4 big steps to his left, then raises both of his hands")
    assert [chunk.kind for chunk in read] == [
        "person", "verb", "verb", "place", "comma", "connective", "verb", "limb",
    ]  # fmt: skip
    found = clauses(read)
    assert [(clause.link, clause.verb.value) for clause in found] == [("stop", "step"), ("then", "raise")]


def test_every_frame_of_the_lexicon_speaks_the_vocabulary_and_knows_its_verbs():
    words, known = vocabulary(), lexicon()
    groups = {"none", "body", *words.limbs.values()}
    assert len(known.frames) > 50
    for verb, frames in known.frames.items():
        assert known.verb(verb) is not None, verb
        for frame in frames:
            assert set(frame.limb) <= groups
            for text in (text for step in frame.claims for text in step):
                movement, _, direction = text.partition("|")
                assert movement in words.movements and (not direction or direction in words.directions)


def test_no_text_is_too_odd():
    """Whatever order words come in, reading ends with claims of the vocabulary."""
    text = """a the his left right arm hands leg head walks waving raised up to with then and , . while on hips it person
        in red not before after steps turns throws 3 times at 1.2 s both other of is has someone's"""
    words = [*lexicon().numbers, *text.split()]
    random = Random(0)
    for _ in range(2000):
        text = " ".join(random.choice(words) for _ in range(random.randint(1, 14)))
        for claim in parse_claims(text):
            group = vocabulary().limbs.get(claim.limb, claim.limb)
            assert group in vocabulary().movement(claim.movement).limbs, text
            assert 0 <= claim.span[0] < claim.span[1] <= len(text), text
