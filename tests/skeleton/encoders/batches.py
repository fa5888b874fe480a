"""Skeleton batches made on the spot."""

import torch

from skeleton.inputs.batch import SkeletonBatch
from skeleton.layouts.layout import get_layout


def make(size=3, persons=2, frames=20, layout="coco17", seed=0, coordinates=2, missing=0.3) -> SkeletonBatch:
    """Random joints; a share `missing` of them is not visible."""
    random = torch.Generator().manual_seed(seed)
    shape = (size, persons, frames, len(get_layout(layout).joints))
    visible = torch.rand(shape, generator=random) >= missing
    return SkeletonBatch(
        keypoints=torch.rand(*shape, coordinates, generator=random) * visible[..., None],
        confidence=torch.rand(shape, generator=random) * visible,
        visible=visible,
        times=(torch.arange(frames) / 24).expand(size, frames),
        frames=torch.ones(size, frames, dtype=torch.bool),
        aspect=torch.full((size,), 1.5),
        layout=layout,
    )


def pad(batch: SkeletonBatch, size=0, persons=0, frames=0) -> SkeletonBatch:
    """Garbage where padding is: only masks say that it is padding."""
    b, m, t, v, c = batch.keypoints.shape
    points = torch.full((b + size, m + persons, t + frames, v, c), 9.0)
    points[:b, :m, :t] = batch.keypoints
    confidence = torch.full(points.shape[:-1], 0.5)
    confidence[:b, :m, :t] = batch.confidence
    visible = torch.zeros(points.shape[:-1], dtype=torch.bool)
    visible[:b, :m, :t] = batch.visible
    times = torch.zeros(b + size, t + frames)
    times[:b] = batch.times[:, -1:]
    times[:b, :t] = batch.times
    real = torch.zeros(b + size, t + frames, dtype=torch.bool)
    real[:b, :t] = batch.frames
    aspect = torch.ones(b + size)
    aspect[:b] = batch.aspect
    return SkeletonBatch(points, confidence, visible, times, real, aspect, batch.layout)
