"""Velocity regression: each joint's mean velocity in each bin from its features, after HuMoCon (arXiv 2505.20920).

Worth something only for an encoder that does not see velocities: with the streams motion or bone_motion it copies.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder, JointFeatures
from skeleton.inputs.batch import SkeletonBatch
from skeleton.inputs.streams import streams


class Velocity(nn.Module):
    """Huber loss of velocities in torsos a second, each coordinate divided by `unit`."""

    def __init__(self, encoder: Encoder, unit: float = 0.5):
        super().__init__()
        self.stride, self.coordinates, self.unit = encoder.stride, encoder.coordinates, unit
        self.head = nn.Linear(encoder.width, encoder.coordinates)

    def forward(
        self, encoder: Encoder, batch: SkeletonBatch, clean: Callable[[], JointFeatures], random: Generator
    ) -> Tensor:
        """The loss; 0 where no joint is visible in two rows that follow each other."""
        steps = streams(batch, ("motion",))[..., : self.coordinates]
        both = functional.pad(batch.visible[:, :, 1:] & batch.visible[:, :, :-1], (0, 0, 0, 1))
        extra = -both.shape[2] % self.stride
        counts = functional.pad(both, (0, 0, 0, extra)).unflatten(2, (-1, self.stride)).sum(3)
        sums = functional.pad(steps, (0, 0, 0, 0, 0, extra)).unflatten(2, (-1, self.stride)).sum(3)
        wanted = sums / counts.clamp(min=1)[..., None] / self.unit
        errors = functional.smooth_l1_loss(self.head(clean().features), wanted, reduction="none").mean(-1)
        told = (counts > 0).to(errors)
        return torch.sum(errors * told) / told.sum().clamp(min=1)
