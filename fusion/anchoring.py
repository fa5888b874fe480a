"""Visual features sampled where the limbs are.

Each joint token receives what the video shows at its limb and at its person's torso, at its own time, by trilinear
interpolation: features of the vision tower's output, and plain colours, because a visual token covers a square of 28 pixels
or more and persons in a crowd are narrower. This ties a limb to the look of its owner, which pose alone does not
know. No new visual tokens are made.
"""

from collections.abc import Sequence

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

CELLS, RANGE = 32, 4.0  # of a frame's width and height, and of its values, for colours


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


def colour_volume(frames: Tensor) -> Tensor:
    """Mean colours of `CELLS` x `CELLS` parts of each frame: uint8 [T, H, W, 3] -> [T, CELLS, CELLS, 3] within
    `RANGE` of 0: wide, so that a small network soon tells shades apart."""
    means = nn.functional.adaptive_avg_pool2d(rearrange(frames, "t h w c -> t c h w").float(), CELLS)
    return rearrange(means, "t c h w -> t h w c") * (RANGE / 127.5) - RANGE


def sample_colours(colours: Tensor, points: Tensor, times: Tensor) -> Tensor:
    """What `sample_features` gives, for `colours` [B, T, H, W, 3]: cells are too many for its matrix of weights, and the slow
    backward pass of this way is not needed."""
    places = torch.cat([points, repeat(times, "b n -> b n p 1", p=points.shape[2])], dim=-1)
    volume, grid = rearrange(colours, "b t h w c -> b c t h w"), rearrange(2 * places - 1, "b n p c -> b n p 1 c")
    sampled = nn.functional.grid_sample(volume, grid, padding_mode="border", align_corners=False)
    return rearrange(sampled, "b c n p 1 -> b n p c")


class Anchor(nn.Module):
    """What the video shows -> an addition to each joint token, [B, N, width]: at its limb and its time, and at its person's
    torso all through the clip, since a person's look lasts and a single sample may miss.

    Tokens without a place or without a video get a learned `blind` vector instead.
    """

    HIDDEN = 128

    def __init__(self, width: int):
        super().__init__()
        self.limb, self.torso = nn.Linear(width, width), nn.Linear(width, width)
        for part in (self.limb, self.torso):  # the tower's features, strange at first, begin by adding nothing
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)
        self.paint = nn.Sequential(nn.Linear(3, self.HIDDEN), nn.GELU(), nn.Linear(self.HIDDEN, width))
        self.blind = nn.Parameter(torch.zeros(width))

    def forward(
        self,
        volumes: Sequence[Tensor | None],
        colours: Sequence[Tensor | None],
        points: Tensor,
        placed: Tensor,
        fractions: Tensor,
        persons: int,
    ) -> Tensor:
        """volumes: per sample the tower's output [T, H, W, width] or None (no video); colours: of its frames (see
        colour_volume); points [B, N, 2, 2] of limb and torso; placed [B, N] bool; fractions [B, N]: the token's time in
        0..1 of the video; N = 1 + persons * tokens of each. Videos of one shape are sampled together."""
        rows: dict[tuple, list[tuple[int, Tensor, Tensor]]] = {}
        for i, (seen, plain) in enumerate(zip(volumes, colours, strict=True)):
            if seen is not None and plain is not None:
                rows.setdefault((seen.shape, plain.shape), []).append((i, seen, plain))
        added = self.blind.expand(*placed.shape, -1)
        for members in rows.values():
            index = torch.tensor([i for i, _, _ in members], device=placed.device)
            volume = torch.stack([seen for _, seen, _ in members])
            colour = torch.stack([plain for _, _, plain in members])
            limb, torso = sample_features(volume, points[index], fractions[index]).unbind(2)
            painted = sample_colours(colour, points[index, :, 1:], fractions[index])[:, :, 0]
            look = mean_of_person(self.torso(torso) + self.paint(painted), placed[index], persons)
            mixed = torch.where(placed[index][..., None], self.limb(limb) + look, self.blind)
            added = added.index_copy(0, index, mixed.to(added.dtype))
        return added


def mean_of_person(values: Tensor, placed: Tensor, persons: int) -> Tensor:
    """Each token's value becomes the mean over its person's tokens that are `placed`.

    values [B, 1 + M * n, D], placed [B, 1 + M * n] bool; the first token, nobody's, stays as it is."""
    weights = rearrange(placed[:, 1:, None].to(values.dtype), "b (m n) d -> b m n d", m=persons)
    sums = (rearrange(values[:, 1:], "b (m n) d -> b m n d", m=persons) * weights).sum(2, keepdim=True)
    means = sums / weights.sum(2, keepdim=True).clamp(min=1)
    each = repeat(means, "b m 1 d -> b (m n) d", n=weights.shape[2])
    return torch.cat([values[:, :1], each], dim=1)
