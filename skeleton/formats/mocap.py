"""Motion capture of any joint names -> one person of layout smpl22 in metres, y up.

Joints go by name: ALIASES lists, for each of our joints, what others call it. A name is taken once, the first that
is there wins, and the order of the table decides who chooses first: so "LeftShoulder" is the collar where there
is a "LeftArm" too, and the shoulder where there is none. Left and right must be the person's own: a capture whose
toes point away from where hips and shoulders say that it looks is mirrored, and refused.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.common import check_fps, check_metres, require_file
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

LAYOUT = "smpl22"
_SIDED = {
    "hip": "upleg upperleg thigh hip",
    "knee": "leg lowerleg lowleg shin calf knee",
    "ankle": "ankle foot",
    "foot": "toebase toes toe ball foot",
    "shoulder": "arm upperarm uparm shldr shoulder",
    "collar": "collar clavicle shoulder",
    "elbow": "forearm lowerarm lowarm elbow",
    "wrist": "hand wrist",
}
ALIASES = {  # in plain spelling (`plain_name`): Bandai-Namco, CMU, Mixamo, LAFAN, Poser, 3ds Max, SMPL
    "pelvis": "hips pelvis hip",
    "spine1": "lowerback abdomen spine spine1",
    "spine2": "spine spine1 spine2 chest",
    "spine3": "spine1 spine2 spine3 chest chest1 upperchest",
    "neck": "neck",
    "head": "head",
    **{
        f"{side}_{joint}": " ".join(f"{side}{name}" for name in names.split())
        for side in ("left", "right")
        for joint, names in _SIDED.items()
    },
}
NEEDED = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle", "shoulder"))
SCALES = (1.0, 0.01, 0.001, 0.0254, 0.056444)  # metres, centimetres, millimetres, inches, the unit of CMU's files
LEG_METRES = 0.85  # from hip over knee to ankle
LEG_LIMITS = (0.55, 1.15)
AXES = ("x", "y", "z")
_UNNAMED = {"mixamorig", "bip", "01", "001", "joint"}  # parts of a name that say nothing
_KIND = "an .npz of motion capture"


@dataclass(frozen=True, eq=False)
class Motion:
    """A capture as it is in its file: J joints with parents [J] (-1: none), positions [T, J, 3] in its own units."""

    names: tuple[str, ...]
    parents: np.ndarray
    positions: np.ndarray
    fps: float


def plain_name(name: str) -> str:
    """The joint's name in lower case without name space and signs, with left or right in front."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name.rpartition(":")[2])
    words = [part.lower() for part in parts if part.lower() not in _UNNAMED]
    sides = {"l": "left", "left": "left", "r": "right", "right": "right"}
    side = next((sides[word] for word in words if word in sides), "")
    return side + "".join(word for word in words if word not in sides)


def match_joints(names: Sequence[str]) -> dict[str, int]:
    """{joint of smpl22: place in names} of those that are found by ALIASES."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(plain_name(name), place)
    found: dict[str, int] = {}
    for joint, alternatives in ALIASES.items():
        free = (places[name] for name in alternatives.split() if places.get(name, -1) not in (-1, *found.values()))
        if (place := next(free, None)) is not None:
            found[joint] = place
    return found


def to_record(
    motion: Motion, file: str, metres_per_unit: float | None = None, up: str = "y", stand: bool = False
) -> Skeleton:
    """The capture as a record: person 0, smpl22, metres, y up; joints without a counterpart are not visible.

    metres_per_unit: None takes the one of SCALES that makes the legs likeliest. up: axis of the capture. stand:
    put the lowest joint on y = 0 and the first pelvis (or middle of the hips) over x = z = 0.
    Raises FormatError where hips, knees, ankles or shoulders are missing, sizes are not a body's, or it is mirrored.
    """
    layout, found = get_layout(LAYOUT), match_joints(motion.names)
    missing = [joint for joint in NEEDED if joint not in found]
    if missing:
        raise FormatError(
            f"{file}: expected joints known as {', '.join(missing)}, found {', '.join(motion.names)[:200]}; rename "
            "the joints, or add their names to ALIASES of skeleton/formats/mocap.py"
        )
    upward = AXES.index(up)
    keypoints = np.zeros((len(motion.positions), len(layout.joints), 3))
    for joint, place in found.items():  # a turn of the axes, no mirroring
        keypoints[:, layout.index(joint)] = motion.positions[:, place][:, [(upward + 2) % 3, upward, (upward + 1) % 3]]
    at = {joint: keypoints[:, layout.index(joint)] for joint in found}
    scale = metres_per_unit or _guess_scale(at, file)
    keypoints *= scale
    _check_sides(at, file)
    seen = np.isin(layout.joints, list(found))
    if stand:
        keypoints[:, seen, 1] -= np.percentile(keypoints[:, seen, 1].min(1), 1)
        keypoints[:, seen] -= (at["left_hip"][0] + at["right_hip"][0]) / 2 * (1, 0, 1)
    visible = np.broadcast_to(seen, keypoints.shape[:2])[None]
    return Skeleton(
        keypoints=keypoints[None],
        confidence=visible.astype(np.float32),
        visible=visible,
        boxes=np.zeros((1, len(keypoints), 4)),
        timestamps=np.arange(len(keypoints)) / motion.fps,
        track_ids=np.zeros(1, np.int64),
        layout=LAYOUT,
        frame_size=(1, 1),
        source={"file": file, "format": "mocap", "fps": motion.fps, "metres_per_unit": scale, "up": up},
    )


def _guess_scale(at: dict[str, np.ndarray], file: str) -> float:
    bones = [
        (f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    leg = sum(float(np.median(np.linalg.norm(at[a] - at[b], axis=-1))) for a, b in bones) / 2
    scale = min(SCALES, key=lambda scale: abs(np.log(max(leg * scale, 1e-9) / LEG_METRES)))
    if not LEG_LIMITS[0] <= leg * scale <= LEG_LIMITS[1]:
        raise FormatError(
            f"{file}: expected legs of {LEG_LIMITS[0]} to {LEG_LIMITS[1]} m in metres, centimetres, millimetres, "
            f"inches or CMU's unit, found legs of {leg:.4g} units; give metres_per_unit"
        )
    return scale


def _check_sides(at: dict[str, np.ndarray], file: str) -> None:
    """Knees and toes lie before the hip and the ankle, on average over a capture; of people they never lie behind."""
    left = at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"]
    trunk = at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]
    forward = np.cross(left, trunk)
    forward = forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
    along = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (at[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        ahead = knee - (hip + ankle) / 2 + (at[f"{side}_foot"] - ankle if f"{side}_foot" in at else 0)
        along += float((ahead * forward).sum(-1).mean())
    if along < 0:
        raise FormatError(
            f"{file}: expected knees and toes that point forward, found them pointing back; left and right are "
            "exchanged, or the axes are mirrored"
        )


def up_axis(names: Sequence[str], positions: np.ndarray, file: str) -> str:
    """The axis along which the head is above the feet in most of positions [T, J, 3]; FormatError if none is."""
    found = match_joints(names)
    top = next((joint for joint in ("head", "neck", "left_shoulder") if joint in found), None)
    feet = [found[joint] for joint in ("left_ankle", "right_ankle") if joint in found]
    if top is None or not feet:
        raise FormatError(f"{file}: expected a head and ankles, found {', '.join(names)[:200]}; give up=x, y or z")
    height = np.median(positions[:, found[top]] - positions[:, feet].mean(1), axis=0)
    best = int(np.argmax(np.abs(height)))
    if height[best] <= 0 or height[best] < 2 * np.delete(np.abs(height), best).max():
        told = ", ".join(f"{axis} {value:.4g}" for axis, value in zip(AXES, height, strict=True))
        raise FormatError(f"{file}: expected one axis with the head above the feet, found {told}; give up=x, y or z")
    return AXES[best]


@dataclass(frozen=True, eq=False)
class Captures:
    """What an .npz holds: (name, what is done or None, function that gives the capture) of each clip; its up axis."""

    clips: list[tuple[str, str | None, Callable[[], Motion]]]
    up: Callable[[], str]


def read_captures(path: str | Path, fps: float = 30.0) -> Captures:
    """An .npz of many captures: xyz [sum of T, J, 3], offset [N + 1], name [N], joint_names [J], parents [J], and
    perhaps content [N] and fps. Raises FormatError for a missing, cut or foreign file."""
    path = require_file(path, _KIND)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: np.atleast_1d(file[key]) for key in file.files if key in _ARRAYS}
        fps = check_fps(float(np.max(arrays.get("fps", fps))), str(path))
        names = tuple(str(name) for name in arrays["joint_names"])
        xyz, offset, labels = arrays["xyz"], arrays["offset"].astype(np.int64), arrays["name"]
        parents = arrays["parents"].astype(np.int64)
    except KeyError as error:
        raise FormatError(f"{path} must be {_KIND}, found no array {error.args[0]!r} in it; add it") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, TypeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        reason = " ".join(str(error).split())[:90]
        raise FormatError(f"{path} must be {_KIND}, found an unreadable file ({reason}); write it again") from error
    contents = arrays.get("content", [None] * len(labels))
    right = xyz.shape == (len(xyz), len(names), 3) and offset.shape == (len(labels) + 1,) and len(labels)
    if (
        not right
        or xyz.dtype.kind not in "fiu"
        or offset[0] != 0
        or offset[-1] != len(xyz)
        or (np.diff(offset) < 1).any()
        or len(parents) != len(names)
        or len(contents) != len(labels)
    ):
        raise FormatError(
            f"{path}: expected xyz [T, {len(names)}, 3] and offset from 0 up to T for {len(labels)} names, found xyz "
            f"{list(xyz.shape)}, offset {list(offset.shape)} up to {offset.max(initial=0)} and {len(parents)} parents"
        )

    some = xyz[:: max(1, len(xyz) // 5000)].astype(np.float64)
    check_metres(some, np.isfinite(some).all(-1), path)

    def load(start: int, end: int) -> Motion:
        return Motion(names, parents, xyz[start:end].astype(np.float64), fps)

    clips = [
        (str(label), None if content is None else str(content), partial(load, int(start), int(end)))
        for label, content, start, end in zip(labels, contents, offset[:-1], offset[1:], strict=True)
    ]
    return Captures(clips, partial(up_axis, names, some, path.name))


_ARRAYS = ("xyz", "offset", "name", "content", "joint_names", "parents", "fps")
