import pytest

from skeleton.events.vocabulary import VocabularyError, flip_side, limb_phrase, phrase, vocabulary


def test_every_movement_is_sound():
    words = vocabulary()
    for name, movement in words.movements.items():
        assert movement.name == name and len(movement.verb) == 3
        assert set(movement.limbs) <= set(words.limbs.values())
        assert set(movement.directions) <= set(movement.limbs)
        assert all(word in words.directions for legal in movement.directions.values() for word in legal)
        assert movement.target in (None, "body", "object", "person")
        assert ("{target}" in movement.pattern) == (movement.target is not None)
        assert movement.posture is None or movement.posture in words.postures


def test_opposites_and_sides_are_involutions():
    words = vocabulary()
    for direction in words.directions:
        assert words.opposite(direction) != direction
        assert words.opposite(words.opposite(direction)) == direction
    for limb in words.limbs:
        assert flip_side(flip_side(limb)) == limb
    assert flip_side("left leg") == "right leg" and flip_side("both arms") == "both arms"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("wave", "left arm"), "wave the left arm"),
        (("punch", "both arms", "gerund"), "punching with both arms"),
        (("lean", "torso", "third", "left"), "leans to the left"),
        (("raise", "right arm", "base", "up"), "raise the right arm up"),
        (("sit", "whole body", "third"), "sits down"),
        (("touch", "left arm", "base", None, "the hip"), "touch the hip with the left arm"),
        (("handshake", "right arm", "third", None, "the person in red"), "shakes hands with the person in red"),
        (("greet", "left arm", "gerund", None, "the person in red"), "waving the left arm at the person in red"),
    ],
)
def test_phrases(arguments, text):
    assert phrase(*arguments) == text


def test_limb_phrase():
    assert (limb_phrase("head"), limb_phrase("both legs")) == ("the head", "both legs")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vocabulary().movement("dance"), "expected a movement of the vocabulary .*wave.* found 'dance'"),
        (lambda: vocabulary().group("tail"), "expected a limb of the vocabulary .*head.* found 'tail'"),
        (lambda: vocabulary().opposite("inward"), "expected a direction of the vocabulary .* found 'inward'"),
        (lambda: phrase("wave", "left arm", "past"), "expected a verb form of .* found 'past'"),
        (lambda: phrase("hold", "left arm"), r"expected a target \(object\) for the movement 'hold', found none"),
    ],
)
def test_errors_say_what_is_legal(call, message):
    with pytest.raises(VocabularyError, match=message):
        call()
