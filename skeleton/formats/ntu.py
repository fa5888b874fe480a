"""NTU RGB+D's `.skeleton` text: 25 Kinect joints of up to six bodies in each frame, at 30 frames a second.

Joints that the Kinect only guessed (tracking state 1) are visible with confidence 0.5, those it did not track
(state 0) are not visible. Every body of the file is kept: the usual choice of one or two by motion or by the class
in the file's name would let labels into the input. Boxes are those of the joints in the colour picture.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.common import check_fps, require_file
from skeleton.formats.frames import boxes_around
from skeleton.record import Skeleton

FPS = 30.0
FRAME_SIZE = (1080, 1920)
_KIND = "a .skeleton file of NTU RGB+D"
_SPACES = {"camera": [0, 1, 2], "colour": [5, 6]}
_COLOUR, _STATE = [5, 6], 11
_JOINTS, _BODY_FIELDS, _JOINT_FIELDS = 25, 10, 12
_CONFIDENCE = np.array([0.0, 0.5, 1.0])


def read_ntu(path: str | Path, fps: float = FPS, space: str = "camera") -> Skeleton:
    """The record of one file. space: camera (metres, C=3, y up) or colour (pixels of 1920x1080, C=2).

    Persons are the file's body ids. Raises FormatError for a missing, cut or foreign file.
    """
    fps = check_fps(fps, _KIND)
    if space not in _SPACES:
        raise FormatError(f"expected space to be one of {', '.join(_SPACES)}, found {space!r}; choose one")
    path = require_file(path, _KIND)
    frames = _parse(path)
    ids = list(dict.fromkeys(identity for bodies in frames for identity in bodies))
    values = np.full((len(ids), len(frames), _JOINTS, _JOINT_FIELDS), np.nan)
    values[..., _STATE] = 0
    for t, bodies in enumerate(frames):
        for identity, joints in bodies.items():
            values[ids.index(identity), t] = joints
    keypoints, colour = values[..., _SPACES[space]], values[..., _COLOUR]
    confidence = _CONFIDENCE[values[..., _STATE].astype(np.int64)]
    visible = (confidence > 0) & np.isfinite(keypoints).all(-1)
    return Skeleton(
        keypoints=np.where(visible[..., None], keypoints, 0),
        confidence=np.where(visible, confidence, 0),
        visible=visible,
        boxes=boxes_around(colour, visible & np.isfinite(colour).all(-1)),
        timestamps=np.arange(len(frames)) / fps,
        track_ids=np.array(ids, np.int64),
        layout="ntu25",
        frame_size=FRAME_SIZE,
        source={"file": path.name, "format": "ntu", "fps": fps, "space": space, "identities": "file"},
    )


def _parse(path: Path) -> list[dict[int, np.ndarray]]:
    """The bodies of each frame: id -> the twelve numbers of each joint [25, 12]."""
    try:
        lines = enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1)
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} must be {_KIND}, found bytes that are no text; give another file") from error
    count = _line(lines, 1, path)[0]
    if count < 1:
        raise FormatError(f"{path} must hold at least one frame, found {count}; remove the file")
    frames = []
    for _ in range(count):
        bodies: dict[int, np.ndarray] = {}
        for _ in range(_line(lines, 1, path)[0]):
            identity = _line(lines, _BODY_FIELDS, path)[0]
            joints = _line(lines, 1, path)[0]
            if joints != _JOINTS or identity in bodies or not 0 <= identity < 2**63:
                found = f"body {identity} again or with {joints} joints"
                raise FormatError(
                    f"{path} must hold each body once in a frame, with {_JOINTS} joints, found {found}; mend it"
                )
            values = np.array([_line(lines, _JOINT_FIELDS, path)[1] for _ in range(joints)])
            if not np.isin(values[:, _STATE], (0, 1, 2)).all():
                raise FormatError(
                    f"{path}: tracking states must be 0, 1 or 2, found others in body {identity}; mend it"
                )
            bodies[identity] = values
        frames.append(bodies)
    if any(line.strip() for _, line in lines):
        raise FormatError(f"{path} must end after its {count} frames, found more lines; copy the file again")
    return frames


def _line(lines: Iterator[tuple[int, str]], count: int, path: Path) -> tuple[int, list[float]]:
    """The `count` numbers in the next line, and the first of them as a whole one (0 in the line of a joint)."""
    number, line = next(lines, (0, ""))
    if not number:
        raise FormatError(f"{path} is cut: expected more lines, found its end; copy the file again")
    fields = line.split()
    try:
        if len(fields) != count:
            raise ValueError(f"{len(fields)} fields")
        values = [float(field) for field in fields]
        return 0 if count == _JOINT_FIELDS else int(fields[0]), values
    except ValueError as error:
        raise FormatError(
            f"{path}, line {number}: expected {count} number{'s' * (count > 1)} of {_KIND}, found {line[:40]!r} "
            f"({str(error)[:40]}); copy the file again"
        ) from error
