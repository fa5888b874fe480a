"""Masked prediction: joints are hidden for stretches of time, and what they do is told from the others.

After SkeletonMAE (Wu et al. 2023, arXiv 2209.02399: coordinates of hidden joints) and MAMP (Mao et al. 2023, arXiv
2308.07092: their motion, where what moves much is hidden more often). A hidden joint is invisible to the encoder, as a
joint that an estimator has missed; a small transformer over joints and bins fills it in.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from einops import rearrange
from torch import Generator, Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder, JointFeatures
from skeleton.errors import SkeletonError
from skeleton.inputs.batch import SkeletonBatch
from skeleton.inputs.streams import streams


class Masked(nn.Module):
    """Mean squared error of the `target` stream at hidden joints, each stretch of values normalised as in MAE."""

    def __init__(
        self,
        encoder: Encoder,
        target: str,
        share: float = 0.6,
        stretch: int = 2,
        width: int = 128,
        temperature: float = 0.8,
    ):
        super().__init__()
        if not 0 < share < 1 or stretch < 1:
            raise SkeletonError(
                f"expected a share in 0 .. 1 and a stretch of 1 bin or more, found {share} and {stretch}"
            )
        self.target, self.share, self.stretch, self.temperature = target, share, stretch, temperature
        self.coordinates, self.stride = encoder.coordinates, encoder.stride
        self.embed = nn.Linear(encoder.width, width)
        self.hidden = nn.Parameter(torch.randn(width) * 0.02)
        self.joints = nn.Parameter(torch.randn(encoder.num_joints, width) * 0.02)
        self.decoder = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.head = nn.Linear(width, encoder.stride * encoder.coordinates)

    def forward(
        self, encoder: Encoder, batch: SkeletonBatch, clean: Callable[[], JointFeatures], random: Generator
    ) -> Tensor:
        """The loss; 0 where nothing could be hidden."""
        wanted = streams(batch, (self.target,))[..., : self.coordinates]
        bins = functional.pad(wanted, (0, 0, 0, 0, 0, -wanted.shape[2] % self.stride)).unflatten(2, (-1, self.stride))
        known = functional.pad(batch.visible, (0, 0, 0, bins.shape[2] * self.stride - wanted.shape[2]))
        known = known.unflatten(2, (-1, self.stride))  # [B, M, K, stride, V]
        hide = self.choose(bins.square().sum(-1).mul(known).sum(3), known.any(3), random)
        rows = hide.repeat_interleave(self.stride, dim=2)[:, :, : wanted.shape[2]]
        seen = batch.visible & ~rows
        spoilt = replace(
            batch, keypoints=batch.keypoints * seen[..., None], confidence=batch.confidence * seen, visible=seen
        )
        predicted = self.fill(encoder(spoilt), hide)
        values = rearrange(bins, "b m k s v c -> b m k v s c")
        counted = rearrange(known, "b m k s v -> b m k v s")[..., None].to(values)
        mean = (values * counted).sum((-1, -2), keepdim=True) / (
            counted.sum((-1, -2), keepdim=True) * self.coordinates
        ).clamp(min=1)
        spread = ((values - mean).square() * counted).mean((-1, -2), keepdim=True)
        errors = ((predicted - (values - mean) * (spread + 1e-4).rsqrt()).square() * counted).sum((-1, -2))
        told = hide & known.any(3)
        return (errors * told).sum() / (counted.sum((-1, -2)) * told).sum().clamp(min=1) / self.coordinates

    def choose(self, moving: Tensor, known: Tensor, random: Generator) -> Tensor:
        """[B, M, K, V] bool: what is hidden, about `share` of what is known, in stretches of bins; motion is likelier.

        Motion-aware masking (MAMP, section 3.3): the places with the highest noisy log-probability are taken.
        """
        bins, joints = known.shape[2:]
        groups = -(-bins // self.stretch)
        pad = groups * self.stretch - bins

        def grouped(values: Tensor) -> Tensor:
            return functional.pad(values.float(), (0, 0, 0, pad)).unflatten(2, (groups, self.stretch)).sum(3)

        there = grouped(known) > 0
        level = grouped(moving).sqrt()
        level = level / level.masked_fill(~there, 0).flatten(2).amax(2).clamp(min=1e-6)[..., None, None]
        noise = -torch.log(-torch.log(torch.rand(there.shape, generator=random).clamp(1e-9, 1 - 1e-7))).to(level.device)
        order = (level / self.temperature + noise).masked_fill(~there, -torch.inf).flatten(2)
        count = (self.share * there.flatten(2).sum(2)).round()
        rank = order.argsort(2, descending=True).argsort(2)
        hidden = (rank < count[..., None]).unflatten(2, (groups, joints)) & there
        return hidden.repeat_interleave(self.stretch, dim=2)[:, :, :bins]

    def fill(self, found: JointFeatures, hide: Tensor) -> Tensor:
        """Predicted values [B, M, K, V, stride, C]: attention among the joints of a bin, then among the bins of a joint."""
        tokens = torch.where(hide[..., None], self.hidden, self.embed(found.features)) + self.joints
        times = found.times[:, None, :, None, None] * torch.exp(
            torch.arange(0, tokens.shape[-1], 2, device=hide.device) * -0.1
        )
        tokens = tokens + torch.cat((times.sin(), times.cos()), dim=-1)
        there = found.visible | hide
        over_joints, over_bins = self.decoder
        tokens = over_joints(tokens.flatten(0, 2), src_key_padding_mask=_absent(there.flatten(0, 2))).view(tokens.shape)
        turned = rearrange(tokens, "b m k v d -> (b m v) k d")
        turned = over_bins(turned, src_key_padding_mask=_absent(rearrange(there, "b m k v -> (b m v) k")))
        tokens = rearrange(turned, "(b m v) k d -> b m k v d", b=len(hide), m=hide.shape[1])
        return self.head(tokens).unflatten(-1, (self.stride, self.coordinates))


def _absent(there: Tensor) -> Tensor:
    """Keys to leave out [R, N]; a row without any keeps all of them, its values are not used."""
    return ~there & there.any(-1, keepdim=True)
