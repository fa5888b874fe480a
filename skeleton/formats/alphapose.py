"""AlphaPose's list of results: one entry for each person of each frame, in one JSON file for each clip.

The number in image_id is the frame's (0.jpg, 1.jpg, ... for a video). A frame without persons has no entry: it
becomes a row where nobody is visible, but how many there are after the last entry only `frames` can say. The
file's score is no probability (it may exceed 1), so a person's score is the mean confidence of the joints. Of
Halpe's 136 joints the first 26, those of the body, are read.
"""

from functools import partial
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.common import choose_layout, frame_numbers, read_json, rows_of, triples
from skeleton.formats.frames import Found, StoredFrames, identity_of, read_stored, stack

_KIND = "AlphaPose's list of results"
_LAYOUTS = {17: "coco17", 26: "halpe26", 133: "wholebody133"}
_HALPE_FULL, _HALPE_BODY = 136, 26


def alphapose_frames(
    path: str | Path, layout: str | None = None, first_frame: int = 0, frames: int | None = None
) -> StoredFrames:
    """The persons of each frame in the file `path`, before they are linked.

    layout: None takes coco17, halpe26 or wholebody133 by the number of joints. first_frame: number of the first
    row; frames: how many rows, None up to the last entry. Raises FormatError for a missing, cut or foreign file
    and for frames of several clips.
    """
    entries = read_json(path, _KIND)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FormatError(f"{path} must be {_KIND}, found a {type(entries).__name__}; run AlphaPose without --format")
    names = [_name(entry, f"{path}, entry {index}") for index, entry in enumerate(entries)]
    distinct = list(dict.fromkeys(names))
    number = dict(zip(distinct, frame_numbers(distinct, path), strict=True))
    rows = rows_of(list(number.values()), first_frame, frames, path)
    found: dict[int, list[Found]] = {}
    for index, (name, entry) in enumerate(zip(names, entries, strict=True)):
        place = f"{path}, entry {index}"
        joints = triples(entry.get("keypoints"), place)
        if len(joints) == _HALPE_FULL:
            joints = joints[:_HALPE_BODY]
        if layout is None:
            layout = choose_layout(len(joints), None, place, _LAYOUTS)
        choose_layout(len(joints), layout, place)
        person = Found(joints, corners(entry.get("box"), place), identity=identity_of(entry.get("idx")))
        found.setdefault(number[name] - first_frame, []).append(person)
    if layout is None:
        raise FormatError(f"{path} shows nobody, so the layout is unknown; give layout=halpe26 or coco17")
    return stack(found, rows, layout, None)


def _name(entry: dict, place: str) -> str:
    image = entry.get("image_id")
    if isinstance(image, bool) or not isinstance(image, int | str):
        raise FormatError(f"{place}: expected image_id, a file name or number, found {image!r}; mend it")
    return Path(image).stem if isinstance(image, str) else str(image)


def corners(box: object, place: str) -> np.ndarray | None:
    """x, y, width, height -> x1 y1 x2 y2 [4]; None stays None. FormatError for anything else."""
    if box is None:
        return None
    try:
        x, y, width, height = (float(value) for value in box)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{place}: expected a box x, y, width, height, found {box!r}; mend it") from error
    return np.array([x, y, x + width, y + height])


read_alphapose = partial(read_stored, "alphapose", alphapose_frames)
