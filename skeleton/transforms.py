"""From records to what a network reads: a uniform clock, padded batches, and input streams.

Surprises: `resample` takes the nearest row and never interpolates (an estimator's miss stays a miss);
coordinates are divided by the frame's height alone, so a shape keeps its proportions; a sample without a
skeleton is a row of invisible joints, not an exception. Joint, bone and motion streams follow 2s-AGCN (Shi
et al. 2019); their unit is the person's own torso, so that a person near the camera and one far away look
alike, and the position stream says where they stand. Nothing here depends on the amount of padding.
"""

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from skeleton.errors import LayoutError, SkeletonError
from skeleton.layouts import get_layout
from skeleton.record import Skeleton

STREAMS = ("joint", "bone", "motion", "bone_motion", "trajectory", "position", "own")


def resample(skeleton: Skeleton, start: float, end: float, fps: float) -> Skeleton:
    """Rows at start + i / fps for all i / fps < end - start, each the nearest source row in time.

    Where no source row lies within 1 / fps or one source period (the larger), the row is visible=False.
    `start`, `end` and the new timestamps are seconds of the video. SkeletonError unless start < end, fps > 0.
    """
    if not (math.isfinite(start) and math.isfinite(end) and start < end and fps > 0):
        raise SkeletonError(f"expected seconds start < end and fps > 0, found {start}, {end} and fps {fps}")
    # A thousandth of a row of tolerance: 1.2 s at 10 fps is 12 rows, although 1.2 * 10 is 12.000000000000002.
    rows = max(1, math.ceil((end - start) * fps - 1e-3))
    times = start + np.arange(rows) / fps
    known = skeleton.timestamps
    after = np.clip(np.searchsorted(known, times), 1, max(len(known) - 1, 1))
    if len(known) == 1:
        nearest = np.zeros(rows, dtype=np.int64)
    else:
        nearest = np.where(times - known[after - 1] <= known[after] - times, after - 1, after)
    period = float(np.median(np.diff(known))) if len(known) > 1 else 0.0
    near = np.abs(known[nearest] - times) <= max(1 / fps, period) + 1e-9
    return replace(
        skeleton,
        keypoints=skeleton.keypoints[:, nearest],
        confidence=skeleton.confidence[:, nearest] * near[:, None],
        visible=skeleton.visible[:, nearest] & near[:, None],
        boxes=skeleton.boxes[:, nearest] * near[:, None],
        timestamps=times,
    )


@dataclass(frozen=True, eq=False)
class SkeletonBatch:
    """Padded skeletons of B samples.

    keypoints   [B, M, T, V, C] float32: pixels / frame height (C=2) or metres (C=3); 0 where not visible
    confidence  [B, M, T, V] float32; 0 where not visible
    visible     [B, M, T, V] bool
    times       [B, T] float32: seconds since the sample's start; padding repeats the last real time
    frames      [B, T] bool: a real row, not padding
    aspect      [B] float32: frame width / height
    layout      a name in skeleton.layouts
    """

    keypoints: Tensor
    confidence: Tensor
    visible: Tensor
    times: Tensor
    frames: Tensor
    aspect: Tensor
    layout: str

    def __post_init__(self) -> None:
        """Raises SkeletonError where the shapes disagree."""
        batch, persons, frames, joints = self.visible.shape
        expected = {
            "keypoints": (batch, persons, frames, joints, self.keypoints.shape[-1]),
            "confidence": (batch, persons, frames, joints),
            "times": (batch, frames),
            "frames": (batch, frames),
            "aspect": (batch,),
        }
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise SkeletonError(f"{name} must be {shape} beside visible {tuple(self.visible.shape)}, found {found}")
        if joints != len(get_layout(self.layout).joints):
            raise LayoutError(f"layout {self.layout} has {len(get_layout(self.layout).joints)} joints, found {joints}")

    def to(self, device: torch.device | str) -> "SkeletonBatch":
        """The same batch on `device`."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "layout"}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})


def kept_persons(skeleton: Skeleton, max_persons: int) -> np.ndarray:
    """Rows [<= max_persons] of the persons with the most visible joints, in their order of old."""
    return np.sort(np.argsort(-skeleton.visible.sum((1, 2)), kind="stable")[:max_persons])


def collate(
    skeletons: list[Skeleton | None], start: list[float], max_persons: int, layout: str = "coco17"
) -> SkeletonBatch:
    """Pads B skeletons to the longest and the most crowded; `start` [B] is each sample's start in seconds.

    Keeps at most `max_persons` persons a sample: those with the most visible joints, in their order of old.
    None is a sample without a skeleton: no real frame, nothing visible. There is at least one slot and row.
    LayoutError for a skeleton of another layout, SkeletonError for pixels and metres in one batch.
    """
    if len(skeletons) != len(start) or not skeletons or max_persons < 1:
        raise SkeletonError(
            "expected a start for each of one or more skeletons and max_persons > 0, found "
            f"{len(skeletons)} skeletons, {len(start)} starts and {max_persons}"
        )
    present = [skeleton for skeleton in skeletons if skeleton is not None]
    for skeleton in present:
        if skeleton.layout != layout:
            raise LayoutError(
                f"expected skeletons of layout {layout}, found {skeleton.layout}; "
                "convert them with skeleton.layouts.convert"
            )
    dimensions = sorted({skeleton.keypoints.shape[-1] for skeleton in present if skeleton.num_persons}) or [2]
    if len(dimensions) > 1:
        raise SkeletonError("expected either pixels (C=2) or metres (C=3) in one batch, found both; batch them apart")
    coordinates, joints = dimensions[0], len(get_layout(layout).joints)
    persons = max([min(skeleton.num_persons, max_persons) for skeleton in present] + [1])
    frames = max([skeleton.num_frames for skeleton in present] + [1])
    size = len(skeletons)
    keypoints = np.zeros((size, persons, frames, joints, coordinates), dtype=np.float32)
    confidence = np.zeros((size, persons, frames, joints), dtype=np.float32)
    visible = np.zeros((size, persons, frames, joints), dtype=bool)
    times = np.zeros((size, frames), dtype=np.float32)
    real = np.zeros((size, frames), dtype=bool)
    aspect = np.ones(size, dtype=np.float32)
    for row, (skeleton, begin) in enumerate(zip(skeletons, start, strict=True)):
        if skeleton is None:
            continue
        length = skeleton.num_frames
        real[row, :length] = True
        times[row] = skeleton.timestamps[-1] - begin
        times[row, :length] = skeleton.timestamps - begin
        height, width = skeleton.frame_size
        aspect[row] = width / height
        if not skeleton.num_persons:
            continue
        kept = kept_persons(skeleton, max_persons)
        seen = skeleton.visible[kept]
        unit = height if coordinates == 2 else 1
        visible[row, : len(kept), :length] = seen
        confidence[row, : len(kept), :length] = np.where(seen, skeleton.confidence[kept], 0)
        keypoints[row, : len(kept), :length] = np.where(seen[..., None], skeleton.keypoints[kept] / unit, 0)
    arrays = (keypoints, confidence, visible, times, real, aspect)
    return SkeletonBatch(*map(torch.from_numpy, arrays), layout=layout)


def stream_channels(names: tuple[str, ...] | list[str], coordinates: int = 2) -> int:
    """C': channels that `streams` gives for these names; SkeletonError for an unknown or repeated name."""
    unknown = [name for name in names if name not in STREAMS]
    if unknown or not names or len(set(names)) != len(names):
        raise SkeletonError(f"expected streams among {', '.join(STREAMS)}, each once, found {list(names)}")
    return coordinates * len(names) + 1


def streams(batch: SkeletonBatch, names: tuple[str, ...] | list[str] = ("joint", "motion", "position")) -> Tensor:
    """[B, M, T, V, C'] network input, differentiable in the keypoints, 0 where not visible.

    joint     from the person's mid hip (in a row without both hips: from the mean visible joint), in torsos
    bone      joint minus its parent, in torsos; 0 where the parent is invisible, and at the root
    motion    next row minus this row, in torsos a second (about as large as the others); 0 where either is invisible and in
              the last row
    bone_motion  the same of the bone
    trajectory   from where the person's hips are on the average of the clip, in torsos: says where the person goes, too
    position  frame heights from the centre of the frame (metres as they are)
    own       in torsos to the person's own left and to their front, from where their hips are on the average, as far as the view
              shows these axes (seen from the front there is no depth); needs pixels
    One more channel is the confidence. A torso is the person's median distance from mid hip to mid shoulder
    over the clip, at least an eighth of their extent (a torso seen end-on); without one, half of it.
    """
    stream_channels(names)
    layout = get_layout(batch.layout)
    keypoints, visible = batch.keypoints, batch.visible[..., None]
    unit = torso_lengths(batch)[:, :, None, None, None]
    parts = []
    for name in names:
        if name == "joint":
            hips, hips_seen = _middle(batch, "left_hip", "right_hip")
            mean = (keypoints * visible).sum(3) / visible.sum(3).clamp(min=1)
            center = torch.where(hips_seen[..., None], hips, mean)
            part = (keypoints - center[..., None, :]) / unit
        elif name in ("bone", "bone_motion"):
            parents = torch.as_tensor(layout.parents.copy(), device=keypoints.device)
            known = visible & visible[..., parents, :]
            part = (keypoints - keypoints[..., parents, :]) / unit * known
            part = part if name == "bone" else rates(part, known, batch.times)
        elif name == "motion":
            part = rates(keypoints / unit, visible, batch.times)
        elif name == "trajectory":
            part = (keypoints - mean_places(batch)[:, :, None, None]) / unit
        elif name == "own":
            part = _own(batch, unit)
        elif keypoints.shape[-1] == 2:
            middle = torch.stack((batch.aspect / 2, torch.full_like(batch.aspect, 0.5)), dim=-1)
            part = keypoints - middle[:, None, None, None, :]
        else:
            part = keypoints
        parts.append(part)
    return torch.cat((*parts, batch.confidence[..., None]), dim=-1) * visible


def rates(values: Tensor, known: Tensor, times: Tensor) -> Tensor:
    """Change a second from each row to the next [B, M, T, V, C]; 0 where either is not known, and in the last row."""
    both = known[:, :, 1:] & known[:, :, :-1]
    seconds = times[:, 1:] - times[:, :-1]
    seconds = torch.where(seconds > 0, seconds, torch.ones_like(seconds))[:, None, :, None, None]
    return torch.nn.functional.pad((values[:, :, 1:] - values[:, :, :-1]) / seconds * both, (0, 0, 0, 0, 0, 1))


def mean_places(batch: SkeletonBatch) -> Tensor:
    """[B, M, C]: where the hips are on the average; without both hips in any row, the mean visible joint."""
    hips, seen = _middle(batch, "left_hip", "right_hip")
    weights = seen[..., None].float()
    visible = batch.visible[..., None].float()
    mean = (batch.keypoints * visible).sum((2, 3)) / visible.sum((2, 3)).clamp(min=1)
    return torch.where(seen.any(2)[..., None], (hips * weights).sum(2) / weights.sum(2).clamp(min=1), mean)


def _own(batch: SkeletonBatch, unit: Tensor) -> Tensor:
    """The `own` stream [B, M, T, V, 2]. Directions of movements are the person's own, and a network of sums finds it hard to
    multiply what it sees by where the person faces."""
    if batch.keypoints.shape[-1] != 2:
        raise SkeletonError("expected pixels (C=2) for the stream own, found metres: leave it out")
    layout, scale = get_layout(batch.layout), unit[..., 0, 0]
    across = batch.keypoints[..., 0]

    def ahead(front: str, back: tuple[str, ...]) -> Tensor:
        """How far to the right of `back` the joint `front` is, [B, M, T], averaged over about a second."""
        joints = [layout.index(name) for name in (front, *back)]
        seen = batch.visible[..., joints].all(-1).float()
        offset = (across[..., joints[0]] - across[..., joints[1:]].mean(-1)) / scale * seen
        window = {"kernel_size": 17, "stride": 1, "padding": 8}
        sums, counts = (torch.nn.functional.avg_pool1d(values, **window) for values in (offset, seen))
        return sums / counts.clamp(min=1e-3)

    side = (1.5 * ahead("left_shoulder", ("right_shoulder",))).clamp(-1, 1)
    front = torch.zeros_like(side)
    if "nose" in layout.joints:
        front = (4 * ahead("nose", ("left_shoulder", "right_shoulder"))).clamp(-1, 1) * (1 - side.abs())
    _, seen = _middle(batch, "left_hip", "right_hip")
    offset = (across - mean_places(batch)[..., None, None, 0]) / unit[..., 0] * seen.any(2)[..., None, None]
    return torch.stack([offset * side[..., None], offset * front[..., None]], dim=-1)


def _middle(batch: SkeletonBatch, left: str, right: str) -> tuple[Tensor, Tensor]:
    """The point between two joints [B, M, T, C] and whether both are visible [B, M, T]."""
    layout = get_layout(batch.layout)
    a, b = layout.index(left), layout.index(right)
    points = (batch.keypoints[..., a, :] + batch.keypoints[..., b, :]) / 2
    return points, batch.visible[..., a] & batch.visible[..., b]


def torso_lengths(batch: SkeletonBatch) -> Tensor:
    """[B, M] length of each person's torso, in the unit of the keypoints (1 for a person never seen)."""
    hips, hips_seen = _middle(batch, "left_hip", "right_hip")
    shoulders, shoulders_seen = _middle(batch, "left_shoulder", "right_shoulder")
    length = ((hips - shoulders).square().sum(-1) + 1e-12).sqrt()
    torso = length.masked_fill(~(hips_seen & shoulders_seen), torch.nan).nanmedian(2).values
    visible = batch.visible[..., None]
    high = batch.keypoints.masked_fill(~visible, -torch.inf).amax(3)
    low = batch.keypoints.masked_fill(~visible, torch.inf).amin(3)
    extent = torch.where(batch.visible.any(3), (high - low).amax(-1), torch.nan).nanmedian(2).values
    unit = torch.where(torso.isnan(), extent / 2, torch.maximum(torso, extent / 8))
    return torch.where(unit > 1e-4, unit, 1.0)
