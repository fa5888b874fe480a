"""Events as claims may tell them, and how a claim differs from one: the ground under grounding.py.

A fact is an event, or what follows from events: the two arms of simultaneous events, the lowering at the end of a
raise, the standing at the end of a posture, a walk made of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from hybrid.scoring.claims.read_claims import Claim
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary
from skeleton.language.event_questions import Subject

TOLERANCE_SECONDS = 0.5  # between a told time and an event
END_SECONDS = 0.2  # a raise that ends this close to the clip's end was not seen to be lowered
_ALIKE = ({"wave", "greet"},)
_ENDS_STANDING = ("sit", "kneel", "lie", "squat", "bow")


@dataclass(frozen=True)
class Fact:
    """What happened: words as in LimbEvent; events: indices of those it stands on; implied: it is no event itself."""

    person: int
    limb: str
    movement: str
    direction: str | None
    count: int | None
    target: str | None
    start: float
    end: float
    observable: bool
    events: tuple[int, ...]
    implied: bool = False
    words: str = ""

    def vaguer(self, claim: Claim) -> bool:
        """Whether the fact fits the claim less exactly than it could: another movement or limb by name."""
        return (self.movement, self.limb) != (claim.movement, claim.limb)


@dataclass(frozen=True)
class Mismatch:
    """One thing in which a claim differs from a fact; near: the fact is still what the claim may have meant."""

    said: str
    was: str
    near: bool = True


def facts_of(events: Sequence[LimbEvent], duration: float | None) -> list[Fact]:
    """Every fact of a clip: its events, then what follows from them."""
    facts = [_fact(event, (place,)) for place, event in enumerate(events)]
    return [*facts, *_pairs(events), *_endings(events, duration), *_walks(events)]


def compare(claim: Claim, fact: Fact, person: int | None) -> list[Mismatch]:
    """What of a claim contradicts a fact; [] when the fact makes it true."""
    found = []
    if person is not None and fact.person != person:
        return [Mismatch("", "", near=False)]
    if not _same_movement(claim, fact):
        return [Mismatch(claim.movement, fact.movement, near=False)]
    if not _same_limb(claim.limb, fact.limb):
        found.append(Mismatch(claim.limb, f"the {fact.limb}" if not fact.limb.startswith("both") else fact.limb))
    leaning = {claim.movement, fact.movement} == {"bow", "lean"}
    if None not in (claim.direction, fact.direction) and claim.direction != fact.direction and not leaning:
        found.append(Mismatch(claim.direction, fact.direction))
    if None not in (claim.count, fact.count) and claim.count != fact.count:
        found.append(Mismatch(_times(claim.count), _times(fact.count)))
    if None not in (claim.target, fact.target) and claim.target != fact.target:
        found.append(Mismatch(claim.target, fact.target))
    if claim.start is not None and not _overlaps(claim, fact):
        found.append(Mismatch(f"at {claim.start:g} s", f"at {fact.start:.1f} s"))
    return found


def named_person(name: str | None, subjects: Sequence[Subject] | None) -> int | None:
    """The person that the words of a claim mean; None: anybody, -1: nobody in the clip."""
    if not subjects:
        return None
    if len(subjects) == 1 and (name is None or " in " not in name or " in " not in subjects[0].name):
        return subjects[0].person
    if name is None:
        return None
    for subject in subjects:
        if subject.name == name or (" in " in name and subject.name.endswith(f" in {name.rpartition(' in ')[2]}")):
            return subject.person
    return -1 if " in " in name else None


def _fact(event: LimbEvent, indices: tuple[int, ...], **changes) -> Fact:
    counted = vocabulary().movement(event.movement).counted
    values = {
        "person": event.person, "limb": event.limb, "movement": event.movement,
        "direction": event.direction if event.frame_of_reference == "person" else None,
        "count": event.count if counted else None, "target": event.target, "start": event.start, "end": event.end,
        "observable": event.observable, "events": indices, "words": event.phrase("gerund"),
    }  # fmt: skip
    return Fact(**{**values, **changes})


def _pairs(events: Sequence[LimbEvent]) -> Iterator[Fact]:
    """Left and right of the same movement at the same time: both."""
    for (i, one), (j, other) in combinations(enumerate(events), 2):
        alike = (one.person, one.movement, one.direction, one.target) == (
            other.person,
            other.movement,
            other.direction,
            other.target,
        )
        if not alike or one.group != other.group or {one.limb.split()[0], other.limb.split()[0]} != {"left", "right"}:
            continue
        shared = min(one.end, other.end) - max(one.start, other.start)
        if shared >= 0.5 * min(one.end - one.start, other.end - other.start):
            both = _fact(
                one, (i, j), limb=f"both {one.group}s", start=min(one.start, other.start), end=max(one.end, other.end)
            )
            count = both.count if one.count == other.count else None
            yield Fact(**{**both.__dict__, "count": count, "observable": one.observable and other.observable})


def _endings(events: Sequence[LimbEvent], duration: float | None) -> Iterator[Fact]:
    """The lowering of what was raised, the standing up from a posture."""
    for event in events:
        movement = "lower" if event.movement == "raise" else "stand" if event.movement in _ENDS_STANDING else None
        if movement is None or (duration is not None and event.end > duration - END_SECONDS):
            continue
        limb = event.limb if movement == "lower" else "whole body"
        yield _fact(
            event, (), limb=limb, movement=movement, direction=None, count=None, start=event.end - 1e-3, end=event.end,
            implied=True, words=f"the end of {event.phrase('gerund')}",
        )  # fmt: skip


def _walks(events: Sequence[LimbEvent]) -> Iterator[Fact]:
    """Several steps in one direction: a walk."""
    steps: dict[tuple, list[int]] = {}
    for place, event in enumerate(events):
        if event.movement == "step":
            steps.setdefault((event.person, event.direction), []).append(place)
    for places in steps.values():
        if len(places) > 1:
            chosen = [events[place] for place in places]
            first, last = min(event.start for event in chosen), max(event.end for event in chosen)
            seen = all(event.observable for event in chosen)
            yield _fact(chosen[0], tuple(places), movement="walk", start=first, end=last, observable=seen, implied=True)


def _same_movement(claim: Claim, fact: Fact) -> bool:
    said, was = claim.movement, fact.movement
    if said == was or any({said, was} <= group for group in _ALIKE):
        return True
    if said == "step" and was == "walk":
        return True
    if said == "bow" and was == "lean":
        return fact.direction == "forward"
    return said == "lean" and was == "bow" and claim.direction == "forward"


def _same_limb(said: str, was: str) -> bool:
    """Whether a limb that is told is that of a fact, or part of it, or left open."""
    if said == was or vocabulary().limbs.get(was) == said:
        return True
    if "torso" in (said, was):  # a bow told of the whole body
        return {said, was} <= {"torso", "whole body"}
    return (
        was.startswith("both ") and said.split()[0] in ("left", "right") and was.split()[1].startswith(said.split()[1])
    )


def _overlaps(claim: Claim, fact: Fact) -> bool:
    return fact.start - TOLERANCE_SECONDS <= claim.end and claim.start <= fact.end + TOLERANCE_SECONDS


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
