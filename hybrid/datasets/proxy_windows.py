"""Windows of a record, and the persons in them of whom questions can be asked.

A person is asked about where hips and shoulders are seen nearly all the time, large and of a steady size, and, in
company, where their place among the others ("the person second from the left") stays the same: everybody who is there
for a while counts for that, asked about or not. Events count as observable where every side that the person shows
meanwhile can tell them and the limb's joints are seen.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hybrid.errors import DataError
from skeleton.events.detectors import MOVING, detect_events
from skeleton.events.kinematics import SIDES, Kinematics, camera_shift, measure
from skeleton.events.limb_event import LimbEvent
from skeleton.events.viewpoints import is_observable
from skeleton.language.event_questions import Subject
from skeleton.language.haic_captions import in_row
from skeleton.layouts.conversion import convert
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

SHORTEST_SECONDS = 1.0  # of a window
THERE = 0.1  # share of a window's rows from which a person counts as there
SEEN = 0.8  # share of the rows in which trunk and limb must be seen
SMALLEST_PX = 16.0  # torso
STEADY_SIZE = 1.2  # times that a torso may look larger at one time than at another: more is a zoom or a cut
STABLE = 0.95  # share of the rows in which two persons keep their order
APART = 0.04  # of the picture's width between them, at least
SHOWN = 0.25  # share of an event's rows for which a side must be shown to count


@dataclass(frozen=True)
class Window:
    """A stretch of a record. `body` has a clock of its own from 0; start and end are seconds of the video."""

    start: float
    end: float
    body: Skeleton

    @property
    def seconds(self) -> float:
        return round(self.end - self.start, 3)


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody of whom questions are asked; row: in the window's record."""

    row: int
    subject: Subject
    body: Kinematics


def windows(record: Skeleton, seconds: float) -> list[Window]:
    """The record cut evenly into windows of at most `seconds`. Raises DataError for 3D and for less than a second."""
    if record.keypoints.shape[-1] != 2:
        raise DataError("expected a record in pixels, found one in metres: project it first")
    times = record.timestamps
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    end = float(times[-1]) + step
    if len(times) < 3 or end < SHORTEST_SECONDS:
        found = f"{len(times)} rows, {end:.2f} s"
        raise DataError(f"expected at least three rows and {SHORTEST_SECONDS:g} s, found {found}: leave the video out")
    edges = np.linspace(0.0, end, int(np.ceil(round(end / seconds, 6))) + 1).round(3)
    result = []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        rows = (times >= first) & (times < last)
        if rows.sum() < 3:
            continue
        arrays = {name: getattr(record, name)[:, rows] for name in ("keypoints", "confidence", "visible", "boxes")}
        result.append(Window(first, last, replace(record, **arrays, timestamps=times[rows] - first)))
    return result


def people(body: Skeleton, most: int) -> tuple[list[Person], int, Counter]:
    """(persons to ask about from left to right, number of those who are there, why others were dropped: each reason's
    persons; "too many persons" is everybody)."""
    seen = body.visible.any(2)
    there = [row for row in range(body.num_persons) if seen[row].mean() >= THERE]
    if len(there) > most:
        return [], len(there), Counter({"too many persons": len(there)})
    places = {row: _places(body, row) for row in there}
    order = sorted(there, key=lambda row: float(np.nanmedian(places[row])))
    pairs = combinations(order, 2)
    unsteady = {row for pair in pairs if not _keep_order(places[pair[0]], places[pair[1]], body) for row in pair}
    trunk = [get_layout(body.layout).index(f"{side}_{part}") for side in SIDES for part in ("shoulder", "hip")]
    kept, reasons, shift = [], Counter(), camera_shift(body)
    for place, row in enumerate(order):
        motion = measure(body, row, shift) if body.visible[row][:, trunk].all(1).mean() >= SEEN else None
        if motion is None:
            reasons["hips and shoulders seen too little"] += 1
        elif float(np.median(motion.torso)) < SMALLEST_PX:
            reasons["too small"] += 1
        elif motion.torso.max() > STEADY_SIZE * motion.torso.min():
            reasons["size changes"] += 1
        elif row in unsteady:
            reasons["places change"] += 1
        else:
            kept.append(Person(row, Subject(int(body.track_ids[row]), name_of(place, len(order))), motion))
    return kept, len(there), reasons


def _places(body: Skeleton, row: int) -> np.ndarray:
    """[T]: x of the middle one of the joints that are visible; NaN where none is."""
    joints = zip(body.keypoints[row, :, :, 0], body.visible[row], strict=True)
    return np.array([np.median(x[visible]) if visible.any() else np.nan for x, visible in joints])


def _keep_order(one: np.ndarray, other: np.ndarray, body: Skeleton) -> bool:
    """Whether the first stays left of the other, plainly; persons who are never there together do not."""
    far = (other - one)[~np.isnan(other - one)]
    return len(far) > 0 and bool((far > 0).mean() >= STABLE and np.median(far) >= APART * body.frame_size[1])


def name_of(place: int, count: int) -> str:
    """The words for one of `count` persons by their place from the left, from 0."""
    return "the person" if count == 1 else f"the person {in_row(place, count)}"


def observed(window: Window, persons: Sequence[Person]) -> list[LimbEvent]:
    """Events of these persons with `observable` as this view and these joints have it; what is done with somebody else
    is left out."""
    names = {person.subject.person: person.subject.name for person in persons}
    by_id = {person.subject.person: person for person in persons}
    others = {f"person {track}" for track in window.body.track_ids.tolist() if track not in names}
    result = []
    for event in detect_events(window.body, names=names):
        person = by_id.get(event.person)
        if person is None or event.target in others:
            continue
        clear = all(is_observable(event, side) for side in sides_shown(person.body, event))
        clear &= limb_seen(window.body, person.row, event)
        result.append(replace(event, observable=event.observable and clear))
    return result


def could_tell(window: Window, persons: Sequence[Person], event: LimbEvent) -> bool:
    """Whether this event would be seen whenever it happened."""
    person = next(person for person in persons if person.subject.person == event.person)
    whole = replace(event, start=0.0, end=window.seconds)
    return all(is_observable(whole, side) for side in sides_shown(person.body)) and limb_seen(
        window.body, person.row, whole
    )


def sides_shown(body: Kinematics, event: LimbEvent | None = None) -> list[str]:
    """The sides (front, back, left, right) that a person shows for SHOWN of an event, or of all the time."""
    rows = np.ones(len(body.times), bool)
    if event is not None:
        rows = (body.times >= event.start) & (body.times <= event.end)
        rows = rows if rows.any() else np.abs(body.times - event.start) == np.abs(body.times - event.start).min()
    counts = Counter(body.views()[rows].tolist())
    return [view for view, count in counts.items() if count >= SHOWN * counts.total()]


def limb_seen(body: Skeleton, row: int, event: LimbEvent) -> bool:
    """Whether the joints of the event's limb are visible in SEEN of its rows."""
    names = get_layout("coco17").joints
    visible = convert(body, "coco17").visible[row]
    rows = (body.timestamps >= event.start) & (body.timestamps <= event.end)
    visible = visible[rows] if rows.any() else visible
    if event.group == "head":
        ears = [visible[:, names.index(f"{side}_ear")] for side in SIDES]
        return bool((visible[:, names.index("nose")] & (ears[0] | ears[1])).mean() >= SEEN)
    return all(visible[:, names.index(joint)].mean() >= SEEN for joint in _joints(event))


def legs_seen(body: Skeleton, row: int) -> bool:
    """Whether both legs are visible for SEEN of a window: else a posture is a guess."""
    names, visible = get_layout("coco17").joints, convert(body, "coco17").visible[row]
    legs = [names.index(f"{side}_{part}") for side in SIDES for part in ("knee", "ankle")]
    return bool((visible[:, legs].mean(0) >= SEEN).all())


def _joints(event: LimbEvent) -> Iterator[str]:
    side = event.limb.split()[0]
    for part in MOVING[event.group]:
        yield from (f"{each}_{part}" for each in ((side,) if side in SIDES else SIDES))
