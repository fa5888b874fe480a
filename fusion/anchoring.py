"""Visual features sampled where the limbs are.

Each joint token receives the visual features at its limb and at its person's torso, at its own time, read
from the vision tower's output by trilinear interpolation. This ties a limb to the look of its owner, which
pose alone does not know. No new visual tokens are made.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn


def hat_weights(places: Tensor, cells: int) -> Tensor:
    """Linear interpolation weights [..., cells] of `places` (0..1) among cells whose middles are evenly spaced."""
    position = (places * cells - 0.5).clamp(0, cells - 1)
    return (1 - (position[..., None] - torch.arange(cells, device=places.device)).abs()).clamp(min=0)


def sample_features(features: Tensor, points: Tensor, times: Tensor) -> Tensor:
    """Trilinear samples of a feature volume, as one matrix product (its backward pass is a product too).

    features [B, T, H, W, D]; points [B, N, P, 2]: x, y in 0..1 of the frame; times [B, N] in 0..1 of the volume's
    duration -> [B, N, P, D]. Places outside take the nearest border.
    """
    steps, height, width = features.shape[1:4]
    when = hat_weights(times, steps)
    across, down = hat_weights(points[..., 0], width), hat_weights(points[..., 1], height)
    weights = torch.einsum("bnt,bnph,bnpw->bnpthw", when, down, across).to(features.dtype)
    return torch.einsum("bnpx,bxd->bnpd", weights.flatten(3), features.flatten(1, 3))


class Anchor(nn.Module):
    """Sampled visual features -> an addition to each joint token, [B, N, width].

    Tokens without a place or without a video get a learned `blind` vector instead.
    """

    POINTS = 2

    def __init__(self, width: int):
        super().__init__()
        self.mix = nn.Linear(self.POINTS * width, width)
        self.blind = nn.Parameter(torch.zeros(width))

    def forward(self, volumes: Sequence[Tensor | None], points: Tensor, placed: Tensor, fractions: Tensor) -> Tensor:
        """volumes: per sample [T, H, W, width] or None (no video); points [B, N, 2, 2]; placed [B, N] bool;
        fractions [B, N]: the token's time in 0..1 of the video. Videos of one shape are sampled together."""
        shapes = {volume.shape for volume in volumes if volume is not None}
        rows = {shape: [i for i, v in enumerate(volumes) if v is not None and v.shape == shape] for shape in shapes}
        added = self.blind.expand(*placed.shape, -1)
        for members in rows.values():
            index = torch.tensor(members, device=placed.device)
            volume = torch.stack([volumes[i] for i in members])
            sampled = sample_features(volume, points[index], fractions[index])
            mixed = self.mix(rearrange(sampled, "b n p d -> b n (p d)"))
            mixed = torch.where(placed[index][..., None], mixed, self.blind)
            added = added.index_copy(0, index, mixed.to(added.dtype))
        return added
