"""Whether what a caption says is so: motion claims against limb events.

A claim is true when an observable event of that person has the same movement and limb and does not contradict what
else is told (direction, count, target, time). Decisions that matter:
- Silence scores nothing: an empty caption has no precision, and every event it leaves out lowers the coverage.
- Claims and events are matched one to one, so two waves in different steps need two; a movement that lasts (walk,
  run, hold, a posture) may be told again. Of several matchings the one that keeps the told order is taken.
- "arm" is any arm; one arm of an event of both is true; both arms are one event of both or two at the same time.
- Implied: a raised limb is lowered where the raise ends before the clip does, a posture ends in standing, a raise
  goes with the wave or touch of that arm that is told with it. A step may be part of a walk, two steps are a walk. To
  lean forward is to bow. Greeting is waving.
- Cannot tell: what only an unobservable event could settle; things and other persons where no event has any.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from hybrid.errors import DataError
from hybrid.scoring.claims.facts import Fact, Mismatch, compare, facts_of, named_person
from hybrid.scoring.claims.matching import is_reversed, match
from hybrid.scoring.claims.read_claims import Claim, parse_claims
from hybrid.scoring.report import wilson
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary
from skeleton.language.event_questions import Subject

_WITH_RAISE = ("wave", "greet", "touch", "reach", "throw", "hold")


@dataclass(frozen=True)
class Verdict:
    """truth: True, False, or None where the events cannot tell; events: indices of those that the claim tells."""

    claim: Claim
    truth: bool | None
    reason: str
    events: tuple[int, ...] = ()
    start: float | None = None  # seconds at which what is told begins


@dataclass(frozen=True)
class Grounding:
    """Verdicts of one caption. in_order of `pairs` pairs of true claims keep the told order; of `observable` events
    `told` are told by a true claim."""

    verdicts: tuple[Verdict, ...]
    in_order: int
    pairs: int
    told: int
    observable: int

    def count(self, truth: bool | None) -> int:
        """How many claims have this verdict."""
        return sum(verdict.truth is truth for verdict in self.verdicts)

    @property
    def precision(self) -> float | None:
        """Share of true claims among those that can be told; None without any."""
        return _share(self.count(True), self.count(True) + self.count(False))

    @property
    def coverage(self) -> float | None:
        """Share of the observable events that are told; None where there is nothing to tell."""
        return _share(self.told, self.observable)

    recall = coverage

    @property
    def order(self) -> float | None:
        """Share of pairs in the told order; None without pairs."""
        return _share(self.in_order, self.pairs)

    @property
    def contradicted(self) -> bool:
        """Whether anything told is false, a movement or an order."""
        return self.count(False) > 0 or self.in_order < self.pairs


def check_caption(
    text: str,
    events: Sequence[LimbEvent],
    subjects: Sequence[Subject] | None = None,
    duration: float | None = None,
    movements: Collection[str] | None = None,
) -> Grounding:
    """The verdicts on what `text` claims about a clip; see check_claims."""
    return check_claims(parse_claims(text), events, subjects, duration, movements)


def check_claims(
    claims: Sequence[Claim] | str,
    events: Sequence[LimbEvent],
    subjects: Sequence[Subject] | None = None,
    duration: float | None = None,
    movements: Collection[str] | None = None,
) -> Grounding:
    """A verdict for each claim.

    subjects: the persons of the clip by name; without them a claim may be about anybody. duration: seconds of the clip.
    movements: what the events would hold if it happened; by default all of the vocabulary, but those with things or
    other persons only where some event has them. Raises DataError when an event belongs to none of the subjects.
    """
    claims = parse_claims(claims) if isinstance(claims, str) else list(claims)
    if subjects is not None and (strangers := {event.person for event in events} - {one.person for one in subjects}):
        raise DataError(
            f"expected events of the persons {sorted(one.person for one in subjects)}, found events of "
            f"{sorted(strangers)}: name those persons too"
        )
    facts = facts_of(events, duration)
    persons = [named_person(claim.person, subjects) for claim in claims]
    table = [[compare(claim, fact, person) for fact in facts] for claim, person in zip(claims, persons, strict=True)]
    chosen, again = match(claims, facts, table)
    knowable = _knowable(events) if movements is None else set(movements)
    verdicts = [
        _verdict(claim, person, row, facts, chosen.get(place), knowable)
        for place, (claim, person, row) in enumerate(zip(claims, persons, table, strict=True))
    ]
    verdicts = [replace(v, start=None) if place in again else v for place, v in enumerate(verdicts)]
    verdicts = [_with_raise(verdict, verdicts) for verdict in verdicts]
    in_order, pairs = _order(verdicts)
    told = {event for verdict in verdicts if verdict.truth and not verdict.claim.negated for event in verdict.events}
    return Grounding(tuple(verdicts), in_order, pairs, len(told), sum(event.observable for event in events))


def score_captions(groundings: Iterable[Grounding]) -> dict:
    """Figures over captions, counted claim by claim and event by event (not averaged over captions)."""
    found = list(groundings)
    true, false, unsure = (sum(one.count(truth) for one in found) for truth in (True, False, None))
    told, observable = sum(one.told for one in found), sum(one.observable for one in found)
    in_order, pairs = sum(one.in_order for one in found), sum(one.pairs for one in found)
    precision, coverage = _share(true, true + false), _share(told, observable)
    both = (precision or 0.0) + (coverage or 0.0)
    return {
        "precision": precision,
        "precision_ci95": wilson(true, true + false),
        "recall": coverage,
        "coverage": coverage,
        "f1": 2 * (precision or 0.0) * (coverage or 0.0) / both if both else 0.0,
        "order": _share(in_order, pairs),
        "contradicted": _share(sum(one.contradicted for one in found), len(found)),
        "n_captions": len(found),
        "n_claims": true + false + unsure,
        "n_events": observable,
        "n_pairs": pairs,
        "cannot_tell": unsure,
        "silent": sum(not one.verdicts for one in found),
    }


def _verdict(
    claim: Claim, person: int | None, row: list[list[Mismatch]], facts: list[Fact], fact: int | None, knowable: set[str]
) -> Verdict:
    hidden = any(not mismatch and not other.observable for mismatch, other in zip(row, facts, strict=True))
    seen = next((j for j, mismatch in enumerate(row) if not mismatch and facts[j].observable), None)
    if person == -1:
        return Verdict(claim, claim.negated, f"there is nobody called {claim.person!r}")
    if claim.negated:
        if seen is not None:
            return Verdict(
                claim, False, f"said not, but {facts[seen].words} was seen", facts[seen].events, facts[seen].start
            )
        if hidden or claim.movement not in knowable:
            return Verdict(claim, None, "an event that would settle it cannot be observed")
        return Verdict(claim, True, "no such event")
    if fact is not None:
        return Verdict(claim, True, facts[fact].words, facts[fact].events, facts[fact].start)
    if hidden:
        return Verdict(claim, None, "an event that would settle it cannot be observed")
    if seen is not None:
        return Verdict(claim, False, f"{facts[seen].words} was seen, but is told already")
    if claim.movement not in knowable:
        return Verdict(claim, None, f"these events do not hold {claim.movement}")
    near = [
        (len(mismatch), j) for j, mismatch in enumerate(row) if facts[j].observable and all(m.near for m in mismatch)
    ]
    if near:
        _, j = min(near)
        return Verdict(claim, False, "; ".join(f"said {m.said}, it was {m.was}" for m in row[j]))
    return Verdict(claim, False, f"no {claim.movement} was seen")


def _with_raise(verdict: Verdict, verdicts: list[Verdict]) -> Verdict:
    """An arm that waves or touches has been raised: "raises the arm and waves" tells one event."""
    claim = verdict.claim
    if verdict.truth is not False or claim.movement != "raise" or claim.negated or claim.direction not in (None, "up"):
        return verdict
    for other in verdicts:
        told = other.claim
        together = 0 <= told.step - claim.step <= 1 and told.limb == claim.limb and told.person == claim.person
        if together and other.truth and not told.negated and told.movement in _WITH_RAISE:
            return Verdict(claim, True, f"goes with: {other.reason}", (), other.start)
    return verdict


def _order(verdicts: list[Verdict]) -> tuple[int, int]:
    """(pairs in the told order, pairs) of true claims of different steps and different events."""
    told = [v for v in verdicts if v.truth and not v.claim.negated and v.start is not None]
    pairs = [
        (first, later)
        for first in told
        for later in told
        if first.claim.step < later.claim.step and not set(first.events) & set(later.events)
    ]
    wrong = sum(is_reversed(a.claim.step - b.claim.step, a.start - b.start) for a, b in pairs)
    return len(pairs) - wrong, len(pairs)


def _knowable(events: Sequence[LimbEvent]) -> set[str]:
    """Movements that such events would hold: those with things or other persons only where one of them has any."""
    movements = vocabulary().movements
    kinds = {movements[event.movement].target for event in events} | {None, "body"}
    known = {name for name, movement in movements.items() if movement.target in kinds}
    return known | {"wave", "greet"}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
