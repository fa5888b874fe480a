"""Events -> captions in time order, of a clip or of one person, in three levels of detail.

Only observable events are told: what a view cannot tell is not mentioned, not even as unknown. `normal` reads "At 1.2 s
the person in red waves the left arm 3 times."; movements of one person that start together are joined by "while".
`brief` says what and in which order, in one sentence a person, without seconds and counts. `full` adds ends, sizes,
rates, postures that are kept, and which other persons move at that moment. The same events always give the same words.
"""

from collections.abc import Callable, Sequence

from skeleton.errors import SkeletonError
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary
from skeleton.language.event_questions import POSTURE_CHANGE_SECONDS, Subject

DETAILS = ("brief", "normal", "full")
TOGETHER_SECONDS = 0.3  # events of one person that start this close are told in one sentence
SMALL, WIDE = 0.5, 0.85  # sizes below and above which a movement of a limb is called small or wide
SLOW = 0.75  # repetitions a second; slower ones are told as "once every 2 s"
NOTHING = "Nobody makes a movement that can be told."


def narrate(events: Sequence[LimbEvent], subjects: Sequence[Subject], detail: str = "normal") -> str:
    """The caption of a clip; `detail` is one of DETAILS. Raises SkeletonError for another one, and when an event
    belongs to none of the subjects."""
    if detail not in DETAILS:
        raise SkeletonError(f"expected a detail of {', '.join(DETAILS)}, found {detail!r}: use one of these")
    names = {subject.person: subject.name for subject in subjects}
    groups = group_events(events, names)
    if detail == "brief":
        sentences = [_brief([g for g in groups if g[0].person == person], name) for person, name in names.items()]
    elif detail == "full":
        sentences = [_full(group, groups, names) for group in groups]
    else:
        sentences = [f"{_start(group[0])} {names[group[0].person]} {tell(group)}." for group in groups]
    return " ".join(filter(None, sentences)) or NOTHING


def describe(events: Sequence[LimbEvent], subject: Subject) -> str:
    """What one person does, in time order, such as "the person in red squats down, waves the left arm 3 times"; empty
    where nothing can be told. The name comes first: what follows must then be said of that person."""
    ordered = sorted(events, key=lambda event: (event.start, event.limb))
    own = [event for event in ordered if event.observable and event.person == subject.person]
    told = [event.phrase("third") + _times(event) for event in own]
    return f"{subject.name} {', '.join(told)}" if told else ""


def group_events(events: Sequence[LimbEvent], names: dict[int, str]) -> list[list[LimbEvent]]:
    """Observable events in time order; those of one person that start together and follow each other are one group.
    Raises SkeletonError when an event belongs to none of `names` (by person)."""
    groups: list[list[LimbEvent]] = []
    for event in sorted(events, key=lambda event: (event.start, event.person, event.limb)):
        if event.person not in names:
            raise SkeletonError(
                f"expected events of the persons {sorted(names)}, found one of person {event.person}: name that person"
            )
        if not event.observable:
            continue
        first = groups[-1][0] if groups else None
        if first is not None and first.person == event.person and event.start - first.start <= TOGETHER_SECONDS:
            groups[-1].append(event)
        else:
            groups.append([event])
    return groups


def tell(group: Sequence[LimbEvent]) -> str:
    """The events of a group with their counts: "waves the left arm 3 times while kicking with the right leg 2
    times"."""
    return _together(group, _times)


def _together(group: Sequence[LimbEvent], after: Callable[[LimbEvent], str]) -> str:
    """Phrases joined by "while", each with what is said `after` it."""
    return " while ".join(
        event.phrase("gerund" if place else "third") + after(event) for place, event in enumerate(group)
    )


def _brief(groups: list[list[LimbEvent]], name: str) -> str:
    """One sentence about a person; what is done again at once is said once."""
    told = [_together(group, lambda _event: "") for group in groups]
    told = [text for place, text in enumerate(told) if place == 0 or text != told[place - 1]]
    return f"{name[:1].upper()}{name[1:]} {', then '.join(told)}." if told else ""


def _full(group: list[LimbEvent], groups: list[list[LimbEvent]], names: dict[int, str]) -> str:
    """One sentence about a group: from when until when, how, and who else moves when it starts."""
    first = group[0]
    told = [_manner(first, "third")]
    for event in group[1:]:
        until = "" if abs(event.end - first.end) <= TOGETHER_SECONDS else f" until {event.end:.1f} s"
        told.append(f"while {_manner(event, 'gerund', until)}")
    for other in groups[: next(place for place, own in enumerate(groups) if own is group)]:
        for event in other:
            going = not _kept(event) and event.end - first.start >= TOGETHER_SECONDS
            if event.person != first.person and going:
                told.append(f"while {names[event.person]} is {event.phrase('gerund')}")
    start = "From the beginning" if first.start <= 0 else f"From {first.start:.1f} s"
    return f"{start} to {first.end:.1f} s {names[first.person]} {', '.join(told)}."


def _manner(event: LimbEvent, form: str, until: str = "") -> str:
    """The event with its count, size, end and rate, or as a posture that is kept."""
    if not _kept(event):
        return event.phrase(form) + _times(event) + _size(event) + until + _rate(event)
    posture = vocabulary().movement(event.movement).posture
    if event.start <= 0:
        return (f"is {posture}" if form == "third" else posture) + until
    return f"{event.phrase(form)} and {'stays' if form == 'third' else 'staying'} {posture}{until}"


def _kept(event: LimbEvent) -> bool:
    """A posture that lasts beyond the time it takes to get there and back."""
    if vocabulary().movement(event.movement).posture is None or event.count > 1:
        return False
    changes = 1 if event.start <= 0 else 2
    return event.end - event.start > changes * POSTURE_CHANGE_SECONDS


def _size(event: LimbEvent) -> str:
    """Sizes are told of limbs alone: a step or a touch has no range of its own."""
    if event.group == "whole body" or event.target is not None or SMALL <= event.size <= WIDE:
        return ""
    word = "small" if event.size < SMALL else "wide"
    return f" in {word} movements" if event.count > 1 else f" in a {word} movement"


def _rate(event: LimbEvent) -> str:
    if event.count < 2:
        return ""
    rate = event.count / (event.end - event.start)
    every = round(1 / rate)
    if rate < SLOW and every > 1:
        return f", about once every {every} s"
    halves = max(round(2 * rate), 2) / 2
    return ", about once a second" if halves == 1 else f", about {halves:g} times a second"


def _start(event: LimbEvent) -> str:
    return "From the beginning" if event.start <= 0 else f"At {event.start:.1f} s"


def _times(event: LimbEvent) -> str:
    if not vocabulary().movement(event.movement).counted:
        return ""
    return " once" if event.count == 1 else f" {event.count} times"
