"""The checker of captions against captions known to be right, and known to be wrong in one thing.

Marionette scenes are made in memory, without pictures. True captions are narrated from a scene's events and held
against these events. Then one thing is changed in the events before they are narrated (the side of one limb, one
direction, the times of two events that follow one another, one count), and the caption must be found to contradict
the true events. A change that leaves the caption true, because somebody did just that as well, is passed over.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybrid.config.datasets import PrepareConfig
from hybrid.config.loading import field
from hybrid.datasets.marionette.dataset import make_scene, subjects_of
from hybrid.errors import ConfigError
from hybrid.scoring.claims.grounding import Grounding, check_caption, score_captions
from hybrid.scoring.report import wilson
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import flip_side, vocabulary
from skeleton.language.event_captions import describe, narrate
from skeleton.language.event_questions import Subject

FORMS = ("narrate", "describe")


@dataclass
class CheckerBench:
    """What `tools/bench.py checker` measures."""

    output: str = field("file for the figures")
    clips: int = field("Marionette scenes of the test split", 300)
    seed: int = field("of the scenes and of what is changed", 0)

    def check(self) -> None:
        if self.clips < 1:
            raise ConfigError(f"expected clips to be at least 1, found {self.clips}: give more")


def measure(config: CheckerBench) -> dict[str, Any]:
    """Figures of true captions, and the share of wrong ones that are caught, by kind of change."""
    settings = PrepareConfig(output="", test_clips=config.clips, seed=config.seed)
    true: dict[str, list[Grounding]] = {form: [] for form in FORMS}
    caught, tried = Counter(), Counter()
    for number in range(config.clips):
        scene = make_scene(settings, "test", number)
        subjects, events = subjects_of(scene), list(scene.events)

        def check(text: str, events=events, subjects=subjects, duration=scene.duration) -> Grounding:
            return check_caption(text, events, subjects, duration, vocabulary().movements)

        true["narrate"].append(check(narrate(events, subjects)))
        for subject in subjects:
            own = [event for event in events if event.person == subject.person]
            text = describe(events, subject)
            true["describe"].append(check_caption(text, own, [subject], scene.duration, vocabulary().movements))
        rng = np.random.default_rng([config.seed, number])
        for kind, change in CHANGES.items():
            candidates = list(change(events))
            if not candidates:
                continue
            person, changed = candidates[int(rng.integers(len(candidates)))]
            for form, text in _captions(changed, subjects, person):
                tried[kind, form] += 1
                caught[kind, form] += check(text).contradicted
    figures = {form: score_captions(found) for form, found in true.items()}
    return {
        "clips": config.clips,
        "precision": min((figures[form]["precision"] for form in FORMS if figures[form]["n_claims"]), default=None),
        "recall": min(figures[form]["recall"] for form in FORMS),
        "caught_least": min((caught[key] / tried[key] for key in tried), default=None),
        "true": figures,
        "caught": {
            kind: {form: _row(caught[kind, form], tried[kind, form]) for form in FORMS if tried[kind, form]}
            for kind in CHANGES
        },
    }


def _captions(events: list[LimbEvent], subjects: list[Subject], person: int) -> Iterator[tuple[str, str]]:
    yield "narrate", narrate(events, subjects)
    yield "describe", describe(events, next(subject for subject in subjects if subject.person == person))


def _row(caught: int, tried: int) -> dict[str, Any]:
    return {"caught": caught / tried, "ci95": wilson(caught, tried), "n": tried}


Change = Iterator[tuple[int, list[LimbEvent]]]  # (person, all events after the change)


def sides(events: list[LimbEvent]) -> Change:
    """Every event of one limb, done by the other side."""
    yield from _singly(events, lambda event: [replace(event, limb=flip_side(event.limb))])


def directions(events: list[LimbEvent]) -> Change:
    """Every event with a direction, in the opposite one where there is one."""

    def opposite(event: LimbEvent) -> list[LimbEvent]:
        if event.direction is None:
            return []
        way = vocabulary().opposite(event.direction)
        legal = vocabulary().movement(event.movement).directions[event.group]
        return [replace(event, direction=way)] if way in legal else []

    yield from _singly(events, opposite)


def counts(events: list[LimbEvent]) -> Change:
    """Every counted event, once more or once less, or two more."""

    def others(event: LimbEvent) -> list[LimbEvent]:
        if not vocabulary().movement(event.movement).counted:
            return []
        return [replace(event, count=event.count + more) for more in (-1, 1, 2) if event.count + more >= 1]

    yield from _singly(events, others)


def orders(events: list[LimbEvent]) -> Change:
    """Every two events of a person that follow one another, at each other's time."""
    for i, one in enumerate(events):
        for j, other in enumerate(events):
            same = one.person == other.person and one.observable and other.observable
            if not same or one.end > other.start or _told(one) == _told(other):
                continue
            rest = [event for k, event in enumerate(events) if k not in (i, j)]
            if any(_told(event) in (_told(one), _told(other)) for event in rest):
                continue
            swapped = replace(one, start=other.start, end=other.end), replace(other, start=one.start, end=one.end)
            yield one.person, [*rest, *swapped]


CHANGES: dict[str, Callable[[list[LimbEvent]], Change]] = {
    "side": sides, "direction": directions, "order": orders, "count": counts,
}  # fmt: skip


def _singly(events: list[LimbEvent], others: Callable[[LimbEvent], list[LimbEvent]]) -> Change:
    for place, event in enumerate(events):
        rest = [*events[:place], *events[place + 1 :]]
        for changed in others(event) if event.observable else ():
            if _told(changed) != _told(event) and not any(_makes_true(other, changed) for other in rest):
                yield event.person, [*rest, changed]


def _makes_true(other: LimbEvent, told: LimbEvent) -> bool:
    """Whether another event, seen or not, is what is told."""
    limbs = (told.limb, f"both {told.group}s")
    return (
        other.limb in limbs
        and replace(other, limb=told.limb).phrase() == told.phrase()
        and ((other.person, other.count) == (told.person, told.count))
    )


def _told(event: LimbEvent) -> tuple:
    return event.phrase(), event.count
