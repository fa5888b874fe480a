"""Persons frame by frame, as files of 2D keypoints hold them, and the record that is made of them.

Identities are the file's where every person has one and no frame has one twice; otherwise all persons are linked
by our tracker (AlphaPose without tracking writes 0 for everybody, OpenPose -1). Which of the two it was, and who
was left out, stands in the record's source.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.extraction.persons import Persons, oks_sigmas
from skeleton.extraction.tracker import Tracker
from skeleton.formats.common import CONFIDENCE_THRESHOLD, check_fps, check_size
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

UNKNOWN = -1


@dataclass(frozen=True)
class Found:
    """One person in one frame of a file.

    joints    [V, 3]: x, y in pixels and confidence; a joint with confidence 0 or a NaN is missing
    box       [4] x1 y1 x2 y2 in pixels; None: around the joints
    score     0..1; None: the mean confidence of the joints
    identity  the file's, UNKNOWN where it has none
    """

    joints: np.ndarray
    box: Sequence[float] | None = None
    score: float | None = None
    identity: int = UNKNOWN


@dataclass(frozen=True)
class StoredFrames:
    """The persons of one clip as a file holds them, before anybody is linked.

    persons     [T] list by frame; a frame without anybody has Persons of length 0. A missing joint has confidence 0
    ids         [T] list of int64 [N]: the file's identities, UNKNOWN where it has none
    layout      a name in skeleton.layouts.layout
    frame_size  (height, width) in pixels, None where the file does not say
    others      how many there are of whom or what the file says that it is no person, by name; they are left out
    """

    persons: list[Persons]
    ids: list[np.ndarray]
    layout: str
    frame_size: tuple[int, int] | None = None
    others: Mapping[str, int] = field(default_factory=dict)


def identity_of(value: object) -> int:
    """The identity in a file's field: a whole number of at least 0, or a list of one; anything else is UNKNOWN."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**62 or value != int(value):
        return UNKNOWN
    return int(value)


def stack(found: Mapping[int, Sequence[Found]], rows: int, layout: str, frame_size: tuple | None) -> StoredFrames:
    """The persons `found` by row number as `rows` frames; who has no joint at all is nobody."""
    count = len(get_layout(layout).joints)
    shapes = ((-1, 4), (-1,), (-1, count, 2), (-1, count))
    nobody = Persons(*(np.zeros(0, np.float32).reshape(0, *shape[1:]) for shape in shapes))
    persons, ids = [nobody] * rows, [np.zeros(0, np.int64)] * rows
    for row, people in found.items():
        kept = [one for one in map(_cleaned, people) if one[3].any()]
        if kept:
            *columns, names = zip(*kept, strict=True)
            arrays = (
                np.array(column, np.float32).reshape(shape) for column, shape in zip(columns, shapes, strict=True)
            )
            persons[row], ids[row] = Persons(*arrays), np.array(names, np.int64)
    return StoredFrames(persons, ids, layout, frame_size)


def _cleaned(person: Found) -> tuple:
    """Box, score, points [V, 2], confidence [V] and identity of one person, zero where a joint is missing."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is no pixel
        joints = person.joints.astype(np.float32)
    here = np.isfinite(joints).all(-1) & (joints[:, 2] > 0)
    points = np.where(here[:, None], joints[:, :2], 0)
    confidence = np.where(here, np.clip(joints[:, 2], 0, 1), 0)
    box = np.asarray(person.box, np.float64) if person.box is not None else boxes_around(points, here)
    if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] < box[:2]).any():
        box = boxes_around(points, here)
    score = person.score if person.score is not None else confidence[here].mean() if here.any() else 0
    return box, float(np.clip(score, 0, 1)), points, confidence, person.identity


def boxes_around(points: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """x1 y1 x2 y2 [..., 4] around the visible joints of points [..., V, 2], a pixel wide at least; zeros for none."""
    low = np.where(visible[..., None], points, np.inf).min(-2)
    high = np.where(visible[..., None], points, -np.inf).max(-2)
    boxes = np.concatenate([low, np.maximum(high, low + 1)], -1)
    return np.where(visible.any(-1, keepdims=True), boxes, 0)


def link(stored: StoredFrames, fps: float, threshold: float) -> tuple[list[np.ndarray], str]:
    """Identities [T] lists of int64 [N], and where they are from: "file" or "tracker"."""
    if all((ids >= 0).all() and len(np.unique(ids)) == len(ids) for ids in stored.ids):
        return stored.ids, "file"
    tracker = Tracker(oks_sigmas(stored.layout), start_score=0.0, joint_threshold=threshold)
    return [tracker.update(row / fps, persons) for row, persons in enumerate(stored.persons)], "tracker"


def to_skeleton(
    stored: StoredFrames,
    source: dict,
    fps: float | None,
    frame_size: Sequence[int] | None = None,
    confidence_threshold: float = CONFIDENCE_THRESHOLD,
    max_persons: int = 32,
) -> Skeleton:
    """The record of one clip: a row for each frame, row t at t / fps seconds.

    frame_size is used where the file has none. Beyond `max_persons` those with the fewest visible joints are left
    out and listed in the source, as is whoever has no joint at the threshold; the source's `left_out` counts others
    than persons. Raises FormatError for a missing
    fps or size.
    """
    place = ", clip ".join(source[key] for key in ("file", "clip") if key in source)
    fps = check_fps(fps, place)
    size = check_size(stored.frame_size or frame_size, place)
    if not 0 <= confidence_threshold <= 1:
        raise FormatError(f"confidence_threshold must lie in 0..1, found {confidence_threshold}; correct it")
    ids, origin = link(stored, fps, confidence_threshold)
    rows: dict[int, list[tuple[int, int]]] = {}
    joints: dict[int, int] = {}
    for row, (persons, names) in enumerate(zip(stored.persons, ids, strict=True)):
        sure = (persons.confidence > 0) & (persons.confidence >= confidence_threshold)
        for index, identity in enumerate(names.tolist()):
            rows.setdefault(identity, []).append((row, index))
            joints[identity] = joints.get(identity, 0) + int(sure[index].sum())
    best = sorted((identity for identity in rows if joints[identity]), key=lambda one: (-joints[one], one))
    kept = sorted(best[:max_persons])
    reasons = dict.fromkeys(best[max_persons:], "beyond max_persons")
    reasons |= {identity: "no joint at the threshold" for identity in rows if not joints[identity]}
    shape = (len(kept), len(stored.persons), len(get_layout(stored.layout).joints))
    keypoints, confidence = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    boxes = np.zeros((*shape[:2], 4), np.float32)
    for m, identity in enumerate(kept):
        for row, index in rows[identity]:
            person = stored.persons[row]
            keypoints[m, row], confidence[m, row] = person.keypoints[index], person.confidence[index]
            boxes[m, row] = person.boxes[index]
    return Skeleton(
        keypoints=keypoints,
        confidence=confidence,
        visible=(confidence > 0) & (confidence >= confidence_threshold),
        boxes=boxes,
        timestamps=np.arange(shape[1]) / fps,
        track_ids=np.array(kept, np.int64),
        layout=stored.layout,
        frame_size=size,
        source={
            **source,
            **({"left_out": dict(stored.others)} if stored.others else {}),
            "fps": fps,
            "confidence_threshold": confidence_threshold,
            "identities": origin,
            "dropped_persons": [_dropped(one, reasons[one], rows[one], fps) for one in sorted(reasons)],
        },
    )


def read_stored(
    format: str,
    frames_of: Callable[..., StoredFrames],
    path: str | Path,
    fps: float | None = None,
    frame_size: Sequence[int] | None = None,
    layout: str | None = None,
    confidence_threshold: float = CONFIDENCE_THRESHOLD,
    first_frame: int = 0,
    frames: int | None = None,
    max_persons: int = 32,
) -> Skeleton:
    """The record of one clip, whose frames `frames_of` reads from `path`; the other options as in `to_skeleton`.

    fps and frame_size (height, width) must be given: these formats hold neither. Raises FormatError.
    """
    stored = frames_of(path, layout, first_frame, frames)
    source = {"file": Path(path).resolve().name, "format": format}
    return to_skeleton(stored, source, fps, frame_size, confidence_threshold, max_persons)


def _dropped(identity: int, reason: str, rows: list[tuple[int, int]], fps: float) -> dict:
    times = [round(row / fps, 3) for row, _ in (rows[0], rows[-1])]
    return {"track_id": identity, "reason": reason, "rows": len(rows), "start": times[0], "end": times[1]}
