"""Encoder features -> limb tokens: one token for each person, time bin and limb.

A token says where it comes from: learned embeddings of the limb and of the person's slot, and Fourier
features of its time in seconds (dense pose is finer than the integer positions of the language model).
Surprises: a clip without a skeleton is one learned null token, so every sample runs through the same
graph; a limb that is not seen in a bin keeps its token, with a learned `unseen` vector in place of features.

Letters: B batch, M persons, T frames, V joints, D width, N tokens, K time bins, G limbs. After the first
line of `LimbTokens.forward` tokens are ordered by person, then time, then limb; padding is masked.
"""

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from fusion.errors import FusionError


@dataclass(frozen=True)
class TokenPlan:
    """Which tokens a batch has; the collator counts with it and the model builds from it.

    bins [B] int64: time bins of each sample; widths [B] float32: seconds of a bin; persons [B, M] bool.
    """

    bins: Tensor
    widths: Tensor
    persons: Tensor
    limbs: int

    @property
    def mask(self) -> Tensor:
        """[B, 1 + M * K * G] bool: real tokens. The first place is the null token of an absent skeleton."""
        steps = torch.arange(int(self.bins.max()), device=self.bins.device)
        grid = rearrange(self.persons, "b m -> b m 1 1") & rearrange(steps < self.bins[:, None], "b k -> b 1 k 1")
        grid = repeat(grid, "b m k 1 -> b (m k g)", g=self.limbs)
        return torch.cat([~self.persons.any(1, keepdim=True), grid], dim=1)

    @property
    def times(self) -> Tensor:
        """[B, 1 + M * K * G] float32: seconds from the sample's start, at the middle of the bin (null: 0)."""
        steps = torch.arange(int(self.bins.max()), device=self.bins.device)
        middle = (steps + 0.5) * self.widths[:, None]
        middle = repeat(middle, "b k -> b (m k g)", m=self.persons.shape[1], g=self.limbs)
        return torch.cat([torch.zeros_like(middle[:, :1]), middle], dim=1)


def plan_tokens(persons: Tensor, durations: Tensor, limbs: int, bin_seconds: float, max_tokens: int) -> TokenPlan:
    """Bins of `bin_seconds`, wider where a sample would pass `max_tokens`.

    persons [B, M] bool, durations [B] seconds. Raises FusionError when one bin alone passes the budget.
    """
    present = persons.sum(1)
    if int(present.max()) * limbs > max_tokens:
        raise FusionError(
            f"fusion.max_tokens is {max_tokens}, but {int(present.max())} persons with {limbs} limbs need at least "
            f"{int(present.max()) * limbs} tokens: raise fusion.max_tokens or lower fusion.max_persons"
        )
    wanted = torch.ceil(durations / bin_seconds - 1e-4).long().clamp(min=1)
    bins = torch.minimum(wanted, max_tokens // (present.clamp(min=1) * limbs))
    widths = torch.where(bins < wanted, durations / bins, torch.full_like(durations, bin_seconds))
    return TokenPlan(bins, widths, persons, limbs)


@dataclass(frozen=True)
class JointTokens:
    """features [B, N, D]; mask [B, N] bool (real tokens); times [B, N] seconds; points [B, N, 2, 2]: places in
    the frame (x, y in 0..1) of the token's limb and of its person's torso; placed [B, N] bool: points are known."""

    features: Tensor
    mask: Tensor
    times: Tensor
    points: Tensor
    placed: Tensor


def bin_matrix(times: Tensor, valid: Tensor, plan: TokenPlan) -> Tensor:
    """[B, T, K] float32, 1 where the row's time lies in the bin. times [B, T] seconds, valid [B, T] bool."""
    bins = torch.floor(times / plan.widths[:, None] + 1e-4).long()
    bins = torch.minimum(bins, plan.bins[:, None] - 1).clamp(min=0)
    return nn.functional.one_hot(bins, int(plan.bins.max())).float() * valid[..., None]


def pool(values: Tensor, weights: Tensor, bins: Tensor, limbs: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means over the joints of a limb and the rows of a bin.

    values [B, M, T, V, D], weights [B, M, T, V], bins [B, T, K], limbs [V, G] -> means [B, M, K, G, D] (0 where
    nothing weighs) and the sums of the weights [B, M, K, G].
    """
    # [B, M, T, V, D] -> [B, M, T, G, D]: over the joints of a limb
    sums = torch.einsum("bmtvd,vg->bmtgd", values * weights[..., None], limbs)
    counts = torch.einsum("bmtv,vg->bmtg", weights, limbs)
    # [B, M, T, G, D] -> [B, M, K, G, D]: over the rows of a bin
    sums = torch.einsum("bmtgd,btk->bmkgd", sums, bins)
    counts = torch.einsum("bmtg,btk->bmkg", counts, bins)
    return sums / counts.clamp(min=1e-6)[..., None], counts


class LimbTokens(nn.Module):
    """Pools per-joint features into limb x time-bin tokens.

    `limb_index` [V] names each joint's limb; `torso` is the limb that stands for the whole person.
    """

    limb_matrix: Tensor
    FREQUENCIES = 8

    def __init__(self, width: int, limb_index: Tensor, max_persons: int, torso: int = 1):
        super().__init__()
        limbs = int(limb_index.max()) + 1
        self.register_buffer("limb_matrix", nn.functional.one_hot(limb_index, limbs).float(), persistent=False)
        self.torso, self.limbs = torso, limbs
        self.norm = nn.LayerNorm(width)
        self.limb = nn.Embedding(limbs, width)
        self.person = nn.Embedding(max_persons, width)
        self.time = nn.Linear(2 * self.FREQUENCIES, width)
        self.null = nn.Parameter(torch.randn(width))
        self.unseen = nn.Parameter(torch.randn(width))

    def embed_time(self, seconds: Tensor) -> Tensor:
        """[...] seconds -> [..., D]; periods from a quarter of a second, doubling."""
        periods = 0.25 * 2.0 ** torch.arange(self.FREQUENCIES, device=seconds.device)
        phase = 2 * torch.pi * seconds[..., None] / periods
        return self.time(torch.cat([phase.sin(), phase.cos()], dim=-1).to(self.time.weight.dtype))

    def forward(self, joints, body, plan: TokenPlan) -> JointTokens:
        """joints: encoder output (features [B, M, T', V, D], visible [B, M, T', V], times [B, T']);
        body: encoder input (keypoints [B, M, T, V, 2] in frame heights, visible, times, frames, aspect)."""
        coarse = bin_matrix(joints.times, torch.ones_like(joints.times, dtype=torch.bool), plan)
        features, seen = pool(joints.features, joints.visible.float(), coarse, self.limb_matrix)
        features = torch.where(seen[..., None] > 0, self.norm(features), self.unseen)
        persons = torch.arange(features.shape[1], device=features.device)
        features = features + self.limb.weight + rearrange(self.person(persons), "m d -> m 1 1 d")
        features = rearrange(features, "b m k g d -> b (m k g) d")
        times = plan.times
        features = torch.cat([self.null.expand(len(features), 1, -1), features], dim=1) + self.embed_time(times)
        points, placed = self.locate(body, plan)
        return JointTokens(features, plan.mask, times, points, placed & plan.mask)

    def locate(self, body, plan: TokenPlan) -> tuple[Tensor, Tensor]:
        """Where each token's limb and torso are in the frame: [B, N, 2, 2] in 0..1 and [B, N] bool."""
        fine = bin_matrix(body.times, body.frames, plan)
        points, seen = pool(body.keypoints, body.visible.float(), fine, self.limb_matrix)
        scale = torch.stack([body.aspect, torch.ones_like(body.aspect)], dim=-1)
        points = points / rearrange(scale, "b c -> b 1 1 1 c")
        limb, torso = points, points[..., self.torso : self.torso + 1, :].expand_as(points)
        placed = seen > 0
        torso = torch.where((seen[..., self.torso] > 0)[..., None, None], torso, limb)
        both = rearrange(torch.stack([limb, torso], dim=-2), "b m k g two c -> b (m k g) two c")
        both = torch.cat([torch.zeros_like(both[:, :1]), both], dim=1)
        placed = rearrange(placed, "b m k g -> b (m k g)")
        return both, torch.cat([torch.zeros_like(placed[:, :1]), placed], dim=1)
