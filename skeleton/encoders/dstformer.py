"""DSTformer, the network of MotionBERT (Zhu et al. 2023, arXiv 2210.06551, section "Network Architecture").

Each layer has two streams: one attends over the joints of a row and then over the rows of a joint, the other the other
way round; learned weights, for each joint and row anew, fuse them. What differs from the publication, and why:

- Joints that are not visible are no keys, so nothing attends to them; the published network reads zeros there.
- It keeps every row; here the visible rows of each bin are averaged at the end, after the tanh (`stride`).
- The weights that read the coordinates start as torch starts them, not at 0.02: with so few channels the embeddings of
  joint and time drown a pose, and training stands still until that is undone.
- The head that lifts to 3D is left out (1,539 weights), so the network ends with the published representation.

The time embedding has `maxlen` entries (published: 243). Behind it may be padding, but no joint: to stretch the table
over longer clips would make a result depend on the padding. The names of the weights are the published ones, and
`published_weights` reads a published file. Those weights are for layout h36m17, one stream and two coordinates, scaled
so that a clip fits into -1 .. 1, and confidence; our streams have other units, so fine-tune them.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder
from skeleton.errors import SkeletonError


def published_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights for `load_state_dict`, from what torch.load gives for a file of MotionBERT.

    Takes off the prefixes of nn.DataParallel and of the networks around the encoder, and leaves their heads out.
    """
    weights = checkpoint.get("model_pos", checkpoint.get("model", checkpoint))
    named = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in weights.items()}
    return {key: value for key, value in named.items() if not key.startswith("head.")}


def keys(visible: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """[P, T, V] -> what may be attended to: joints [P * T, 1, 1, V] and rows [P * V, 1, 1, T]; None is everything.

    Where nothing is visible everything may be: a softmax over nothing is no number, and that result is never read.
    """
    if visible is None:
        return None, None
    joints = visible | ~visible.any(2, keepdim=True)
    rows = visible | ~visible.any(1, keepdim=True)
    return rearrange(joints, "p t v -> (p t) 1 1 v"), rearrange(rows, "p t v -> (p v) 1 1 t")


class Attention(nn.Module):
    """Multi-head self-attention over the joints of each row (`over` is "v") or the rows of each joint ("t")."""

    def __init__(self, width: int, heads: int, over: str):
        super().__init__()
        self.heads = heads
        self.inside = f"({'p t' if over == 'v' else 'p v'}) h {over} d"
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor, keys: Tensor | None) -> Tensor:
        """[P, T, V, D] with the mask of the keys, see `keys` -> [P, T, V, D]."""
        pattern = f"p t v (three h d) -> three {self.inside}"
        query, key, value = rearrange(self.qkv(hidden), pattern, three=3, h=self.heads)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=keys)
        rows, joints = hidden.shape[1:3]
        return self.proj(rearrange(mixed, f"{self.inside} -> p t v (h d)", t=rows, v=joints))


class Block(nn.Module):
    """Attention over joints (s) and time (t), in this `order`, each with an MLP; all normalised before and added."""

    def __init__(self, width: int, heads: int, inner: int, order: str):
        super().__init__()
        self.order = order
        self.norm1_s, self.norm1_t = _norm(width), _norm(width)
        self.attn_s, self.attn_t = Attention(width, heads, over="v"), Attention(width, heads, over="t")
        self.norm2_s, self.norm2_t = _norm(width), _norm(width)
        self.mlp_s, self.mlp_t = _mlp(width, inner), _mlp(width, inner)

    def forward(self, hidden: Tensor, joints: Tensor | None, rows: Tensor | None) -> Tensor:
        """[P, T, V, D] with the two masks of `keys` -> [P, T, V, D]."""
        steps = {
            "s": (self.norm1_s, self.attn_s, joints, self.norm2_s, self.mlp_s),
            "t": (self.norm1_t, self.attn_t, rows, self.norm2_t, self.mlp_t),
        }
        for step in self.order:
            before, attend, seen, between, mlp = steps[step]
            hidden = hidden + attend(before(hidden), seen)
            hidden = hidden + mlp(between(hidden))
        return hidden


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)


def _mlp(width: int, inner: int) -> nn.Sequential:
    steps = OrderedDict(fc1=nn.Linear(width, inner), act=nn.GELU(), fc2=nn.Linear(inner, width))
    return nn.Sequential(steps)


class DSTformer(Encoder):
    """`depth` layers of `hidden` channels (None: `width`), then a projection to `width` and tanh.

    Published: width 512, hidden 512 and mlp_ratio 2; the lite version has width 512, hidden 256 and mlp_ratio 4.
    """

    def __init__(
        self,
        layout: str = "h36m17",
        width: int = 512,
        depth: int = 5,
        stride: int = 1,
        streams: tuple[str, ...] = ("joint",),
        coordinates: int = 2,
        hidden: int | None = None,
        heads: int = 8,
        mlp_ratio: float = 2,
        maxlen: int = 243,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        hidden = width if hidden is None else hidden
        inner = int(hidden * mlp_ratio)
        if heads < 1 or hidden < 1 or hidden % heads:
            found = f"hidden {hidden} and heads {heads}"
            raise SkeletonError(f"expected a hidden width that the heads divide, found {found}; change one of them")
        if stride < 1 or stride & (stride - 1):
            raise SkeletonError(f"expected a stride that is a power of two, found {stride}; take 1, 2, 4 or 8")
        if min(width, depth, inner, maxlen) < 1:
            found = f"width {width}, depth {depth}, mlp_ratio {mlp_ratio} and maxlen {maxlen}"
            raise SkeletonError(
                f"expected at least one channel, layer, channel in the MLP and row, found {found}; raise them"
            )
        self.joints_embed = nn.Linear(self.channels, hidden)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.num_joints, hidden))
        self.temp_embed = nn.Parameter(torch.zeros(1, maxlen, 1, hidden))
        self.blocks_st = nn.ModuleList(Block(hidden, heads, inner, "st") for _ in range(depth))
        self.blocks_ts = nn.ModuleList(Block(hidden, heads, inner, "ts") for _ in range(depth))
        self.ts_attn = nn.ModuleList(nn.Linear(2 * hidden, 2) for _ in range(depth))
        self.norm = _norm(hidden)
        self.pre_logits = nn.Sequential(OrderedDict(fc=nn.Linear(hidden, width), act=nn.Tanh()))
        self._initialise()

    def _initialise(self) -> None:
        """As published, but for what reads the coordinates: small, no bias, two streams that count the same."""
        linears = [module for module in self.modules() if isinstance(module, nn.Linear)]
        for linear in linears:
            nn.init.zeros_(linear.bias)
        weights = (linear.weight for linear in linears if linear is not self.joints_embed)
        for table in (self.pos_embed, self.temp_embed, *weights):
            nn.init.trunc_normal_(table, std=0.02)
        for fusion in self.ts_attn:
            nn.init.zeros_(fusion.weight)
            nn.init.constant_(fusion.bias, 0.5)

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D].

        Raises SkeletonError for a visible joint in a row behind `maxlen`.
        """
        hidden = self.joints_embed(inputs) + self.pos_embed[:, None] + self._time_embedding(inputs.shape[1], visible)
        joints, rows = keys(visible)
        for space_first, time_first, fusion in zip(self.blocks_st, self.blocks_ts, self.ts_attn, strict=True):
            one, two = space_first(hidden, joints, rows), time_first(hidden, joints, rows)
            shares = fusion(torch.cat((one, two), dim=-1)).softmax(-1)
            hidden = one * shares[..., :1] + two * shares[..., 1:]
        return self._pool(self.pre_logits(self.norm(hidden)), visible)

    def _time_embedding(self, length: int, visible: Tensor | None) -> Tensor:
        """[1, T, 1, D]."""
        maxlen = self.temp_embed.shape[1]
        if length <= maxlen:
            return self.temp_embed[:, :length]
        if visible is None or visible[:, maxlen:].any():
            raise SkeletonError(
                f"expected clips of at most maxlen={maxlen} rows, found visible joints in later ones "
                f"(the batch has {length} rows); cut the clips or build the encoder with a larger maxlen"
            )
        return functional.pad(self.temp_embed, (0, 0, 0, 0, 0, length - maxlen))

    def _pool(self, features: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, D] -> [P, T / stride, V, D]: the mean over the visible rows of each bin, zero without one."""
        bins = (features.shape[1] // self.stride, self.stride)
        if visible is None:
            return features if self.stride == 1 else features.unflatten(1, bins).mean(2)
        mask = visible[..., None].to(features.dtype)
        features = features * mask
        if self.stride == 1:
            return features
        return features.unflatten(1, bins).sum(2) / mask.unflatten(1, bins).sum(2).clamp(min=1)


ENCODER = DSTformer
