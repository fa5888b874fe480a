"""From records to what a network reads: a uniform clock, padded batches, and input streams.

Surprises: `resample` takes the nearest row and never interpolates (an estimator's miss stays a miss);
coordinates are divided by the frame's height alone, so a shape keeps its proportions; a sample without a
skeleton is a row of invisible joints, not an exception. Joint, bone and motion streams follow 2s-AGCN (Shi
et al. 2019); their unit is the person's own torso, so that a person near the camera and one far away look
alike, and the position stream says where they stand. Nothing here depends on the amount of padding.
"""

import torch
from torch import Tensor

from skeleton.errors import SkeletonError
from skeleton.inputs.batch import SkeletonBatch
from skeleton.layouts.layout import get_layout

STREAMS = ("joint", "bone", "motion", "bone_motion", "trajectory", "position", "own")


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
