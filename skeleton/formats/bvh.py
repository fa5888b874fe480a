"""Biovision's BVH: a tree of joints with offsets, and a row of channel values for each frame.

Channels may come in any order and on any joint; rotations apply in the order in which they are listed. A position
channel replaces that coordinate of the joint's offset, as MotionBuilder and Blender have it. Scales apply in their
place among the rotations, to all that hangs on the joint. An End Site becomes a joint NAME_end, or has the name that
stands behind it. The values may be wrapped over lines, and all have a decimal comma instead of a point.
"""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.common import MAX_FRAMES, require_file
from skeleton.formats.mocap import Motion, to_record
from skeleton.record import Skeleton

_KIND = "a BVH file"
_CHANNELS = {f"{axis}{kind}": (kind, i) for kind in ("position", "rotation", "scale") for i, axis in enumerate("xyz")}
_COMMA, _POINT = (re.compile(rf"(?<!\S)([-+]?\d*){mark}(?=\d)") for mark in (",", r"\."))


class _Words:
    """The words of the file's first part with their lines; `fail` names file and line."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path, self.lines, self.at = path, lines, 0
        self.words = [
            (word, number)
            for number, line in enumerate(lines, 1)
            for word in line.replace("{", " { ").replace("}", " } ").split()
        ]

    def fail(self, expected: str, line: int, found: str) -> FormatError:
        return FormatError(
            f"{self.path}, line {line}: expected {expected}, found {found[:60]!r}; mend or write the file again"
        )

    @property
    def line(self) -> int:
        return self.words[min(self.at, len(self.words) - 1)][1] if self.words else 1

    def peek(self) -> str:
        return self.words[self.at][0] if self.at < len(self.words) else "the end"

    def next(self, *expected: str) -> str:
        """The next word; one of `expected` (any case) where these are given."""
        word = self.peek()
        if self.at >= len(self.words) or (expected and word.upper() not in expected):
            raise self.fail(" or ".join(expected) or "a word", self.line, word)
        self.at += 1
        return word

    def number(self, kind: type = float) -> float:
        """The next word as a number."""
        line, word = self.line, self.next()
        try:
            value = kind(word)
        except (ValueError, OverflowError) as error:
            raise self.fail("a number", line, word) from error
        if not abs(value) < float("inf"):
            raise self.fail("a finite number", line, word)
        return value

    def name(self) -> str:
        """What is left of this line before a brace: names may hold spaces."""
        line, parts = self.line, []
        while self.peek() not in ("{", "}") and self.line == line and self.at < len(self.words):
            parts.append(self.next())
        if not parts:
            raise self.fail("a joint's name", line, self.peek())
        return " ".join(parts)


def read_motion(path: str | Path) -> Motion:
    """Positions of all joints of a BVH file, by forward kinematics in its own units. Raises FormatError."""
    path = require_file(path, _KIND)
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise FormatError(
            f"{path} must be {_KIND}, found an unreadable file ({error.strerror}); copy it again"
        ) from error
    if not _POINT.search(text):  # beside points, commas part thousands or values: those are refused
        text = _COMMA.sub(r"\1.", text)
    words = _Words(path, text.splitlines())
    names, parents, offsets, channels = _hierarchy(words)
    values, fps = _values(words, sum(map(len, channels)))
    scales = [kind == "scale" for joint in channels for kind, _ in joint]
    if (values[:, scales] <= 0).any():
        raise FormatError(f"{path}: expected scales above 0, found {values[:, scales].min():g}; export without scales")
    with np.errstate(all="ignore"):  # what overflows is not finite, and refused below
        positions = _positions(parents, offsets, channels, values)
    if not np.isfinite(positions).all():
        raise FormatError(f"{path}: expected positions of a body, found numbers that overflow; mend the file")
    return Motion(tuple(names), np.array(parents), positions, fps)


def read_bvh(path: str | Path, metres_per_unit: float | None = None) -> Skeleton:
    """The record of one BVH file: one person, layout smpl22, C=3, metres, y up; frame_size is (1, 1), there is no
    picture. metres_per_unit: None guesses it from the legs. Raises FormatError, also where joints have other names."""
    if metres_per_unit is not None and not (np.isfinite(metres_per_unit) and metres_per_unit > 0):
        raise FormatError(f"metres_per_unit must be above 0, found {metres_per_unit}; give 0.01 for centimetres")
    return to_record(read_motion(path), Path(path).name, metres_per_unit)


def _hierarchy(words: _Words) -> tuple[list[str], list[int], np.ndarray, list[list[tuple[str, int]]]]:
    """(names, parents, offsets [J, 3], channels of each joint) of the tree."""
    words.next("HIERARCHY")
    names, parents, offsets, channels, open_joints = [], [], [], [], []
    while words.peek().upper() != "MOTION" or open_joints:
        line = words.line
        legal = ("OFFSET", "CHANNELS", "JOINT", "END", "}") if open_joints else ("ROOT", "MOTION")
        word = words.next(*legal).upper()
        if word == "}":
            open_joints.pop()
        elif word == "OFFSET":
            offsets[open_joints[-1]] = [words.number() for _ in range(3)]
        elif word == "CHANNELS":
            if channels[open_joints[-1]]:
                raise words.fail("CHANNELS once in a joint", line, word)
            for _ in range(int(words.number(int))):
                line, channel = words.line, words.next()
                if channel.lower() not in _CHANNELS:
                    raise words.fail("a channel such as Xposition or Zrotation", line, channel)
                channels[open_joints[-1]].append(_CHANNELS[channel.lower()])
        else:
            parent = open_joints[-1] if open_joints else -1
            if word == "END":
                words.next("SITE")
                given = "" if words.peek() == "{" else words.name()
                name = given if given and given not in names else f"{names[parent]}_end"
            elif (name := words.name()) in names:
                raise words.fail("each joint once", line, name)
            words.next("{")
            open_joints.append(len(names))
            names.append(name)
            parents.append(parent)
            offsets.append([0.0, 0.0, 0.0])
            channels.append([])
    if not names:
        raise words.fail("a ROOT joint", words.line, words.peek())
    return names, parents, np.array(offsets), channels


def _values(words: _Words, channels: int) -> tuple[np.ndarray, float]:
    """(values [T, channels], frames a second)."""
    words.next("MOTION")
    words.next("FRAMES:")
    line = words.line
    frames = int(words.number(int))
    if not 1 <= frames <= MAX_FRAMES:
        raise words.fail(f"1 to {MAX_FRAMES} frames", line, str(frames))
    words.next("FRAME")
    words.next("TIME:")
    line, seconds = words.line, words.number()
    if not 1e-4 <= seconds <= 10:
        raise words.fail("a frame time in seconds", line, str(seconds))
    rest = words.words[words.at :]
    if len(rest) != frames * channels or not channels:
        rows = [
            (number, len(text.split())) for number, text in enumerate(words.lines, 1) if number > line and text.strip()
        ]
        odd = next((row for row in rows if row[1] != channels), rows[-1] if rows else (line, 0))
        raise words.fail(
            f"{frames} rows of {channels} values", odd[0], f"{len(rows)} rows, {odd[1]} values in this one"
        )
    try:
        values = np.array([word for word, _ in rest], dtype=np.float64)
    except ValueError:
        values = np.full(len(rest), np.nan)
    if not np.isfinite(values).all():
        words.at = len(words.words) - len(rest)
        for _ in rest:  # finds and tells the first that is no number
            words.number()
    fps = 1 / seconds
    whole = round(fps)  # 0.033333 is 30 frames a second
    return values.reshape(frames, channels), float(whole) if whole and abs(fps - whole) < 5e-4 * whole else fps


def _positions(
    parents: list[int], offsets: np.ndarray, channels: list[list[tuple[str, int]]], values: np.ndarray
) -> np.ndarray:
    """Forward kinematics [T, J, 3]: one pass over the joints, all frames at once."""
    frames, ends = len(values), np.cumsum([0, *map(len, channels)])
    places, turns = np.empty((frames, len(parents), 3)), np.empty((frames, len(parents), 3, 3))
    for joint, (parent, (start, end)) in enumerate(zip(parents, pairwise(ends), strict=True)):
        moved = np.tile(offsets[joint], (frames, 1))
        turn = np.tile(np.eye(3), (frames, 1, 1)) if parent < 0 else turns[:, parent]
        for (kind, axis), value in zip(channels[joint], values[:, start:end].T, strict=True):
            if kind == "position":
                moved[:, axis] = value
        # A joint's own position lies in its parent's frame; its rotations turn only what hangs on it
        places[:, joint] = moved if parent < 0 else places[:, parent] + np.einsum("tij,tj->ti", turn, moved)
        for (kind, axis), value in zip(channels[joint], values[:, start:end].T, strict=True):
            if kind == "rotation":
                turn = turn @ _rotation(axis, np.radians(value))
            elif kind == "scale":
                turn = turn * np.where(np.arange(3) == axis, value[:, None], 1)[:, None]
        turns[:, joint] = turn
    return places


def _rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    """[T, 3, 3]: right-handed turns about one axis by radians [T]."""
    result = np.tile(np.eye(3), (len(angle), 1, 1))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    result[:, one, one] = result[:, two, two] = np.cos(angle)
    result[:, two, one] = np.sin(angle)
    result[:, one, two] = -result[:, two, one]
    return result
