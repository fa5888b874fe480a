"""Changes of skeleton batches: such as keep the action (facing, augmentation), and such as estimators make (corruption).

Each takes a SkeletonBatch on any device and a torch.Generator of the CPU and returns a new batch; what is drawn is drawn for
each sample on its own, and nothing depends on the padding. Turning needs metres (C=3, y up); mirroring is x -> -x with
left and right exchanged (DESIGN's mirror).
"""

from dataclasses import replace
from math import pi

import torch
from torch import Generator, Tensor

from skeleton.errors import SkeletonError
from skeleton.inputs.batch import SkeletonBatch
from skeleton.layouts.layout import get_layout


def face(batch: SkeletonBatch) -> SkeletonBatch:
    """Each sample turned about the vertical so that its first visible person begins facing along z: the line from right to
    left of shoulders and hips, over the first sixth of the rows, lies along x. An action looks alike then from every side.

    Where those joints are visible in none of these rows, the whole clip says it; where in none at all, nothing turns.
    Raises SkeletonError for C=2.
    """
    layout, across = get_layout(batch.layout), torch.zeros_like(batch.keypoints[..., 0, :])
    for name in ("shoulder", "hip"):
        left, right = layout.index(f"left_{name}"), layout.index(f"right_{name}")
        both = batch.visible[..., left] & batch.visible[..., right]
        across = across + (batch.keypoints[..., left, :] - batch.keypoints[..., right, :]) * both[..., None]
    rows = batch.frames.sum(1, keepdim=True)
    early = torch.arange(batch.frames.shape[1], device=rows.device) < (rows / 6).ceil()
    first, whole = (across * early[:, None, :, None]).sum(2), across.sum(2)
    across = torch.where((first == 0).all(-1, keepdim=True), whole, first)  # [B, M, C]
    person = batch.visible.flatten(2).any(2).int().argmax(1)
    seen = across[torch.arange(len(person), device=person.device), person]
    angles = torch.zeros_like(seen)
    angles[:, 1] = torch.atan2(seen[:, -1], seen[:, 0])
    return _turned(batch, angles, "data.face=false")


def turn(batch: SkeletonBatch, degrees: float, tilt: float, random: Generator) -> SkeletonBatch:
    """About the vertical by up to `degrees` either way, then about the other axes by up to `tilt`; SkeletonError for C=2."""
    limits = torch.tensor([tilt, degrees, tilt]) * pi / 180
    return _turned(batch, (2 * torch.rand(len(batch.aspect), 3, generator=random) - 1) * limits, "augment.turn=0")


def _turned(batch: SkeletonBatch, angles: Tensor, without: str) -> SkeletonBatch:
    """About y, then x, then z by `angles` [B, 3] (x, y, z, in radians); `without`: the setting that asks for no turning."""
    if batch.keypoints.shape[-1] != 3:
        raise SkeletonError(f"expected metres (C=3) to turn people about the vertical, found pixels: set {without}")
    matrix = torch.eye(3, device=angles.device).expand(len(angles), 3, 3)
    for axis, (one, other) in ((1, (2, 0)), (0, (1, 2)), (2, (0, 1))):
        step = torch.eye(3, device=angles.device).repeat(len(angles), 1, 1)
        cosine, sine = angles[:, axis].cos(), angles[:, axis].sin()
        step[:, one, one], step[:, other, other], step[:, one, other], step[:, other, one] = cosine, cosine, -sine, sine
        matrix = step @ matrix
    return replace(
        batch, keypoints=torch.einsum("bij,bmtvj->bmtvi", matrix.to(batch.keypoints.device), batch.keypoints)
    )


def scale(batch: SkeletonBatch, most: float, random: Generator) -> SkeletonBatch:
    """Each axis longer or shorter by up to the share `most`: bodies of other proportions."""
    factors = 1 + most * (2 * _rand((len(batch.aspect), batch.keypoints.shape[-1]), batch, random) - 1)
    return replace(batch, keypoints=batch.keypoints * factors[:, None, None, None])


def crop(batch: SkeletonBatch, least: float, random: Generator) -> SkeletonBatch:
    """A part of each sample of at least the share `least` of its time takes all of its rows: each shows the nearest row of the
    part, at the time that it had."""
    part = least + (1 - least) * _rand((len(batch.aspect), 1), batch, random)
    begin = (1 - part) * _rand((len(batch.aspect), 1), batch, random)
    row = torch.arange(batch.frames.shape[1], device=batch.frames.device)
    last = batch.frames.sum(1, keepdim=True) - 1
    row = torch.where(batch.frames, (begin * last + part * row).round().long(), row)
    place = row[:, None, :, None].expand_as(batch.visible)
    return replace(
        batch,
        keypoints=batch.keypoints.gather(2, place[..., None].expand_as(batch.keypoints)),
        confidence=batch.confidence.gather(2, place),
        visible=batch.visible.gather(2, place),
    )


def mirror(batch: SkeletonBatch, share: float, random: Generator) -> SkeletonBatch:
    """Left and right exchanged in a `share` of the samples. Wrong where the label tells sides apart."""
    edge = batch.aspect[:, None, None, None] if batch.keypoints.shape[-1] == 2 else 0.0
    across = (edge - batch.keypoints[..., 0]) * batch.visible
    return _exchanged(
        batch, torch.cat((across[..., None], batch.keypoints[..., 1:]), -1), _chosen(batch, share, random)
    )


def behind(batch: SkeletonBatch, share: float, random: Generator) -> SkeletonBatch:
    """A `share` of the samples as depth cameras show a person from behind, whose back they take for the front: left and right
    are taken for each other, and so `face` turns the clip by half a circle. Raises SkeletonError for C=2."""
    if batch.keypoints.shape[-1] != 3:
        raise SkeletonError("expected metres (C=3) for clips as from behind, found pixels: set augment.behind=0")
    turned = batch.keypoints * torch.tensor([-1.0, 1.0, -1.0], device=batch.keypoints.device)
    return _exchanged(batch, turned, _chosen(batch, share, random))


def jitter(batch: SkeletonBatch, deviation: float, random: Generator) -> SkeletonBatch:
    """Normal noise on each coordinate, in the unit of the keypoints."""
    noise = deviation * torch.randn(batch.keypoints.shape, generator=random).to(batch.keypoints.device)
    return replace(batch, keypoints=batch.keypoints + noise * batch.visible[..., None])


def miss_joints(batch: SkeletonBatch, share: float, random: Generator) -> SkeletonBatch:
    """Each joint of each row is missed with probability `share`."""
    return _only(batch, _rand(batch.visible.shape, batch, random) >= share)


def drop_frames(batch: SkeletonBatch, share: float, random: Generator) -> SkeletonBatch:
    """Each row is lost as a whole with probability `share`: a row in which nothing is visible, time goes on."""
    rows = _rand(batch.frames.shape, batch, random) >= share
    return _only(batch, rows[:, None, :, None].expand_as(batch.visible))


def swap_sides(batch: SkeletonBatch, share: float, random: Generator) -> SkeletonBatch:
    """Left and right are taken for each other in rows, with probability `share`; nothing moves."""
    rows = _rand(batch.frames.shape, batch, random) < share
    return _exchanged(batch, batch.keypoints, rows[:, None, :, None])


CORRUPTIONS = {"jitter": jitter, "miss_joints": miss_joints, "drop_frames": drop_frames, "swap_sides": swap_sides}


def _only(batch: SkeletonBatch, kept: Tensor) -> SkeletonBatch:
    visible = batch.visible & kept
    return replace(
        batch,
        keypoints=batch.keypoints * visible[..., None],
        confidence=batch.confidence * visible,
        visible=visible,
    )


def _exchanged(batch: SkeletonBatch, keypoints: Tensor, chosen: Tensor) -> SkeletonBatch:
    """With `keypoints` whose left and right are exchanged, where chosen (bool, broadcasts against visible)."""
    order = torch.as_tensor(get_layout(batch.layout).mirror.copy(), device=batch.visible.device)
    return replace(
        batch,
        keypoints=torch.where(chosen[..., None], keypoints[..., order, :], batch.keypoints),
        confidence=torch.where(chosen, batch.confidence[..., order], batch.confidence),
        visible=torch.where(chosen, batch.visible[..., order], batch.visible),
    )


def _chosen(batch: SkeletonBatch, share: float, random: Generator) -> Tensor:
    """[B, 1, 1, 1] bool: true for about a `share` of the samples."""
    return (_rand((len(batch.aspect),), batch, random) < share)[:, None, None, None]


def _rand(shape: tuple[int, ...], batch: SkeletonBatch, random: Generator) -> Tensor:
    """Uniform in 0 .. 1, drawn on the CPU, on the batch's device."""
    return torch.rand(shape, generator=random).to(batch.keypoints.device)
