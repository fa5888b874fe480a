"""Whether what follows "and", a comma or "with" belongs to the clause under way, or is a clause of its own."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid.scoring.claims.parser.chunk import Chunk, Clause
from hybrid.scoring.claims.parser.lexicon import lexicon

_FAMILIES = (
    frozenset(("left", "right", "side")), frozenset(("forward", "backwards", "back")), frozenset(("up", "down")),
)  # fmt: skip
_NOMINAL = ("limb", "part", "place", "thing", "prep", "side", "count", "it", "motion")
_AT = ("on", "at", "behind", "against", "to", "over", "in", "near")


def coordinates(read: Sequence[Chunk], place: int, now: Clause, comma: bool = False) -> str | None:
    """The role of what follows in the clause under way, None where it is a clause of its own: "left arm and right leg"
    and "forward and to the right" are one movement, "to the left and to the right" are two."""
    end = place
    while end < len(read) and read[end].kind in _NOMINAL:
        end += 1
    words, verb = read[place:end], read[end] if end < len(read) and read[end].kind == "verb" else None
    first = next((chunk for chunk in words if chunk.kind != "prep"), None)
    if first is None:
        return None
    if now.verb is None and not (now.before and first.kind == "place" and first is words[0]):
        return None
    if verb is not None and not verb.nominal and any(chunk.kind in ("limb", "it") for chunk in words):
        return None  # "and his arms swing"
    if words[0].kind == "prep" and words[0].value in ("with", "using") and first.kind == "limb":
        return None
    if first.kind == "place":
        earlier = {tag for _, chunk in now.arguments if chunk.kind == "place" for tag in chunk.tags}
        another = any(first.tags & family and earlier & family and not first.tags & earlier for family in _FAMILIES)
        return None if another else ""
    if first.kind in ("limb", "part"):
        return _as_limb(first, now, comma)
    return "" if first.kind in ("thing", "count", "motion") else None


def _as_limb(first: Chunk, now: Clause, comma: bool) -> str | None:
    """The role of the limb or part named last, where another may follow it."""
    role, last = now.after[-1] if now.after else ("", None)
    if last is None or last.kind not in ("limb", "part") or (comma and first.side is None):
        return None
    if first.kind == "limb" and last.kind == "part":
        return None
    return role if first.kind == last.kind or not role else None


def opens_state(read: Sequence[Chunk], place: int, now: Clause) -> bool:
    """Whether "with" before `place` opens a state ("with both arms up", "with hands on hips") and not what a movement
    is done with."""
    if _kind(read, place) != "limb" or now.verb is None:
        return False
    limb = read[place]
    named = any(chunk.kind == "limb" and chunk.value == limb.value and not role for role, chunk in now.after)
    if now.verb.value in lexicon().instrument.get(limb.value, ()) and not named:
        return False
    j = place + 1
    while _kind(read, j) == "connective" and read[j].value == "and" and _kind(read, j + 1) == "limb":
        j += 2
    if _kind(read, j) == "place":
        return bool(read[j].tags & lexicon().states)
    return _kind(read, j) == "prep" and read[j].value in _AT and _kind(read, j + 1) in ("part", "limb")


def kept_in_place(now: Clause, verb: Chunk) -> bool:
    """Whether what stands before a verb is a state: "a person with arms up walks"."""
    place = next((i for i, (role, chunk) in enumerate(now.before) if role == "with" and chunk.kind == "limb"), None)
    if place is None or verb.value in lexicon().instrument.get(now.before[place][1].value, ()):
        return False
    return any(
        (chunk.kind == "place" and chunk.tags & lexicon().states)
        or (role in ("on", "to", "at") and chunk.kind in ("part", "limb"))
        for role, chunk in now.before[place + 1 :]
    )


def _kind(read: Sequence[Chunk], place: int) -> str:
    return read[place].kind if place < len(read) else ""
