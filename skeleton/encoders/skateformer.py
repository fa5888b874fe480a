"""SkateFormer (Do and Kim, ECCV 2024, arXiv 2403.09508), as its released code (KAIST-VICLab/SkateFormer) builds it.

Joints lie on a grid of limbs and of places within a limb; rows of time come in groups of `rows`. Each block sends half of its
channels through four attentions, one for each way to part the grid: neighbouring joints (those of one limb) or distant ones
(those at one place of every limb), in consecutive rows (local motion) or in rows spread over the whole clip (global motion).
The other channels go through a learned mixing of the joints (G-Conv) and convolution in time (T-Conv). Before the blocks comes
the Skate-embedding: Fourier features of the time index times an embedding of each joint.

What differs from the publication, and why:

- Persons are kept apart. For NTU both are published as one body of 48 points and 12 limbs, with 3.62 M parameters (the released
  weights; the 2.03 M of the paper are what mlp_ratio 1 gives without the matrices of G-Conv). One person of 25 joints and 6
  limbs has 3.39 M: it lacks the others' entries in G-Conv, biases and embedding, and the classifier.
- The limbs are those of the layout, with joints in the order of its table, from the body outwards. They differ in size, so the
  grid has empty places, which are no keys. Published are 24 of the NTU joints, cut into six groups of four by hand.
- Any number of rows will do; published are 64. Time is filled up to whole groups with rows that are no keys. The whole clip
  ends with the person's last visible row, for the spread of rows as for the time index, so more padding changes neither.
- Among neighbours the bias depends on the distance in time, which is all that its table knows. The released code lays the table
  over the tokens as if rows ran fastest, while places do, so that place and time are mixed up there.
- Dropout of attention and of whole blocks (published: 0.5 and 0.2) is off unless asked for.

Scores are scaled by heads^-0.5, as in the released code; usual is the number of channels of a head.
"""

import math
from itertools import pairwise

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder
from skeleton.encoders.layers import TemporalConv, pool_mask, stages
from skeleton.errors import SkeletonError
from skeleton.layouts.layout import LIMBS, get_layout

# What attends to each other: how time is cut into groups w of rows r, and which of limb k and place l is apart in a group.
PARTITIONS = (
    ("(w r)", "l", "k"),  # neighbouring joints, local motion (Skate-Type-1)
    ("(w r)", "k", "l"),  # distant joints, local motion
    ("(r w)", "l", "k"),  # neighbouring joints, global motion
    ("(r w)", "k", "l"),  # distant joints, global motion
)
HIDDEN = -1e4  # score of what may not be read: finite, so that no kernel makes NaN of a group without keys


def lengths(visible: Tensor) -> Tensor:
    """[P, T, V] -> [P]: number of rows up to the last that holds a visible joint, at least 1."""
    counts = torch.arange(1, visible.shape[1] + 1, device=visible.device)
    return (counts * visible.any(2)).amax(1).clamp(min=1)


class Places(nn.Module):
    """The grid of a layout: joint_at [K * L] (0 where empty), filled [K, L], place_of [V]."""

    def __init__(self, layout: str):
        super().__init__()
        body = get_layout(layout)
        limbs = [[body.index(joint) for joint in body.limbs[limb]] for limb in LIMBS if body.limbs[limb]]
        self.limbs, self.size = len(limbs), max(map(len, limbs))
        joint_at = torch.tensor([joints + [-1] * (self.size - len(joints)) for joints in limbs])
        self.full = bool((joint_at >= 0).all())
        self.register_buffer("joint_at", joint_at.flatten().clamp(min=0), persistent=False)
        self.register_buffer("filled", joint_at >= 0, persistent=False)
        self.register_buffer("place_of", joint_at.flatten().argsort()[-len(body.joints) :], persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """[P, T, V, C] -> [P, T, K, L, C]."""
        return tokens.index_select(2, self.joint_at).unflatten(2, (self.limbs, self.size))

    def joints(self, grid: Tensor) -> Tensor:
        """[P, T, K, L, C] -> [P, T, V, C]."""
        return grid.flatten(2, 3).index_select(2, self.place_of)


class Rows:
    """T rows filled up to R, a multiple of `rows`: in the clip's order, and spread for global motion.

    Spread, row r * (R / rows) + w is the w-th of the r-th part of the person's own time, which is cut into `rows` parts. Where
    everything is visible that is the row itself. local, wide: scores [P, R, K, L] to add, 0 or HIDDEN, or None.
    """

    def __init__(self, rows: int, visible: Tensor | None, tokens: Tensor, places: Places):
        """visible [P, T, V] bool or None, tokens [P, T, V, C]."""
        persons, self.length = tokens.shape[:2]
        self.parts = -(-self.length // rows)
        self.total, self.order, self.back = self.parts * rows, None, None
        self.local = self.wide = None
        if visible is None and places.full and self.total == self.length:
            return
        seen = torch.ones_like(tokens[..., 0], dtype=torch.bool) if visible is None else visible
        local = wide = places(self._fill(seen[..., None]))[..., 0] & places.filled
        if visible is not None:
            pace = (-(-lengths(visible) // rows))[:, None]
            first = self.total * torch.arange(persons, device=seen.device)[:, None]
            row = torch.arange(self.total, device=seen.device)
            part, place = row // self.parts, row % self.parts
            self.order = (first + torch.where(place < pace, part * pace + place, 0)).flatten()
            row = row[: self.length]
            self.back = (first + (row // pace * self.parts + row % pace).clamp(max=self.total - 1)).flatten()
            wide = local.flatten(0, 1)[self.order].view_as(local) & (place < pace)[..., None, None]
        self.local, self.wide = (torch.where(keys, 0.0, HIDDEN) for keys in (local, wide))

    def _fill(self, tokens: Tensor) -> Tensor:
        extra = self.total - self.length
        return functional.pad(tokens, (0, 0, 0, 0, 0, extra)) if extra else tokens

    def spread(self, tokens: Tensor, places: Places) -> tuple[Tensor, Tensor]:
        """[P, T, V, C] -> twice [P, R, K, L, C / 2]: the first half of the channels in order, the second spread."""
        local, wide = places(self._fill(tokens)).chunk(2, dim=-1)
        if self.order is not None:
            wide = wide.flatten(0, 1).index_select(0, self.order).view_as(wide)
        return local, wide

    def collect(self, local: Tensor, wide: Tensor, places: Places) -> Tensor:
        """The way back of `spread`."""
        if self.back is not None:
            wide = wide.flatten(0, 1).index_select(0, self.back).unflatten(0, (-1, self.length))
        return places.joints(torch.cat((local[:, : self.length], wide[:, : self.length]), dim=-1))


class Attention(nn.Module):
    """Multi-head self-attention within the groups of one of PARTITIONS, with a bias for the distance in time.

    Between distant joints there is one for each pair of limbs; among neighbours the joints do not count.
    """

    def __init__(self, partition: tuple[str, str, str], heads: int, rows: int, limbs: int, drop: float):
        super().__init__()
        self.heads, self.rows, self.drop = heads, rows, drop
        self.time, self.token, self.group = partition
        pairs = (limbs, limbs) if self.token == "k" else ()
        self.bias = nn.Parameter(nn.init.trunc_normal_(torch.empty(2 * rows - 1, *pairs, heads), std=0.02))
        row = torch.arange(rows)
        self.register_buffer("distance", row[:, None] - row + rows - 1, persistent=False)

    def forward(self, qkv: Tensor, hidden: Tensor | None) -> Tensor:
        """[P, R, K, L, 3 C] and scores [P, R, K, L] to add to those of the keys, or None -> [P, R, K, L, C]."""
        inside, grid = f"(p w {self.group})", f"p {self.time} k l"
        sizes = {"w": qkv.shape[1] // self.rows, "r": self.rows, "k": qkv.shape[2], "l": qkv.shape[3]}
        pattern = f"{grid} (three h c) -> three {inside} h (r {self.token}) c"
        query, key, value = rearrange(qkv, pattern, three=3, h=self.heads, r=self.rows)
        scores = self._bias(sizes["l"])
        if hidden is not None:
            scores = scores + rearrange(hidden, f"{grid} -> {inside} 1 1 (r {self.token})", r=self.rows)
        drop, scores = self.drop if self.training else 0.0, scores.to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, scores, drop, scale=self.heads**-0.5)
        return rearrange(mixed, f"{inside} h (r {self.token}) c -> {grid} (h c)", **sizes)

    def _bias(self, size: int) -> Tensor:
        """[H, A, A] for groups of A = rows * (limbs, or `size` places of a limb)."""
        bias = self.bias[self.distance]
        if self.token == "k":
            return rearrange(bias, "r s k j h -> h (r k) (s j)")
        return repeat(bias, "r s h -> h (r l) (s j)", l=size, j=size)


class Block(nn.Module):
    """G-Conv, T-Conv and the four attentions side by side, then an MLP; each normalised before and added."""

    def __init__(
        self,
        width: int,
        inner: int,
        joints: int,
        limbs: int,
        heads: int,
        rows: int,
        kernel: int,
        drops: tuple[float, float],
    ):
        """inner: width of the MLP. drops: shares of attention weights and of whole steps."""
        super().__init__()
        self.drop_path = drops[1]
        self.norm1, self.mapping = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.gconv = nn.Parameter(nn.init.trunc_normal_(torch.empty(2 * heads, joints, joints), std=0.02))
        quarter = width // 4
        self.tconv = nn.Conv2d(quarter, quarter, (kernel, 1), padding=(kernel // 2, 0), groups=2 * heads)
        self.attention = nn.ModuleList(Attention(kind, heads, rows, limbs, drops[0]) for kind in PARTITIONS)
        self.proj, self.norm2 = nn.Linear(width, width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, hidden: Tensor, mask: Tensor | None, rows: Rows, places: Places) -> Tensor:
        """[P, T, V, C] and mask [P, T, V, 1] or None -> [P, T, V, C]; anything where the mask is 0."""
        hidden = hidden + self._dropped(self.proj(self._mix(self.mapping(self.norm1(hidden)), mask, rows, places)))
        return hidden + self._dropped(self.mlp(self.norm2(hidden)))

    def _mix(self, mapped: Tensor, mask: Tensor | None, rows: Rows, places: Places) -> Tensor:
        """[P, T, V, 2 C] -> [P, T, V, C]."""
        quarter = mapped.shape[-1] // 8
        joint, time, qkv = mapped.split((quarter, quarter, 6 * quarter), dim=-1)
        if mask is not None:
            joint, time = joint * mask, time * mask
        joint = rearrange(joint, "p t v (g c) -> p t v g c", g=len(self.gconv))
        joint = torch.einsum("ptugc,gvu->ptvgc", joint, self.gconv).flatten(3)
        time = rearrange(self.tconv(rearrange(time, "p t v c -> p c t v")), "p c t v -> p t v c")
        local, wide = rows.spread(qkv, places)
        parts = (*local.chunk(2, dim=-1), *wide.chunk(2, dim=-1))
        scores = (rows.local, rows.local, rows.wide, rows.wide)
        mixed = [attend(*of) for attend, *of in zip(self.attention, parts, scores, strict=True)]
        attended = rows.collect(torch.cat(mixed[:2], dim=-1), torch.cat(mixed[2:], dim=-1), places)
        return torch.cat((joint, time, attended), dim=-1)

    def _dropped(self, update: Tensor) -> Tensor:
        """Stochastic depth: in training, whole persons lose this step."""
        if not self.training or not self.drop_path:
            return update
        keep = torch.rand(len(update), 1, 1, 1, device=update.device) >= self.drop_path
        return update * keep / (1 - self.drop_path)


class SkateFormer(Encoder):
    """`depth` blocks in one stage more than `stride` has halvings; the first stage has half the `width` if there are others.

    Published: width 192, depth 8, stride 8, mlp_ratio 4 (NW-UCLA: 1). heads: of each of the four attentions, published 4, and
    half of the groups of G-Conv and T-Conv; None takes as many as leave three channels or more to a head in the first stage.
    rows: of a group of attention. kernel: rows of the convolutions in time.
    """

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 192,
        depth: int = 8,
        stride: int = 8,
        streams: tuple[str, ...] = ("joint",),
        coordinates: int = 2,
        heads: int | None = None,
        rows: int = 8,
        kernel: int = 7,
        mlp_ratio: float = 4,
        drop_attention: float = 0,
        drop_path: float = 0,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        halvings = [step for *_, step in stages(stride, depth, stride)]  # the widths are not ours, and pass its check
        starts = [0, *(place for place, step in enumerate(halvings) if step > 1), depth]
        split = 16 if stride > 1 else 8
        eighth = width // split
        if width < split or width % split:
            raise SkeletonError(
                f"expected a width that {split} divides, for four attentions of equal size, found {width}"
            )
        if heads is None:
            heads = next(count for count in range(max(eighth // 3, 1), 0, -1) if eighth % count == 0)
        if heads < 1 or eighth % heads:
            raise SkeletonError(
                f"expected heads that divide width / {split} = {eighth}, found heads {heads} and width {width}"
            )
        if min(rows, kernel) < 1 or kernel % 2 == 0 or mlp_ratio * 8 * eighth < 1:
            found = f"rows {rows}, kernel {kernel} and mlp_ratio {mlp_ratio}"
            raise SkeletonError(f"expected rows of at least 1, an odd kernel and an MLP with channels, found {found}")
        if not (0 <= drop_attention < 1 and 0 <= drop_path < 1):
            found = f"drop_attention {drop_attention} and drop_path {drop_path}"
            raise SkeletonError(f"expected to drop a share of at least 0 and below 1, found {found}")
        self.rows, self.places = rows, Places(layout)
        first, inputs = eighth * 8, self.channels
        stem = (nn.Linear(inputs, 2 * inputs), nn.GELU(), nn.Linear(2 * inputs, 3 * inputs), nn.GELU())
        self.stem = nn.Sequential(*stem, nn.Linear(3 * inputs, first))
        self.embedding = nn.Parameter(nn.init.trunc_normal_(torch.empty(self.num_joints, first), std=0.02))
        drops = [(drop_attention, drop) for drop in torch.linspace(0, drop_path, depth).tolist()]
        self.merges, self.stages = nn.ModuleList(), nn.ModuleList()
        for begin, end in pairwise(starts):
            now, before = width if begin else first, first if begin == starts[1] else width
            self.merges.append(TemporalConv(before, now, kernel, stride=2) if begin else nn.Identity())
            sizes = (now, int(mlp_ratio * now), self.num_joints, self.places.limbs, heads, rows, kernel)
            self.stages.append(nn.ModuleList(Block(*sizes, drops[place]) for place in range(begin, end)))

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        hidden = self.stem(inputs) + self._skate_embedding(inputs, visible)
        mask = None if visible is None else visible[:, None].to(inputs.dtype)
        for merge, blocks in zip(self.merges, self.stages, strict=True):
            if isinstance(merge, TemporalConv):
                mask, hidden = pool_mask(mask, 2), _masked(hidden, mask)
                hidden = rearrange(merge(rearrange(hidden, "p t v c -> p c t v"), mask), "p c t v -> p t v c")
            rows = Rows(self.rows, None if mask is None else mask[:, 0] > 0, hidden, self.places)
            for block in blocks:
                hidden = block(hidden, None if mask is None else mask.movedim(1, -1), rows, self.places)
        return _masked(hidden, mask)

    def _skate_embedding(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C]; the time index runs from -1 to 1 over the person's own rows."""
        channels, length = self.embedding.shape[1], inputs.shape[1]
        row = torch.arange(length, device=inputs.device)
        index = 2 * row / (length if visible is None else lengths(visible)[:, None]) - 1
        decay = torch.exp(torch.arange(0, channels, 2, device=inputs.device) * (-math.log(10000) / channels))
        angle = index.reshape(-1, length, 1, 1) * decay
        waves = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(3)
        return waves.to(inputs.dtype) * self.embedding


def _masked(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Tokens [P, T, V, C] times mask [P, 1, T, V]."""
    return tokens if mask is None else tokens * mask.movedim(1, -1)


ENCODER = SkateFormer
