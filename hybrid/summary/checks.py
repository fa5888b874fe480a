"""Figures of one skeleton record, and what makes it suspicious.

A person is there in a row when a joint is visible or a box is drawn; rates of visible joints count those rows only. A
person's size is the longer side of box and joints, its 90th percentile over the rows: a body height that also holds
for somebody who lies or whose legs are hidden. Movements are judged between rows at most `NEAR` seconds apart.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from skeleton.layouts.layout import LIMBS, Layout, get_layout
from skeleton.record import Skeleton

NEAR = 0.2  # seconds; further apart, a limb may be anywhere
RARE = 0.01  # of a record's steps: single slips are in every estimate
_SWAPPED = (("left_wrist", "right_wrist"), ("left_ankle", "right_ankle"))


@dataclass(frozen=True)
class Reason:
    """Why a record is suspicious: kind, sentence, and the share (0 to 1) of the record that it concerns."""

    kind: str
    text: str
    share: float


@dataclass(frozen=True, eq=False)
class Facts:
    """One record in figures. persons [M + 1] rows with that many persons; visible [V] rows of persons."""

    frames: int
    seconds: float  # the last frame lasts as long as the middle one of the others; 0 for a single frame
    fps: float | None
    layout: str
    tracks: int
    dropped: Counter
    persons: np.ndarray
    present: int
    visible: np.ndarray
    sha256: str | None
    label: str | None  # that an import has kept
    reasons: tuple[Reason, ...]


def measure(skeleton: Skeleton) -> Facts:
    """The figures of a record and the reasons to look at it."""
    there = skeleton.visible.any(-1) | (skeleton.boxes != 0).any(-1)  # [M, T]
    steps = np.diff(skeleton.timestamps)
    step = float(np.median(steps)) if len(steps) else None
    return Facts(
        frames=skeleton.num_frames,
        seconds=0.0 if step is None else float(skeleton.timestamps[-1] - skeleton.timestamps[0]) + step,
        fps=None if step is None else 1 / step,
        layout=skeleton.layout,
        tracks=skeleton.num_persons,
        dropped=Counter(str(person.get("reason")) for person in skeleton.source.get("dropped_persons", ())),
        persons=np.bincount(there.sum(0), minlength=skeleton.num_persons + 1),
        present=int(there.sum()),
        visible=skeleton.visible.sum((0, 1)),
        sha256=skeleton.source.get("sha256"),
        label=None if skeleton.source.get("label") is None else str(skeleton.source["label"]),
        reasons=tuple(reasons(skeleton, there, step)),
    )


def reasons(skeleton: Skeleton, there: np.ndarray, step: float | None) -> list[Reason]:
    """What is suspicious about one record. there [M, T]: where persons are; step: seconds from row to row."""
    layout, found = get_layout(skeleton.layout), []
    nobody = float((~there).all(0).mean())
    if nobody > 0.5:
        found.append(Reason("nobody", f"nobody in {nobody:.0%} of the frames", nobody))
    hidden = _hidden_limbs(skeleton, there, layout)
    if hidden:
        names = ", ".join(f"person {identity} {rate:.0%}" for identity, rate, _ in hidden)
        share = sum((1 - rate) * rows for _, rate, rows in hidden) / int(there.sum())
        found.append(Reason("hidden limbs", f"arms and legs hardly visible: {names}", share))
    if step is None:
        return found
    short = [rows for rows in there.sum(1).tolist() if rows * step < 1 and rows < there.shape[1] / 4]
    if len(short) >= 3 and len(short) >= len(there) / 2:
        text = f"{len(short)} of {len(there)} persons seen for less than a second; ids may break"
        found.append(Reason("short tracks", text, len(short) / len(there)))
    found += _gaps(skeleton.timestamps, step) + _slips(skeleton, there, layout) + _frozen(skeleton, there)
    return found


def sizes(skeleton: Skeleton, there: np.ndarray) -> np.ndarray:
    """[M] sizes of the persons in the record's unit, 0 for one who is never there."""
    seen = skeleton.visible[..., None]
    extent = np.where(seen, skeleton.keypoints, -np.inf).max(2) - np.where(seen, skeleton.keypoints, np.inf).min(2)
    joints = np.where(np.isfinite(extent), extent, 0).max(-1)
    boxes = (skeleton.boxes[..., 2:] - skeleton.boxes[..., :2]).max(-1) if skeleton.keypoints.shape[-1] == 2 else 0
    larger = np.maximum(joints, boxes)
    return np.array(
        [np.percentile(row[rows], 90) if rows.any() else 0.0 for row, rows in zip(larger, there, strict=True)]
    )


def _hidden_limbs(skeleton: Skeleton, there: np.ndarray, layout: Layout) -> list[tuple[int, float, int]]:
    """(track id, rate, rows) of persons in a tenth of all rows, whose arms and legs are visible in less than 30 % of theirs."""
    limbs = layout.limb_index >= LIMBS.index("left arm")
    rows = there.sum(1)
    rates = skeleton.visible[..., limbs].sum((1, 2)) / np.maximum(rows * limbs.sum(), 1)
    return [
        (identity, rate, count)
        for identity, rate, count in zip(skeleton.track_ids.tolist(), rates.tolist(), rows.tolist(), strict=True)
        if count and count >= 0.1 * there.shape[1] and rate < 0.3
    ]


def _gaps(timestamps: np.ndarray, step: float) -> list[Reason]:
    gaps = np.diff(timestamps)
    wide = (gaps > 0.5) & (gaps > 3 * step)
    if not wide.any():
        return []
    share = float(gaps[wide].sum() / (timestamps[-1] - timestamps[0] + step))
    where = timestamps[int(gaps.argmax())]
    text = f"{_counted(int(wide.sum()), 'gap')} in time, the longest of {gaps.max():.1f} s at {where:.1f} s"
    return [Reason("time gap", text, share)]


def _slips(skeleton: Skeleton, there: np.ndarray, layout: Layout) -> list[Reason]:
    """Joints that jump, and left and right that change places, from one row to the next."""
    near = np.diff(skeleton.timestamps) <= NEAR
    both = there[:, 1:] & there[:, :-1] & near  # [M, T - 1]
    if not both.any():
        return []
    points = np.where(skeleton.visible[..., None], skeleton.keypoints, 0)
    seen = skeleton.visible[:, 1:] & skeleton.visible[:, :-1]  # [M, T - 1, V]
    size = sizes(skeleton, there)[:, None]
    moved = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    jumps = (seen & (moved > 0.5 * size[..., None])).any(-1) & both
    swaps = np.zeros_like(both)
    for left, right in (tuple(map(layout.index, pair)) for pair in _SWAPPED):
        a, b = points[:, :, left], points[:, :, right]  # [M, T, C]

        def way(start: np.ndarray, end: np.ndarray) -> np.ndarray:
            return np.linalg.norm(end[:, 1:] - start[:, :-1], axis=-1)

        crossed, kept = way(a, b) + way(b, a), way(a, a) + way(b, b)
        apart = np.linalg.norm(a - b, axis=-1)[:, :-1] > 0.1 * size
        swaps |= (crossed < 0.5 * kept) & apart & seen[..., left] & seen[..., right] & both
    texts = {
        "jump": (jumps, "a joint jumps more than half a body height from one frame to the next {}"),
        "left/right": (swaps, "left and right wrists or ankles change places {}"),
    }
    shares = {kind: int(steps.sum()) / int(both.sum()) for kind, (steps, _) in texts.items()}
    return [
        Reason(kind, text.format(_counted(int(steps.sum()), "time")), shares[kind])
        for kind, (steps, text) in texts.items()
        if shares[kind] > RARE
    ]


def _frozen(skeleton: Skeleton, there: np.ndarray) -> list[Reason]:
    """Everybody's box stays where it is for ten rows and more."""
    boxed = (skeleton.boxes != 0).any(-1)
    lasting = [m for m in range(len(there)) if boxed[m].sum() >= 10]
    size = sizes(skeleton, there)
    still = [np.ptp(skeleton.boxes[m, boxed[m]], axis=0).max() <= 0.005 * size[m] for m in lasting]
    text = "no box moves: the video may be a still picture"
    return [Reason("frozen", text, 1.0)] if lasting and all(still) else []


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
