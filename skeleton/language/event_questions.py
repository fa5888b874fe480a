"""The one grammar of the built-in questions: limb events -> questions with options and computed answers.

Eight tasks: limb, movement, direction, posture, order, count, interval, interaction. Decisions that matter:
- Option sets are exchangeable: seen without the clip, each option is equally likely to be the answer. So a
  distractor is not made by changing one thing of the answer (the option that shares most with the others
  would then be right), but sets are closed under the flip: {left, right} x {arm, leg}, colour x kind,
  {a, b, flipped a, flipped b}. Every answer still has a distractor that differs in one thing only.
- Each question names a `family` and a `key`: whoever samples questions keeps the keys of one family equally
  frequent (balance.py), and then the best constant answer scores chance.
- Nothing is asked about an event that is not observable.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from skeleton.errors import SkeletonError
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import flip_side, limb_phrase, phrase, vocabulary

TASKS = ("limb", "movement", "direction", "posture", "order", "count", "interval", "interaction")
LIMB_PAIRS = (("left arm", "right arm"), ("left leg", "right leg"), ("head", "torso"))
MOVEMENT_SETS = {
    "arm": ("raise", "wave", "circle", "punch"),
    "leg": ("raise", "kick", "swing", "bend"),
    "head": ("nod", "shake", "turn", "tilt"),
    "whole body": ("walk", "run"),
}
MAX_COUNT = 8
ZEROS = 0.15  # share of persons of whom it is asked what they never do: of all, and "0" would be the safe answer
MIN_INTERVAL_SECONDS = 0.8
INTERVAL_LENGTHS = (1.2, 1.8)  # limits in seconds between short, medium and long intervals
INTERVAL_PLACES = ((0.2, 0.4, 0.6, 0.8), (0.25, 0.42, 0.58, 0.75), (0.42, 0.58))  # of their middles, in clip lengths
POSTURE_CHANGE_SECONDS = 1.2  # at most this long at each end of a posture event is spent getting there

POSTURE_APART_SECONDS = 0.8  # between two questions about the same posture


class QuestionError(SkeletonError):
    """Subjects or events of which no question can be made."""


@dataclass(frozen=True)
class Subject:
    """A person that questions may be about: track id, and the words that name it ("the person in red")."""

    person: int
    name: str


@dataclass(frozen=True)
class Question:
    """One question. `answer` is an index into `options`, a text (count), or (start, end) in seconds.
    `family` and `key` say among which questions the answers are to be balanced; key None: balanced already."""

    task: str
    text: str
    options: tuple[str, ...] | None
    answer: int | str | tuple[float, float]
    person: int
    binding: bool
    family: str
    key: str | None

    @property
    def answer_text(self) -> str:
        """The answer in words, as a model would say it."""
        if self.options is not None:
            return self.options[self.answer]
        return self.answer if isinstance(self.answer, str) else f"{self.answer[0]} to {self.answer[1]}"

    def sample(self, identifier: str, video: str | None, skeleton: str | None, end: float, **meta) -> dict:
        """The sample line of DESIGN 3.3 for this question about a clip of `end` seconds."""
        return {
            "id": identifier, "video": video, "skeleton": skeleton, "start": 0.0, "end": end,
            "task": self.task, "question": self.text,
            "options": None if self.options is None else list(self.options),
            "answer": list(self.answer) if isinstance(self.answer, tuple) else self.answer,
            "group": None, "person": self.person, "second": None, "meta": {"binding": self.binding, **meta},
        }  # fmt: skip


@dataclass(frozen=True)
class _Context:
    """What every rule needs: the person's name and events, everybody's events, and a random generator."""

    subject: Subject
    events: tuple[LimbEvent, ...]  # of this person, in time order
    everybody: tuple[LimbEvent, ...]
    subjects: tuple[Subject, ...]
    duration: float
    objects: tuple[str, ...]
    can_tell: Callable[[LimbEvent], bool]
    never: tuple[LimbEvent, ...]
    rng: np.random.Generator

    def ask(self, task: str, text: str, answer, options=None, family: str = "", key: str | None = None) -> Question:
        """A question; options (with the answer as text) are shuffled here and nowhere else."""
        if options is not None:
            options = [options[i] for i in self.rng.permutation(len(options))]
            answer = options.index(answer)
        return Question(
            task, text.format(person=self.subject.name), None if options is None else tuple(options), answer,
            self.subject.person, len(self.subjects) > 1, f"{task}/{family}", key,
        )  # fmt: skip

    def pick(self, items: Sequence):
        return items[int(self.rng.integers(len(items)))]

    def active(self, time: float, margin: float = 0.15) -> list[LimbEvent]:
        """Events that are under way at `time`; a posture that is merely kept is not."""
        result = []
        for event in self.events:
            if not event.start - margin <= time <= event.end + margin:
                continue
            if _is_posture(event):
                kept_from, kept_to = _kept(event, self.duration)
                if kept_from <= time <= kept_to:
                    continue
            result.append(event)
        return result

    def lone_time(self, event: LimbEvent) -> float | None:
        """A time, to 0.1 s, at which this event alone is under way; None where there is none."""
        inside = 0.25 * (event.end - event.start)
        times = np.round(np.arange(event.start + inside, event.end - inside + 1e-6, 0.1), 1)
        alone = [float(time) for time in times if self.active(time) == [event]]
        return self.pick(alone) if alone else None


def _is_posture(event: LimbEvent) -> bool:
    return vocabulary().movement(event.movement).posture is not None and event.count == 1


def _kept(event: LimbEvent, duration: float) -> tuple[float, float]:
    """Between which times a posture is surely kept."""
    start = event.start if event.start <= 0.0 else event.start + POSTURE_CHANGE_SECONDS
    end = event.end if event.end >= duration - 0.1 else event.end - POSTURE_CHANGE_SECONDS
    return start + 0.1, end - 0.1


def _limb(context: _Context) -> Iterable[Question]:
    for event in context.events:
        pair = next((pair for pair in LIMB_PAIRS if event.limb in pair), None)
        if pair is None or not event.observable:
            continue
        if (time := context.lone_time(event)) is not None:
            other = context.pick([candidate for candidate in LIMB_PAIRS if candidate != pair])
            options = [limb_phrase(limb) for limb in pair + other]
            text = f"Which limb does {{person}} use at {time} s?"
            yield context.ask("limb", text, limb_phrase(event.limb), options, "all", event.limb)


def _movement(context: _Context) -> Iterable[Question]:
    for event in context.events:
        movements = MOVEMENT_SETS.get(event.group, ())
        if event.movement not in movements or not event.observable:
            continue
        if event.movement in ("nod", "shake") and event.count < 2:
            continue  # one nod is hardly told from a turn of the head
        text = f"What does {{person}} do with {limb_phrase(event.limb)}"
        if event.group == "whole body":
            text = "Does {person} walk or run"
        if sum(_shares_limb(event, other) for other in context.events) > 1:
            time = context.lone_time(event)
            if time is None:
                continue
            text += f" at {time} s"
        options = [_with_it(movement) for movement in movements]
        yield context.ask("movement", text + "?", _with_it(event.movement), options, event.group, event.movement)


def _with_it(movement: str) -> str:
    entry = vocabulary().movement(movement)
    return entry.pattern.format(verb=entry.verb[0], limb="it")


def _shares_limb(one: LimbEvent, other: LimbEvent) -> bool:
    return one.limb == other.limb or (one.group == other.group and "both" in one.limb + other.limb)


def _direction(context: _Context) -> Iterable[Question]:
    for event in context.events:
        legal = vocabulary().movement(event.movement).directions.get(event.group, ())
        alike = [other for other in context.events if (other.movement, other.limb) == (event.movement, event.limb)]
        if event.direction is None or len(legal) != 4 or not event.observable or len(alike) > 1:
            continue
        text = f"In which direction does {{person}} {phrase(event.movement, event.limb)}?"
        family = f"{event.group} {event.movement}"
        yield context.ask("direction", text, event.direction, list(legal), family, event.direction)


def _posture(context: _Context) -> Iterable[Question]:
    upright = [event for event in context.events if event.group in ("whole body", "torso")]
    times = defaultdict(list)
    for time in np.round(np.arange(0.3, context.duration - 0.3, 0.1), 1):
        if not any(event.start - 0.2 <= time <= event.end + 0.2 for event in upright):
            times["standing"].append(float(time))
        for event in upright:
            if _is_posture(event) and event.observable:
                kept_from, kept_to = _kept(event, context.duration)
                if kept_from <= time <= kept_to:
                    times[vocabulary().movement(event.movement).posture].append(float(time))
    for posture, candidates in times.items():
        others = [other for other in vocabulary().postures if other != posture]
        for _ in range(1 if posture == "standing" else 3):  # standing is common enough
            if not candidates:
                break
            time = context.pick(candidates)
            candidates = [other for other in candidates if abs(time - other) >= POSTURE_APART_SECONDS]
            options = [posture, *(others[i] for i in context.rng.permutation(len(others))[:3])]
            text = f"What is the posture of {{person}} at {time} s?"
            yield context.ask("posture", text, posture, options, "all", posture)


def flipped(event: LimbEvent) -> str:
    """The phrase of the event with its side flipped, or its direction, or (head) its movement."""
    if flip_side(event.limb) != event.limb:
        return phrase(event.movement, flip_side(event.limb), target=event.target)
    if event.direction is not None:
        return phrase(event.movement, event.limb, direction=vocabulary().opposite(event.direction))
    partners = {"nod": "shake", "shake": "nod", "bow": "squat", "squat": "bow", "jump": "sit", "sit": "jump",
                "kneel": "lie", "lie": "kneel"}  # fmt: skip
    limbs = {"bow": "torso"}
    if event.movement in partners:
        partner = partners[event.movement]
        limb = event.limb if event.group == "head" else limbs.get(partner, "whole body")
        return phrase(partner, limb)
    movements = {"raise": "circle", "circle": "raise", "wave": "punch", "punch": "wave"}
    return phrase(movements.get(event.movement, event.movement), event.limb, target=event.target)


def _short(event: LimbEvent, form: str = "base") -> str:
    """The phrase that tells the events of a clip apart: directions only where no side is named."""
    return event.phrase(form, with_direction=flip_side(event.limb) == event.limb and "both" not in event.limb)


def _order(context: _Context) -> Iterable[Question]:
    events = [event for event in context.events if event.start > 0.0]
    apart = all(one.end <= other.start + 0.1 for one, other in pairwise(events))
    if len(events) < 2 or not apart or not all(event.observable for event in events):
        return
    happened = {_short(event) for event in context.events}
    if len(happened) < len(context.events) or any(flipped(event) in happened for event in events):
        return
    asked = [("first", 0, None), ("last", len(events) - 1, None)]
    if len(events) > 2:
        asked = [context.pick(asked), ("right after " + _short(events[0], "gerund"), 1, 0)]
    for words, place, known in asked:
        others = [event for i, event in enumerate(events) if i not in (place, known)]
        answer, other = events[place], context.pick(others)
        options = [_short(answer), _short(other), flipped(answer), flipped(other)]
        if len(set(options)) == 4:
            text = f"What does {{person}} do {words}?"
            yield context.ask("order", text, options[0], options, words.split()[0])


def _count(context: _Context) -> Iterable[Question]:
    words = vocabulary()
    for event in context.events:
        if not words.movement(event.movement).counted or event.movement == "greet" or not event.observable:
            continue
        if _is_posture(event) and event.end - event.start > 1.5:
            continue  # a posture that is kept, not a repetition
        alike = [other for other in context.events if (other.movement, other.limb) == (event.movement, event.limb)]
        if len(alike) == 1 and event.count <= MAX_COUNT:
            text = f"How many times does {{person}} {event.phrase()}?"
            yield context.ask("count", text, str(event.count), family="all", key=str(event.count))
    imagined = [replace(event, limb=flip_side(event.limb)) for event in context.events]
    imagined += [replace(event, person=context.subject.person) for event in (*context.everybody, *context.never)]
    zeros = [
        event for event in imagined
        if words.movement(event.movement).counted and event.movement != "greet" and context.can_tell(event)
        and not any(event.movement == other.movement and _shares_limb(event, other) for other in context.events)
    ]  # fmt: skip
    if zeros and (context.never or context.rng.random() < ZEROS):
        text = f"How many times does {{person}} {context.pick(zeros).phrase()}?"
        yield context.ask("count", text, "0", family="all", key="0")


def _interval(context: _Context) -> Iterable[Question]:
    for event in context.events:
        alike = [other for other in context.events if (other.movement, other.limb) == (event.movement, event.limb)]
        inside = event.start > 0.0 and event.end < context.duration
        if len(alike) > 1 or not event.observable or not inside:
            continue
        if event.end - event.start >= MIN_INTERVAL_SECONDS:
            answer = (round(event.start, 1), round(event.end, 1))
            middle = (answer[0] + answer[1]) / 2 / context.duration
            length = sum(answer[1] - answer[0] > limit for limit in INTERVAL_LENGTHS)
            place = sum(middle > limit for limit in INTERVAL_PLACES[length])
            text = f"When does {{person}} {event.phrase(with_direction=False)}?"
            yield context.ask("interval", text, answer, family=str(length), key=str(place))


def _interaction(context: _Context) -> Iterable[Question]:
    words = vocabulary()
    for event in context.events:
        target = words.movement(event.movement).target
        if target is None or not event.observable:
            continue
        if sum(other.movement == event.movement for other in context.events) > 1:
            continue
        entry = words.movement(event.movement)
        if target == "body":
            options, key = list(words.body_targets), event.target
            text = f"What does {{person}} {entry.verb[0]} with {limb_phrase(event.limb)}?"
        elif target == "object":
            options, key = _object_grid(context, event.target), None
            text = f"What does {{person}} {entry.pattern.format(verb=entry.verb[0], limb='', target='')}"
            text = text.split(" with")[0].rstrip() + "?"
        else:
            options, key = _person_options(context, event.target), None
            verb = "wave at" if event.movement == "greet" else "shake hands with"
            text = f"Whom does {{person}} {verb}?"
        yield context.ask("interaction", text, event.target, options, event.movement, key)


def _object_grid(context: _Context, target: str) -> list[str]:
    """{colour, other colour} x {kind, other kind}; the other two are those of another object of the scene
    where it differs in both."""
    words = vocabulary()
    _, colour, kind = target.split()
    present = [name.split()[1:] for name in context.objects]
    present = [(c, k) for c, k in present if c != colour and k != kind]
    if present:
        other_colour, other_kind = context.pick(present)
    else:
        other_colour = context.pick([word for word in words.object_colours if word != colour])
        other_kind = context.pick([word for word in words.object_kinds if word != kind])
    return [f"the {c} {k}" for c in (colour, other_colour) for k in (kind, other_kind)]


def _person_options(context: _Context, target: str) -> list[str]:
    """The other persons of the clip and persons in colours that nobody wears."""
    present = [subject.name for subject in context.subjects]
    absent = [f"the person in {colour}" for colour in vocabulary().shirt_colours]
    absent = [name for name in absent if name not in present]
    options = [target, *(name for name in present if name not in (target, context.subject.name))]
    fill = context.rng.permutation(len(absent))[: 4 - len(options)]
    return options + [absent[i] for i in fill]


def counted_movements(person: int = 0) -> list[LimbEvent]:
    """One event for every movement that is counted and every limb that can make it: what may never have happened."""
    words = vocabulary()
    return [
        LimbEvent(person=person, limb=limb, movement=name, start=0.0, end=1.0)
        for name, entry in words.movements.items()
        for limb, group in words.limbs.items()
        if entry.counted and entry.target is None and group in entry.limbs and "both" not in limb
    ]


RULES: dict[str, Callable[[_Context], Iterable[Question]]] = {
    "limb": _limb, "movement": _movement, "direction": _direction, "posture": _posture,
    "order": _order, "count": _count, "interval": _interval, "interaction": _interaction,
}  # fmt: skip


def build_questions(
    events: Sequence[LimbEvent],
    subjects: Sequence[Subject],
    duration: float,
    rng: np.random.Generator,
    objects: Sequence[str] = (),
    can_tell: Callable[[LimbEvent], bool] = lambda event: True,
    tasks: Sequence[str] = TASKS,
    never: Sequence[LimbEvent] = (),
) -> list[Question]:
    """Every question that the grammar can ask about a clip of `duration` seconds.

    subjects: all persons of the clip, with the words that name each. objects: the objects of the scene, as in
    event targets. can_tell: whether the view of `event.person` would tell this event if it happened; only then
    may "0 times" be the answer. never: events that one may ask about although nobody made them; with any, each person is
    asked about something that they did not do, else some are. Raises QuestionError when
    an event belongs to no subject, names are not distinct, or a task is unknown.
    """
    names = [subject.name for subject in subjects]
    if len(set(names)) != len(names):
        raise QuestionError(f"expected a distinct name for each person, found {names}: name them by another look")
    strangers = sorted({event.person for event in events} - {subject.person for subject in subjects})
    if strangers:
        raise QuestionError(f"expected events of the given subjects, found events of persons {strangers}: name them")
    unknown = [task for task in tasks if task not in RULES]
    if unknown:
        raise QuestionError(f"expected tasks of {tuple(RULES)}, found {unknown}: use one of these")
    everybody = tuple(sorted(events, key=lambda event: (event.start, event.limb)))
    questions = []
    for subject in subjects:
        own = tuple(event for event in everybody if event.person == subject.person)
        context = _Context(
            subject, own, everybody, tuple(subjects), duration, tuple(objects), can_tell, tuple(never), rng
        )
        for task in tasks:
            questions.extend(RULES[task](context))
    return questions
