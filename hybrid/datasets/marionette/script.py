"""Draws what one person does: a composition of limb primitives in time.

Composed primitives are those that follow each other or overlap; a pair belongs to one split (splits.py). What
the view cannot tell is drawn rarely and marked as not observable.
"""

from dataclasses import dataclass, replace

import numpy as np

from hybrid.datasets.marionette.motion import Move
from hybrid.datasets.marionette.splits import KINDS, split_of_pair
from skeleton.events.limb_event import LimbEvent
from skeleton.events.viewpoints import is_observable
from skeleton.events.vocabulary import vocabulary

POSTURES = ("sit", "kneel", "squat", "lie")
WEIGHTS = {  # how often a primitive is drawn, 1 where not listed
    "arm touch": 2.2, "arm raise": 2.0, "leg swing": 1.4, "head shake": 1.7, "head turn": 1.6, "torso lean": 1.6,
    "whole body step": 1.4,
}  # fmt: skip
VIEWS = {"front": 0.42, "back": 0.22, "left": 0.18, "right": 0.18}
EASILY_SEEN = {"up": 0.3, "down": 0.3, "forward": 0.3}  # drawn less where the kind has left and right besides
SEQUENCE_KINDS = KINDS[:18]
UPPER_KINDS = tuple(kind for kind in SEQUENCE_KINDS if kind.startswith(("arm", "head")))


@dataclass(frozen=True)
class Focus:
    """What a person's script is about: the rest is drawn freely around it. script: sequence, repetitions, posture
    or object; kind, direction, target: of the main event of a sequence; count: of repetitions; movement: of a
    posture or object script."""

    script: str
    kind: str | None = None
    direction: str | None = None
    target: str | None = None
    count: int | None = None
    movement: str | None = None


def _foci() -> tuple[Focus, ...]:
    words, result = vocabulary(), []
    for kind in ("arm raise", "head turn", "torso lean", "whole body step"):
        group, movement = kind.rsplit(" ", 1)
        result += [Focus("sequence", kind, direction) for direction in words.movement(movement).directions[group]]
    result += [Focus("sequence", "arm touch", target=target) for target in words.body_targets]
    result += [Focus("repetitions", count=count) for count in range(3, 9) for _ in range(3)]
    result += [Focus("posture", movement=movement) for movement in POSTURES * 2]
    return (*result, *(Focus("object", movement=movement) for movement in ("reach", "hold", "throw") * 2))


FOCI = _foci()


def focus_of(seed: int, number: int, place: int) -> Focus:
    """The focus of the person at `place` (0..2) of clip `number`: every focus comes up about equally often."""
    order = np.random.default_rng([seed, len(FOCI)]).permutation(len(FOCI))
    return FOCI[order[(3 * number + place) % len(FOCI)]]


def fitting_view(rng: np.random.Generator, focus: Focus) -> str:
    """A view (front oftenest) that can tell the main event of the focus."""
    views = list(VIEWS)
    if focus.direction or focus.target:
        group, movement = focus.kind.rsplit(" ", 1)
        limb = f"left {group}" if group == "arm" else group
        main = LimbEvent(
            person=0, limb=limb, movement=movement, direction=focus.direction, target=focus.target, start=0.0, end=1.0
        )
        views = [view for view in views if is_observable(main, view)]
    weights = np.array([VIEWS[view] for view in views])
    return str(rng.choice(views, p=weights / weights.sum()))


def lead_of(event: LimbEvent) -> float:
    """Seconds in which an arm gets ready to wave or punch; many repetitions leave little time for it."""
    return 0.5 if event.count < 5 else 0.32


class Composer:
    """Draws moves for one person; `unseen` is the rate of events that the view cannot tell. Who has somebody straight
    ahead makes no plain wave, because that is a greeting."""

    def __init__(
        self, rng: np.random.Generator, split: str, view: str, person: int, duration: float, faces_somebody: bool
    ) -> None:
        self.rng, self.split, self.view, self.person, self.duration = rng, split, view, person, duration
        self.moves: list[Move] = []
        self.used = {"wave"} if faces_somebody else set()  # movements; none is drawn twice
        self.unseen = 0.04

    def sequence(
        self, kinds: tuple[str, ...] = SEQUENCE_KINDS, focus: Focus | None = None, posture: str | None = None
    ) -> None:
        """Two or three events, one after the other; that of the focus stands anywhere among them."""
        wanted = 2 if posture else int(self.rng.choice([2, 3], p=[0.3, 0.7]))
        most = 4 - wanted if wanted < 3 else 2
        place = int(self.rng.integers(wanted))
        chosen: list[LimbEvent | None] = [None] * wanted
        for i in [*range(place, wanted), *reversed(range(place))]:
            before, after = ([event for event in part if event] for part in (chosen[:i], chosen[i + 1 :]))
            beside = [_kind(event) for event in before[-1:] + after[:1]] + ([posture] if posture else [])
            main = focus if i == place else None
            chosen[i] = self._draw((main.kind,) if main else kinds, beside, most, focus=main)
        self._lay_out([event for event in chosen if event is not None], chosen[place])

    def repetitions(self, count: int) -> None:
        """One counted event of `count` cycles, and what else fits around or beside it."""
        counted = tuple(kind for kind in SEQUENCE_KINDS if _counted(kind))
        event = self._draw(counted, [], exactly=count)
        second = self._draw(SEQUENCE_KINDS, [_kind(event)], most=2)
        length = event.end - event.start
        if second is not None and length + (second.end - second.start) < self.duration - 0.6:
            chosen = [event, second]
            self._lay_out([chosen[i] for i in self.rng.permutation(2)], event)
            return
        self._lay_out([event], event)
        if second is not None and second.group != event.group and {second.group, event.group} <= {"arm", "leg", "head"}:
            start = float(self.rng.uniform(0.15, max(self.duration - (second.end - second.start) - 0.15, 0.2)))
            if start + second.end - second.start < self.duration - 0.1:
                self._add(second, start)

    def posture(self, name: str) -> None:
        """A posture, kept through the clip or taken and left again, with the arms and head at work."""
        kind = f"whole body {name}"
        rise = float(self.rng.uniform(0.6, 1.0))
        if self.rng.random() < 0.4:
            start, end = -1.2, self.duration + 1.2
            self.sequence(UPPER_KINDS, posture=kind)
        else:
            start = float(self.rng.uniform(0.2, 0.9))
            end = float(self.rng.uniform(max(start + 2.9, 0.75 * self.duration), self.duration + 0.9))
            if (event := self._draw(UPPER_KINDS, [kind], most=2)) is not None:
                latest = min(end - 1.0, self.duration - 0.1) - (event.end - event.start)
                if latest > start + 1.1:
                    self._add(event, float(self.rng.uniform(start + 1.1, latest)))
        event = LimbEvent(person=self.person, limb="whole body", movement=name, start=start, end=end, observable=True)
        self.moves.append(Move(event, rise, self.view in ("left", "right"), turn=int(self.rng.choice([-1, 1]))))

    def around(self, move: Move) -> None:
        """The given (object or social) move, and one more event before or after it where there is room."""
        self.moves.append(move)
        event = self._draw(SEQUENCE_KINDS, [_kind(move.event)], most=2)
        if event is None or event.limb == move.event.limb or event.group == "whole body" or event.group == "torso":
            return
        length = event.end - event.start
        before, after = move.event.start - 0.2, self.duration - 0.15 - move.event.end
        if after > length + 0.1:
            self._add(event, move.event.end + float(self.rng.uniform(0.05, after - length)))
        elif before > length + 0.1:
            self._add(event, float(self.rng.uniform(0.1, before - length)))
        elif event.group in ("leg", "head"):
            self._add(event, float(self.rng.uniform(0.15, max(self.duration - length - 0.15, 0.16))))

    def _draw(
        self, kinds: tuple[str, ...], beside: list[str], most: int = 3, exactly: int | None = None,
        focus: Focus | None = None,
    ) -> LimbEvent | None:  # fmt: skip
        """An event of one of `kinds` that may be composed with `beside`, starting at 0; None if there is none."""
        allowed = [
            kind for kind in kinds
            if all(split_of_pair(kind, other) == self.split for other in beside) and kind.split()[-1] not in self.used
        ]  # fmt: skip
        blind = self.rng.random() < self.unseen
        while allowed:
            weights = np.array([WEIGHTS.get(kind, 1.0) for kind in allowed])
            kind = allowed[int(self.rng.choice(len(allowed), p=weights / weights.sum()))]
            for _ in range(6):
                event = self._event(kind, most, exactly, focus)
                if event.observable or blind:
                    self.used.add(event.movement)
                    return event
            allowed.remove(kind)
        return None

    def _event(self, kind: str, most: int, exactly: int | None, focus: Focus | None) -> LimbEvent:
        rng, words = self.rng, vocabulary()
        group, movement = kind.rsplit(" ", 1)
        limb = group
        if group in ("arm", "leg"):
            limb = f"{rng.choice(['left', 'right'])} {group}"
            if group == "arm" and movement != "touch" and rng.random() < 0.12:
                limb = "both arms"
        entry = words.movement(movement)
        legal = entry.directions.get(group)
        direction = None
        if legal:
            weights = np.array([EASILY_SEEN.get(word, 1.0) if group in ("arm", "head") else 1.0 for word in legal])
            direction = str(rng.choice(legal, p=weights / weights.sum()))
        target = str(rng.choice(words.body_targets)) if entry.target == "body" else None
        if focus is not None:
            direction, target = focus.direction, focus.target
        length = float(rng.uniform(1.0, 1.7 if most < 3 else 2.4))
        if movement == "step":
            length = float(rng.uniform(0.8, 1.1))
        made = LimbEvent(
            person=self.person, limb=limb, movement=movement, direction=direction, target=target,
            size=round(float(rng.uniform(0.4, 1.0)), 2), start=0.0, end=length,
        )  # fmt: skip
        if entry.counted:
            made = replace(made, count=exactly or int(rng.integers(1, most + 1)))
            lead = 2 * lead_of(made) if movement in ("wave", "punch") else 0.0
            longest = min(0.75 if movement == "wave" else 0.85, (self.duration - 0.3 - lead) / made.count)
            shortest = 0.6 if movement == "circle" else 0.5
            period = float(rng.uniform(min(shortest, longest - 0.01), longest))
            made = replace(made, end=made.count * period + lead)
        return made if is_observable(made, self.view) else replace(made, observable=False)

    def _lay_out(self, chosen: list[LimbEvent], main: LimbEvent | None) -> None:
        """Place events one after the other with random pauses; where time is short, leave out the first or the
        last, but never `main`."""
        while len(chosen) > 1 and sum(event.end for event in chosen) + 0.1 * (len(chosen) + 1) > self.duration:
            first = chosen[0] is not main and (chosen[-1] is main or self.rng.random() < 0.5)
            chosen = chosen[1:] if first else chosen[:-1]
        if not chosen:
            return
        spare = self.duration - sum(event.end for event in chosen) - 0.1 * (len(chosen) + 1)
        pauses = self.rng.dirichlet(np.ones(len(chosen) + 1)) * spare + 0.1
        time = 0.0
        for event, pause in zip(chosen, pauses, strict=False):
            time += float(pause)
            self._add(event, time)
            time += event.end

    def _add(self, event: LimbEvent, start: float) -> None:
        end = start + event.end - event.start
        far = 1.5 if event.direction == "up" and event.group == "arm" else 1.0
        rise = min(float(self.rng.uniform(0.36, 0.56)) * far, 0.42 * event.end)
        if event.movement in ("wave", "punch"):
            rise = lead_of(event)
        bend = 0.0 if self.rng.random() < 0.3 else float(self.rng.uniform(0.1, 1.0))
        placed = replace(event, start=round(start, 3), end=round(end, 3))
        sagittal = self.view in ("left", "right")
        self.moves.append(Move(placed, rise, sagittal, bend=bend, level=float(self.rng.random())))


def _kind(event: LimbEvent) -> str:
    return f"{event.group} {event.movement}"


def _counted(kind: str) -> bool:
    return vocabulary().movement(kind.split()[-1]).counted
