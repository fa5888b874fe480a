"""The closed vocabulary of limb movements, read from vocabulary.json.

Events, questions, captions, checker and Marionette all speak these words and no others; adding a
movement is one entry in the data file. Left and right are always the person's own. "greet" reads "waves
at": it is a movement of its own because its target is a person.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from skeleton.errors import SkeletonError

FORMS = ("base", "third", "gerund")
_FILE = Path(__file__).with_name("vocabulary.json")


class VocabularyError(SkeletonError):
    """A word that the closed vocabulary does not hold, or a combination that it does not allow."""


@dataclass(frozen=True)
class Movement:
    """One movement: its verb in three forms, the limb groups that can do it, and what else it carries."""

    name: str
    verb: tuple[str, str, str]  # base, third person, gerund
    pattern: str  # with {verb}, {limb}, {target}
    limbs: tuple[str, ...]  # limb groups: arm, leg, head, torso, whole body
    directions: dict[str, tuple[str, ...]] = field(default_factory=dict)  # limb group -> legal directions
    counted: bool = False
    target: str | None = None  # body, object, person, or None
    posture: str | None = None  # the posture that the movement leads to


@dataclass(frozen=True)
class Vocabulary:
    """Everything vocabulary.json holds. `limbs` maps each limb to its group."""

    version: int
    limbs: dict[str, str]
    directions: dict[str, dict[str, str]]
    movements: dict[str, Movement]
    postures: tuple[str, ...]
    body_targets: tuple[str, ...]
    object_kinds: tuple[str, ...]
    object_colours: tuple[str, ...]
    shirt_colours: tuple[str, ...]

    def movement(self, name: str) -> Movement:
        """The movement called `name`; VocabularyError lists the legal names."""
        return _look_up(self.movements, name, "movement")

    def group(self, limb: str) -> str:
        """Limb group (arm, leg, head, torso, whole body) of `limb`; VocabularyError lists the limbs."""
        return _look_up(self.limbs, limb, "limb")

    def opposite(self, direction: str) -> str:
        """left <-> right, up <-> down, forward <-> back."""
        return _look_up(self.directions, direction, "direction")["opposite"]

    def objects(self) -> tuple[str, ...]:
        """Every object name, such as "the red ball"."""
        return tuple(f"the {colour} {kind}" for kind in self.object_kinds for colour in self.object_colours)


def _look_up(table: dict, name: str, what: str):
    if name not in table:
        raise VocabularyError(
            f"expected a {what} of the vocabulary ({', '.join(table)}), found {name!r}: "
            f"use one of these or add it to {_FILE.name}"
        )
    return table[name]


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary, read once."""
    data = json.loads(_FILE.read_text(encoding="utf-8"))
    movements = {}
    for name, entry in data.pop("movements").items():
        directions = {group: tuple(words) for group, words in entry.pop("directions", {}).items()}
        verb, limbs = tuple(entry.pop("verb")), tuple(entry.pop("limbs"))
        movements[name] = Movement(name=name, verb=verb, limbs=limbs, directions=directions, **entry)
    lists = {key: tuple(value) for key, value in data.items() if isinstance(value, list)}
    return Vocabulary(**{**data, **lists}, movements=movements)


def flip_side(limb: str) -> str:
    """left <-> right in the name of a limb; a limb without a side is returned unchanged."""
    if limb.startswith("left "):
        return "right " + limb.removeprefix("left ")
    if limb.startswith("right "):
        return "left " + limb.removeprefix("right ")
    return limb


def limb_phrase(limb: str) -> str:
    """ "the left arm", "both arms", "the head"."""
    return limb if limb.startswith("both ") else f"the {limb}"


def phrase(
    movement: str, limb: str, form: str = "base", direction: str | None = None, target: str | None = None
) -> str:
    """A verb phrase such as "wave the left arm", "leaning to the left", "reaches for the red ball with the
    right arm". `form` is one of FORMS; `direction` is appended when given. VocabularyError on unknown
    words, or when the movement needs a target and none is given."""
    words = vocabulary()
    entry = words.movement(movement)
    words.group(limb)
    if form not in FORMS:
        raise VocabularyError(f"expected a verb form of {FORMS}, found {form!r}: use one of these")
    if entry.target is not None and target is None:
        raise VocabularyError(
            f"expected a target ({entry.target}) for the movement {movement!r}, found none: name what or whom"
        )
    text = entry.pattern.format(verb=entry.verb[FORMS.index(form)], limb=limb_phrase(limb), target=target)
    if direction is not None:
        text += " " + _look_up(words.directions, direction, "direction")["phrase"]
    return text
