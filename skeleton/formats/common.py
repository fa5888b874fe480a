"""What the readers share: one clip, files of JSON, frame rates, frame numbers, and which layout has V joints.

A field that is null says as much as a field that is not there: `present` takes it away, in JSON as it is read. A byte
order mark at the start of a text is skipped.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.layouts.layout import LAYOUTS, get_layout
from skeleton.layouts.tables import ALIASES
from skeleton.record import Skeleton

CONFIDENCE_THRESHOLD = 0.3  # a joint is visible from here on; the same as in an extraction
MAX_FRAMES = 1_000_000  # nine hours at 30 fps: numbers beyond are ids of pictures, not of frames
_BODY_METRES = 5.0  # no body is wider or higher
_TOP_SCORE = 2.0  # some networks' scores pass 1
_BY_COUNT = {
    13: "penn13",
    17: "coco17",
    18: "openpose18",
    20: "kinect20",
    22: "smpl22",
    25: "ntu25",
    26: "halpe26",
    133: "wholebody133",
}


@dataclass(frozen=True)
class Clip:
    """One clip of a file that may hold many: its name there, the record, class label and the splits it is in."""

    name: str
    skeleton: Skeleton
    label: int | None = None
    splits: tuple[str, ...] = ()


def require_file(path: str | Path, kind: str) -> Path:
    """The path of a file; FormatError where there is none."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise FormatError(f"expected {kind} at {path}, found no such file; check the path")
    return path


def present(fields: Mapping) -> dict:
    """The fields that are not null."""
    return {key: value for key, value in fields.items() if value is not None}


def read_json(path: str | Path, kind: str) -> object:
    """The value in a JSON file without its null fields; FormatError for a missing, cut or foreign file."""
    path = require_file(path, kind)
    try:
        return json.loads(path.read_bytes(), object_hook=present)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:90]
        raise FormatError(f"{path} must be {kind}, found no whole JSON ({reason}); write the file again") from error


def check_fps(fps: float | None, kind: str) -> float:
    """The frame rate; FormatError unless it is given and positive."""
    if fps is None:
        raise FormatError(f"{kind} holds no times, found no fps either; give fps, the frame rate of its video")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not (math.isfinite(fps) and fps > 0):
        raise FormatError(f"fps must be frames a second above 0, found {fps}; give the frame rate of the video")
    return float(fps)


def check_size(size: Sequence[int] | None, place: object) -> tuple[int, int]:
    """(height, width); FormatError unless both are whole and positive."""
    if size is None:
        raise FormatError(
            f"{place} holds no picture size that all frames share, found no frame_size either; "
            "give frame_size, the (height, width) of the video in pixels"
        )
    try:
        height, width = (int(side) for side in size)
        whole = (height, width) == tuple(size) and height > 0 and width > 0
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise FormatError(f"{place}: the picture size must be (height, width) in whole pixels, found {size}; mend it")
    return height, width


def choose_layout(joints: int, layout: str | None, place: object, known: dict[int, str] = _BY_COUNT) -> str:
    """`layout`, or where it is None the one with this many joints; FormatError where the numbers differ."""
    if layout is None:
        if joints not in known:
            names = ", ".join(f"{count} ({name})" for count, name in known.items())
            raise FormatError(f"{place}: expected {names} joints, found {joints}; name the layout or convert the file")
        return known[joints]
    expected = len(get_layout(layout).joints)
    if expected != joints:
        raise FormatError(f"{place}: layout {layout} has {expected} joints, found {joints}; name another layout")
    return layout


def layout_of(names: Sequence[str]) -> str | None:
    """The layout whose joints are called so, in this order and whatever the case; None where there is none."""
    plain = [name.lower().replace(" ", "_") for name in names]
    for layout in LAYOUTS.values():
        ours = ALIASES.get(layout.name, {})
        if tuple(ours.get(name, name) for name in plain) == layout.joints:
            return layout.name
    return None


def the_layout_of(names: Sequence[str], place: object) -> str:
    """As `layout_of`; FormatError where there is none."""
    found = layout_of(names)
    if found is None:
        raise FormatError(
            f"{place}: expected the joints of a layout ({', '.join(LAYOUTS)}), found {', '.join(names[:5])}, ...; "
            "give layout if one of them has the same joints under other names"
        )
    return found


def check_metres(joints: np.ndarray, visible: np.ndarray, place: object) -> None:
    """FormatError where x, y, z of joints [..., V, 3] are x, y in pixels and a score: wide, and thin as no body is.

    visible: [..., V]. Scores beside coordinates within 0..1 cannot be told from a body's metres, and pass.
    """
    third = joints[visible][:, 2]
    if not len(third) or third.min() < 0 or third.max() > _TOP_SCORE:
        return
    low = np.where(visible[..., None], joints, np.inf).min(-2)[visible.any(-1)]
    high = np.where(visible[..., None], joints, -np.inf).max(-2)[visible.any(-1)]
    span = float(np.median((high - low)[:, :2].max(-1)))
    if span > _BODY_METRES:
        raise FormatError(
            f"{place}: expected x, y, z in metres, found bodies of {span:.4g} across whose third numbers lie in "
            f"{third.min():.2g} to {third.max():.2g}, like x, y in pixels and a score; keep scores in an array of their own"
        )


def numbers_of(values: object, key: str, place: object) -> np.ndarray:
    """Numbers of any shape as float64; null is NaN. FormatError for anything else."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:60]
        raise FormatError(f"{place}: expected numbers in {key}, found {reason}; mend the file") from error


def triples(values: object, place: object) -> np.ndarray:
    """Flat x, y, score numbers -> [V, 3] float64; null is NaN. FormatError for anything else."""
    try:
        array = np.array(values, dtype=np.float64)
        if array.ndim != 1 or not array.size or array.size % 3:
            raise ValueError(f"shape {list(array.shape)}")
    except (TypeError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:60]
        raise FormatError(f"{place}: joints must be a flat list x, y, score, ..., found {reason}; mend it") from error
    return array.reshape(-1, 3)


def frame_numbers(names: Sequence[str], place: object) -> list[int]:
    """The last number in each name, which must otherwise be alike up to there (one clip, not several).

    Raises FormatError for a name without a number, for two beginnings, and for a number that comes twice.
    """
    found = [re.fullmatch(r"(.*?)(\d{1,18})\D*", name) for name in names]
    if not all(found):
        lost = names[found.index(None)]
        raise FormatError(f"{place}: expected a frame number in each name, found {lost!r}; rename the frames")
    beginnings = sorted({match[1] for match in found})
    if len(beginnings) > 1:
        raise FormatError(
            f"{place}: expected the frames of one clip, found names that begin with {beginnings[0]!r} and with "
            f"{beginnings[1]!r}; give each clip a place of its own"
        )
    numbers = [int(match[2]) for match in found]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise FormatError(f"{place}: expected each frame once, found number {twice} twice; remove one of them")
    return numbers


def rows_of(numbers: Sequence[int], first: int, frames: int | None, place: object) -> int:
    """How many rows a clip has whose frames are numbered from `first`: `frames`, or up to the last number.

    Raises FormatError for numbers outside, for none at all, and for more than MAX_FRAMES rows.
    """
    last = max(numbers, default=first - 1)
    rows = last + 1 - first if frames is None else frames
    if rows < 1:
        raise FormatError(f"{place}: expected at least one frame, found none from {first} on; give frames")
    low = min(numbers, default=first)
    if low < first or last >= first + rows:
        raise FormatError(
            f"{place}: expected frames {first} to {first + rows - 1}, found number {low if low < first else last}; "
            "correct first_frame or frames"
        )
    if rows > MAX_FRAMES:
        raise FormatError(
            f"{place}: expected frame numbers, at most {MAX_FRAMES} of them, found {rows} up to number {last}; "
            "give first_frame, or number the frames"
        )
    return rows
