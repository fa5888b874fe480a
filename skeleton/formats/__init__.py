"""Skeleton files of other programs, read as our records (and pyskl's pickle written).

FORMATS names the readers, FRAMES those that give the persons of each frame before they are linked, and `clips`
lists what lies in a file or folder without reading all of it at once. Files are data: nothing in them is executed.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from skeleton.errors import FormatError
from skeleton.formats.alphapose import alphapose_frames, read_alphapose
from skeleton.formats.bvh import read_bvh
from skeleton.formats.coco import coco_clips, coco_frames, read_coco
from skeleton.formats.common import Clip, check_fps
from skeleton.formats.frames import StoredFrames, to_skeleton
from skeleton.formats.humanml3d import read_humanml3d
from skeleton.formats.ntu import read_ntu
from skeleton.formats.openpose import SUFFIX, openpose_frames, read_openpose
from skeleton.formats.pyskl import pyskl_clips, read_pyskl, write_pyskl
from skeleton.record import Skeleton

__all__ = ["FORMATS", "FRAMES", "Clip", "StoredFrames", "clips", "read", "to_skeleton", "write_pyskl"]

FORMATS: dict[str, Callable[..., Skeleton | Iterator[Clip]]] = {
    "pyskl": read_pyskl,
    "openpose": read_openpose,
    "alphapose": read_alphapose,
    "coco": read_coco,
    "ntu": read_ntu,
    "humanml3d": read_humanml3d,
    "bvh": read_bvh,
}
FRAMES: dict[str, Callable[..., StoredFrames | dict[str, StoredFrames]]] = {
    "openpose": openpose_frames,
    "alphapose": alphapose_frames,
    "coco": coco_frames,
}
_MANY = {"pyskl": pyskl_clips, "coco": coco_clips}  # files of several clips
_PATTERNS = {
    "pyskl": "*.pkl",
    "openpose": f"*{SUFFIX}",
    "alphapose": "*.json",
    "coco": "*.json",
    "ntu": "*.skeleton",
    "humanml3d": "*.npy",
    "bvh": "*.bvh",
}


def read(path: str | Path, format: str, **options: Any) -> Skeleton | Iterator[Clip]:
    """What the reader called `format` gives: a record, or for pyskl and coco an iterator of clips.

    Raises FormatError for an unknown format or option, and as the reader does.
    """
    _check(format, options)
    return FORMATS[format](path, **options)


def clips(path: str | Path, format: str, **options: Any) -> list[tuple[str, Callable[[], Clip]]]:
    """Every clip in a file, or in all files below a folder: (name, function that reads it), in order.

    A clip is named as in its file, or by the file's path below the folder. Raises FormatError for an unknown format
    or option, where nothing is found, and for an unreadable file of several clips; the functions raise it for theirs.
    """
    needs_fps = _check(format, options)
    if needs_fps:
        check_fps(options.get("fps"), f"the format {format}")
    place = Path(path).expanduser()
    files = _files(place, format)
    if format in _MANY:
        return [clip for file in files for clip in _MANY[format](file, **options)]
    names = [_name(file, place) for file in files]
    return [(name, partial(_read_one, file, name, format, options)) for name, file in zip(names, files, strict=True)]


def _read_one(file: Path, name: str, format: str, options: dict) -> Clip:
    return Clip(name, FORMATS[format](file, **options))


def _check(format: str, options: dict) -> bool:
    """Whether the format needs fps; FormatError for an unknown format or option."""
    if format not in FORMATS:
        raise FormatError(f"expected a format among {', '.join(FORMATS)}, found {format!r}; choose one")
    known = inspect.signature(_MANY.get(format, FORMATS[format])).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        legal = ", ".join(name for name in known if name != "path")
        raise FormatError(f"the format {format} has the options {legal}, found {', '.join(unknown)}; drop it")
    return "fps" in known and known["fps"].default is None


def _files(place: Path, format: str) -> list[Path]:
    pattern = _PATTERNS[format]
    if format == "openpose":
        found = sorted({file.parent for file in place.rglob(pattern)})
    else:
        found = sorted(place.rglob(pattern)) if place.is_dir() else [place]
    if not found:
        raise FormatError(f"expected {pattern} files of the format {format} at {place}, found none; check the path")
    return found


def _name(file: Path, place: Path) -> str:
    if file == place:
        return file.resolve().name if file.is_dir() else file.stem
    below = file.relative_to(place)
    return (below if file.is_dir() else below.with_suffix("")).as_posix()
