"""Events -> captions in time order, of a clip or of one person. First version: what happens, by whom, when and how often.

Only observable events are told. A sentence reads "At 1.2 s the person in red waves the left arm 3 times.";
movements that start together are joined by "while".
"""

from collections.abc import Sequence

from skeleton.errors import SkeletonError
from skeleton.events import LimbEvent
from skeleton.questions import Subject
from skeleton.vocabulary import vocabulary

TOGETHER_SECONDS = 0.3  # events of one person that start this close are told in one sentence
NOTHING = "Nobody makes a movement that can be told."


def narrate(events: Sequence[LimbEvent], subjects: Sequence[Subject]) -> str:
    """The caption of a clip. Raises SkeletonError when an event belongs to none of the subjects."""
    names = {subject.person: subject.name for subject in subjects}
    sentences: list[tuple[LimbEvent, str]] = []
    for event in sorted(events, key=lambda event: (event.start, event.person, event.limb)):
        if event.person not in names:
            raise SkeletonError(
                f"expected events of the persons {sorted(names)}, found one of person {event.person}: name that person"
            )
        if not event.observable:
            continue
        last, text = sentences[-1] if sentences else (None, "")
        if last is not None and last.person == event.person and event.start - last.start <= TOGETHER_SECONDS:
            sentences[-1] = (last, f"{text} while {event.phrase('gerund')}{_times(event)}")
            continue
        start = "From the beginning" if event.start <= 0 else f"At {event.start:.1f} s"
        sentences.append((event, f"{start} {names[event.person]} {event.phrase('third')}{_times(event)}"))
    return " ".join(text + "." for _, text in sentences) or NOTHING


def describe(events: Sequence[LimbEvent], subject: Subject) -> str:
    """What one person does, in time order, such as "the person in red squats down, waves the left arm 3 times"; empty where
    nothing can be told. The name comes first: what follows must then be said of that person."""
    ordered = sorted(events, key=lambda event: (event.start, event.limb))
    told = [event.phrase("third") + _times(event) for event in ordered if event.observable and event.person == subject.person]
    return f"{subject.name} {', '.join(told)}" if told else ""


def _times(event: LimbEvent) -> str:
    if not vocabulary().movement(event.movement).counted:
        return ""
    return " once" if event.count == 1 else f" {event.count} times"
