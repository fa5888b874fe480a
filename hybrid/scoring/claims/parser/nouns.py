"""Noun phrases: "both of his hands", "4 big steps", "the back of the head", "the person in red", "a waving motion"."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hybrid.scoring.claims.parser.chunk import Chunk
from hybrid.scoring.claims.parser.lexicon import lexicon

WAYS = ("forward", "backwards", "sideways")
_KEPT = (*WAYS, "back", "side", "circular", "other", "opposite", "high", "upper")  # adjectives that later rules ask for
_PARTS_OF = ("front", "back", "top", "side", "middle", "bottom", "rest")
_MOST = 45  # larger numbers are degrees
_NO_MOTION = ("use", "do", "make", "box")  # "a box motion", "using motion": not that verb


@dataclass
class _Modifiers:
    """What stands before the noun."""

    determiner: str = ""
    number: int | None = None
    sides: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    vague: bool = False
    adjectives: bool = False

    @property
    def counted(self) -> bool:
        return bool(self.determiner) or self.number is not None or self.vague

    @property
    def any(self) -> bool:
        return self.counted or bool(self.sides)


def noun_phrase(words: list[str], at: int, last: Chunk | None) -> tuple[Chunk | None, int]:
    """The noun phrase that begins at word `at` and the place behind it, or (None, at). last: the chunk before."""
    told, j = _modifiers(words, at)
    head, known = _at(words, j), lexicon()
    if head in known.body:
        return _limb(head, told), j + 1
    verb = verb_at(words, j)
    if (
        verb is not None
        and _at(words, j + 1) in known.motions
        and verb.value not in _NO_MOTION
        and verb.form != "third"
    ):
        return _nominal(verb, told), j + 2
    if head in known.persons:
        return _person(words, j, told)
    if head in ("box", "boxes") and told.any:
        return _thing(words, at, j)
    if verb is not None and head in known.noun_verbs and verb.form in ("base", "third"):
        if told.counted or (told.sides and told.adjectives):
            return _nominal(verb, told), j + 1
        if told.adjectives and verb.form == "third" and verb.value in known.repeated and _kind(last) == "verb":
            return _nominal(verb, told), j + 1  # "takes small steps"
    if head in known.targets:
        return Chunk("part", head, target=known.targets[head]), j + 1
    if head in known.parts:
        return Chunk("part", head), j + 1
    if head in known.motions and (told.any or verb is None or _kind(last) in ("verb", "prep", "limb")):
        return Chunk("motion", head, tags=frozenset(told.tags)), j + 1
    if head in known.things and (head != "boxes" or told.any):
        return _thing(words, at, j)
    if told.determiner and head.isalpha() and not _begins_something(words, j) and _form(verb) != "third":
        while _at(words, j + 1).isalpha() and not _known(words, j + 1):
            j += 1
        return _thing(words, at, j)
    return None, at


def verb_at(words: list[str], at: int, form: str | None = None) -> Chunk | None:
    """The verb at word `at`, in `form` if that is given; None where there is none."""
    found = lexicon().verb(_at(words, at))
    if found is None or (form is not None and form not in found[1]):
        return None
    return Chunk("verb", found[0], form=form or found[1][0])


def _modifiers(words: list[str], at: int) -> tuple[_Modifiers, int]:
    """Everything before the noun, and the place of the noun."""
    told, known, j = _Modifiers(), lexicon(), at
    while j < len(words):
        word, behind = words[j], _at(words, j + 1)
        if word in known.determiners and not (word == "one" and behind == "another"):
            told.determiner = f"{told.determiner} {word}".strip()
        elif (number := known.number(word)) is not None:
            told.number = number if number < _MOST else told.number
        elif word in ("left", "right"):
            told.sides.append(word)
        elif word in ("and", "or", "&", "/") and told.sides and _side_follows(words, j + 1):
            pass  # "left and right", "left and his right"
        elif word == "of" and j > at and (behind in known.determiners or behind in ("left", "right", "them")):
            told.determiner += " of"
        elif word in known.vague:
            told.vague = True
            j += behind == "of"
        elif word in WAYS and not told.counted:
            break  # "forward a few steps": a place of its own
        elif word in known.adjectives and not (known.verb(word) and behind in known.determiners):
            told.adjectives = True
            if word in _KEPT:
                told.tags.add("backwards" if word == "back" else word)
            j += word in _PARTS_OF and behind == "of"
        elif word in _PARTS_OF and behind == "of":
            j += 1
        else:
            break
        j += 1
    return told, j


def _side_follows(words: list[str], at: int) -> bool:
    sides = ("left", "right")
    return _at(words, at) in sides or (_at(words, at) in ("his", "their", "the") and _at(words, at + 1) in sides)


def _limb(head: str, told: _Modifiers) -> Chunk:
    words, known = told.determiner.split(), lexicon()
    side = told.sides[-1] if told.sides else None
    if {"both", "each", "either"} & set(words) or told.number == 2 or len(set(told.sides)) == 2:
        side = "both"
    elif told.number == 1 and side is None:
        side = "one"
    elif told.tags & {"other", "opposite"} or "another" in words:
        side = "other"
    return Chunk(
        "limb", known.body[head], side=side, plural=head in known.plural, tags=frozenset({*told.tags, head, *words}),
        target=known.targets.get(head),
    )  # fmt: skip


def _nominal(verb: Chunk, told: _Modifiers) -> Chunk:
    side = told.sides[-1] if told.sides else None
    return replace(verb, nominal=True, count=told.number, tags=frozenset(told.tags), side=side)


def _person(words: list[str], j: int, told: _Modifiers) -> tuple[Chunk, int]:
    """ "a man", "the person in red", "the person in the red shirt"; "it" may be a person or a thing."""
    head = words[j]
    if head == "it":
        return Chunk("it", "it"), j + 1
    name, colours = f"{told.determiner} {head}".strip(), lexicon().colours
    k = j + 2 + (_at(words, j + 2) == "the")
    if _at(words, j + 1) == "in" and _at(words, k) in colours:
        name, j = f"{name} in {words[k]}", k
        j += _at(words, j + 1) in ("shirt", "top")
    return Chunk("person", name), j + 1


def _thing(words: list[str], at: int, j: int) -> tuple[Chunk, int]:
    return Chunk("it" if words[j] in ("it", "them") else "thing", " ".join(words[at : j + 1])), j + 1


def _begins_something(words: list[str], j: int) -> bool:
    return lexicon().longest(words, j)[0] > 0 or words[j] in lexicon().prepositions


def _known(words: list[str], j: int) -> bool:
    """Whether word j cannot be part of the name of a thing."""
    word, known = words[j], lexicon()
    other = word in known.determiners or word in known.adjectives or word in known.persons or word.endswith("ly")
    return (
        other
        or word in ("left", "right", "who", "that")
        or verb_at(words, j) is not None
        or _begins_something(words, j)
    )


def _at(words: list[str], place: int) -> str:
    return words[place] if place < len(words) else ""


def _kind(chunk: Chunk | None) -> str:
    return "" if chunk is None else chunk.kind


def _form(verb: Chunk | None) -> str:
    return "" if verb is None else verb.form
