"""Records of a folder -> what everybody in them does: limb events and narrations.

events.jsonl has the events of each clip, as in a made data set; narrations.jsonl the captions: three levels of detail
and HAIC's standard form. A clip is named by its record's path below the folder; persons by their place in the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hybrid.config.loading import field
from hybrid.data.records import find_records, name_of
from hybrid.errors import DataError
from skeleton.errors import SkeletonError
from skeleton.events.detectors import detect_events
from skeleton.events.limb_event import LimbEvent, save_events
from skeleton.jsonl import write_jsonl
from skeleton.language.event_captions import DETAILS, narrate
from skeleton.language.event_questions import Subject
from skeleton.language.haic_captions import places, standard_caption
from skeleton.record import Skeleton


@dataclass
class EventsConfig:
    """Keys of `tools/prepare.py events`."""

    skeletons: str = field("folder of records, as tools/extract.py leaves it, searched to the bottom")
    output: str = field("folder for events.jsonl and narrations.jsonl")


def tell_records(config: EventsConfig, progress: Callable[[int, int], None] = lambda done, total: None) -> dict:
    """Writes both files; returns how many records were told, how many events, and `left_out` with their reasons.
    Raises DataError where the folder holds no record."""
    files = find_records(config.skeletons)
    if not files:
        raise DataError(
            f"expected records (.npz) in {config.skeletons}, found none: extract some with tools/extract.py"
        )
    told: list[tuple[str, list[LimbEvent]]] = []
    lines, reasons = [], []
    for done, path in enumerate(files, start=1):
        name = name_of(path, config.skeletons)
        try:
            events, captions = tell(Skeleton.load(path))
        except SkeletonError as error:
            reasons.append(f"{name}.npz: {error}")
        else:
            told.append((name, events))
            lines.append({"clip": name, **captions})
        progress(done, len(files))
    output = Path(config.output).expanduser()
    output.mkdir(parents=True, exist_ok=True)
    save_events(output / "events.jsonl", told)
    write_jsonl(output / "narrations.jsonl", lines)
    return {
        "records": len(told), "events": sum(len(events) for _, events in told), "left_out": len(reasons),
        "reasons": reasons,
    }  # fmt: skip


def tell(record: Skeleton) -> tuple[list[LimbEvent], dict[str, str]]:
    """(events; captions by level of detail, and `standard`) of one record."""
    where = places(record)
    subjects = [Subject(person, f"the person {place}") for person, place in where.items()]
    if len(subjects) == 1:
        subjects = [Subject(subjects[0].person, "the person")]
    events = detect_events(record, names={subject.person: subject.name for subject in subjects})
    captions = {detail: narrate(events, subjects, detail) for detail in DETAILS}
    return events, captions | {"standard": standard_caption(events, subjects, where)}


def told(info: dict, config: EventsConfig) -> list[str]:
    """Lines to be printed."""
    counts = f"{info['records']} records, {info['events']} events, {info['left_out']} left out"
    return [*(f"left out: {reason}" for reason in info["reasons"]), counts]
