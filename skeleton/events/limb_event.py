"""LimbEvent: one movement of one limb of one person, and its JSON form.

Events are what kinematics finds in a skeleton, what Marionette knows exactly, and what questions,
captions and the checker are computed from. Times are seconds of the video's clock. One field is added
to the list of the design: `target`, the object, body part or person that the movement is aimed at.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from skeleton.errors import SkeletonError
from skeleton.events.vocabulary import phrase, vocabulary
from skeleton.jsonl import numbered_jsonl, write_jsonl

FRAMES_OF_REFERENCE = ("person", "image")


class EventError(SkeletonError):
    """An event whose words are not of the vocabulary or whose numbers are impossible."""


@dataclass(frozen=True, kw_only=True)
class LimbEvent:
    """person: track id; limb, movement, direction: words of vocabulary.json; size: fraction of the
    movement's full range, in (0, 1]; start < end: seconds; count: repetitions, at least 1; observable:
    whether this view can tell it. Raises EventError (VocabularyError for unknown words)."""

    person: int
    limb: str
    movement: str
    direction: str | None = None
    frame_of_reference: str = "person"
    size: float = 1.0
    start: float
    end: float
    count: int = 1
    observable: bool = True
    target: str | None = None

    def __post_init__(self) -> None:
        words = vocabulary()
        movement, group = words.movement(self.movement), words.group(self.limb)
        if group not in movement.limbs:
            raise EventError(
                f"expected a limb of {movement.limbs} for the movement {self.movement!r}, found {self.limb!r}: "
                "change the limb or the movement"
            )
        legal = movement.directions.get(group, ())
        if self.direction is not None and self.direction not in legal:
            raise EventError(
                f"expected a direction of {legal} or none for {self.movement!r} of the {group}, "
                f"found {self.direction!r}: change the direction"
            )
        if self.frame_of_reference not in FRAMES_OF_REFERENCE:
            raise EventError(
                f"expected frame_of_reference in {FRAMES_OF_REFERENCE}, found {self.frame_of_reference!r}: "
                "use one of these"
            )
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.start < self.end):
            raise EventError(
                f"expected finite start < end in seconds, found start={self.start}, end={self.end}: mend the times"
            )
        if not 0 < self.size <= 1:
            raise EventError(f"expected a size in (0, 1], found {self.size}: give the fraction of the full range")
        if self.count < 1 or (self.count > 1 and not movement.counted):
            raise EventError(
                f"expected a count of {'at least 1' if movement.counted else '1'} for {self.movement!r}, "
                f"found {self.count}: leave out events that did not happen"
            )
        if (self.target is None) != (movement.target is None):
            raise EventError(
                f"expected {'no target' if movement.target is None else 'a target (' + movement.target + ')'} "
                f"for {self.movement!r}, found {self.target!r}: mend the target"
            )

    @property
    def group(self) -> str:
        """Limb group: arm, leg, head, torso or whole body."""
        return vocabulary().group(self.limb)

    def phrase(self, form: str = "base", with_direction: bool = True) -> str:
        """The verb phrase of the event, such as "raising the left arm up"."""
        return phrase(self.movement, self.limb, form, self.direction if with_direction else None, self.target)


def event_to_json(event: LimbEvent) -> dict:
    """The event as a JSON object; fields that are None are kept."""
    return asdict(event)


def event_from_json(data: dict) -> LimbEvent:
    """The event of a JSON object; EventError names unknown or missing keys."""
    known = {entry.name for entry in fields(LimbEvent)}
    unknown, missing = sorted(set(data) - known), sorted({"person", "limb", "movement", "start", "end"} - set(data))
    if unknown or missing:
        raise EventError(
            f"expected the keys {sorted(known)}, found unknown {unknown} and missing {missing}: mend the event"
        )
    return LimbEvent(**data)


def save_events(path: str | Path, clips: Iterable[tuple[str, list[LimbEvent]]]) -> None:
    """Write one line {"clip", "events"} for each clip, atomically."""
    write_jsonl(path, ({"clip": clip, "events": [event_to_json(event) for event in events]} for clip, events in clips))


def load_events(path: str | Path) -> dict[str, list[LimbEvent]]:
    """{clip: events} of a file written by save_events; DataError or EventError names file and line, also of a clip that
    comes twice."""
    result = {}
    for number, data in numbered_jsonl(path):
        try:
            clip, events = data["clip"], [event_from_json(event) for event in data["events"]]
            if clip in result:
                raise ValueError(f"the clip {clip!r} for the second time")
            result[clip] = events
        except (KeyError, TypeError, ValueError) as error:
            raise EventError(
                f'expected {{"clip", "events"}} in {path}:{number}, found a line that does not fit ({error}): '
                "mend or remove the line"
            ) from error
    return result
