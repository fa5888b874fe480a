"""Captions in HAIC's standard form: how many persons there are, what tells them apart, then what they do, in time
order.

HAIC (arXiv 2502.20811) asks for captions that count the persons, introduce each by what distinguishes them, and then
call them by it. The wording here is ours. Attributes come from whoever knows them (a data set's words for looks, a
person); `places` gives words of position to the others: `standard_caption(events, subjects, places(skeleton) | looks)`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from skeleton.errors import SkeletonError
from skeleton.events.limb_event import LimbEvent
from skeleton.language.event_captions import NOTHING, TOGETHER_SECONDS, group_events, tell
from skeleton.language.event_questions import Subject
from skeleton.record import Skeleton

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ORDINALS = ("", "second ", "third ", "fourth ", "fifth ", "sixth ", "seventh ", "eighth ", "ninth ", "tenth ")
PLACES = {
    1: ("in the middle",),
    2: ("on the left", "on the right"),
    3: ("on the left", "in the middle", "on the right"),
}


def standard_caption(events: Sequence[LimbEvent], subjects: Sequence[Subject], attributes: Mapping[int, str]) -> str:
    """The caption of a clip with these persons. `attributes`: person -> "in a red shirt, on the left"; a person is
    called by the first of the pieces between commas that tell them apart from the others.

    Raises SkeletonError where a person has no attributes, two have the same, or an event belongs to none of the
    subjects.
    """
    known = {subject.person: attributes.get(subject.person, "").strip() for subject in subjects}
    unknown = [person for person, text in known.items() if not text]
    if unknown:
        raise SkeletonError(
            f"expected attributes of the persons {list(known)}, found none of {unknown}: describe them, "
            "or add skeleton.language.haic_captions.places"
        )
    calls = {person: _call(person, known) for person in known}
    sentences, last = [], None
    for group in group_events(events, calls):
        first = group[0]
        if last is not None and last[0].person == first.person:
            sentences[-1] += f", then {tell(group)}"
        else:
            together = last is not None and max(event.end for event in last) - first.start >= TOGETHER_SECONDS
            start = "The" if last is None else "Meanwhile the" if together else "Then the"
            sentences.append(f"{start} {calls[first.person]} {tell(group)}")
        last = group
    actions = [f"{text}." for text in sentences] or ([NOTHING] if known else [])
    return " ".join([_presence(list(known.values())), *actions])


def places(skeleton: Skeleton) -> dict[int, str]:
    """{track id: "on the left"} from the order of mean box centres (where there is no box, of visible joints in
    pixels). One person is placed by the thirds of the frame, four and more are counted from the left; who is never seen
    is left out."""
    centres = {}
    for row, person in enumerate(skeleton.track_ids.tolist()):
        boxed = (skeleton.boxes[row] != 0).any(-1)
        if boxed.any():
            centres[person] = float(skeleton.boxes[row, boxed][:, [0, 2]].mean())
        elif skeleton.keypoints.shape[-1] == 2 and skeleton.visible[row].any():
            centres[person] = float(skeleton.keypoints[row][skeleton.visible[row]][:, 0].mean())
    ordered = sorted(centres, key=lambda person: (centres[person], person))
    if len(ordered) == 1:
        third = int(np.clip(3 * centres[ordered[0]] // skeleton.frame_size[1], 0, 2))
        return {ordered[0]: PLACES[3][third]}
    return {person: in_row(rank, len(ordered)) for rank, person in enumerate(ordered)}


def in_row(rank: int, count: int) -> str:
    """Words for the place of one of `count` persons, `rank` from the left: "on the left", "second from the left"."""
    if count in PLACES:
        return PLACES[count][rank]
    if rank in (0, count - 1):
        return f"on the far {'left' if rank == 0 else 'right'}"
    return f"{ORDINALS[rank] if rank < len(ORDINALS) else f'number {rank + 1} '}from the left"


def _call(person: int, known: Mapping[int, str]) -> str:
    """The fewest pieces of a person's attributes that no other person's begin with."""
    pieces = [piece.strip() for piece in known[person].split(",")]
    for count in range(1, len(pieces) + 1):
        mine = pieces[:count]
        same = [p for p, text in known.items() if [piece.strip() for piece in text.split(",")][:count] == mine]
        if same == [person]:
            return f"person {' '.join(mine)}"
    raise SkeletonError(
        f"expected attributes that tell persons apart, found {known[person]!r} for the persons {same}: say more of them"
    )


def _presence(texts: list[str]) -> str:
    number = NUMBERS[len(texts)] if len(texts) < len(NUMBERS) else str(len(texts))
    if not texts:
        return "There is nobody."
    if len(texts) == 1:
        return f"There is one person, {texts[0]}."
    return f"There are {number} people: {'; '.join(f'one {text}' for text in texts)}."
