"""Joint groups, after MoChat's skeleton encoder JGSE (arXiv 2410.11404, code CSUBioGroup/MoChat).

Each group of joints has a linear embedding of its own; blocks then attend over the joints of a row, over the rows, and
end in an MLP. One more point, the mean of what is visible, stands for the whole person in each row, and one learned
row for the whole clip; all joints and rows read both. What differs from the published code, and why:

- Left and right limbs have embeddings of their own (the six limbs of skeleton.layouts.layout, where the published groups are
  arms, legs and spine), so that an arm is known by its side.
- Attention over rows, the MLP and the head look at one joint, with weights that all joints share. Published, they run
  over all joints side by side (23 * 48 = 1104 numbers): one invisible joint would reach all others, a layout would fix
  the weights, and the network has 42.1 million parameters (of 44.3 that it makes) instead of 0.12 (width 48, depth 4).
- Rows are told apart by sinusoids of their index, times a learned number, instead of 501 learned rows: any number of
  rows will do and no padding is needed. Joints have a learned embedding, which was part of the rows' before.
- Masks are of joints and rows; the published ones are of rows and of joints that a layout lacks.
- No dropout by default nor as an option; it was 0.1 in training.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder
from skeleton.errors import SkeletonError
from skeleton.layouts.layout import LIMBS, get_layout


class Attention(nn.Module):
    """Multi-head attention within sets: [N, L, D] with the mask of its keys [N, L] or None -> [N, L, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, inputs: Tensor, seen: Tensor | None) -> Tensor:
        """What is not seen is no key. Where nothing is seen everything is a key: some kernels give NaN for none."""
        queries, keys, values = rearrange(self.qkv(inputs), "n l (three h d) -> three n h l d", three=3, h=self.heads)
        if seen is not None:
            seen = (seen | ~seen.any(-1, keepdim=True))[:, None, None]
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
        return self.proj(rearrange(mixed, "n h l d -> n l (h d)"))


class Block(nn.Module):
    """Joints of a row, rows of a joint, then each by itself, each step after a layer norm and added."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.space, self.time = Attention(width, heads), Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, hidden: Tensor, seen: Tensor | None) -> Tensor:
        """[P, T, V, D] with mask [P, T, V] -> [P, T, V, D]; what is not seen becomes something that nobody reads."""
        rows, joints = (None, None) if seen is None else (seen.flatten(0, 1), seen.mT.flatten(0, 1))
        update = self.space(self.norms[0](hidden).flatten(0, 1), rows)
        hidden = hidden + update.unflatten(0, hidden.shape[:2])
        turned = self.norms[1](hidden).transpose(1, 2)
        update = self.time(turned.flatten(0, 1), joints)
        hidden = hidden + update.unflatten(0, turned.shape[:2]).transpose(1, 2)
        return hidden + self.mlp(self.norms[2](hidden))


class JointGroups(Encoder):
    """`depth` blocks at the full rate of rows; the visible rows of each bin are averaged at the end.

    heads of each attention, expansion of the MLP (published: width 48, depth 4, 8 heads, expansion 2).
    """

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 48,
        depth: int = 4,
        stride: int = 4,
        streams: tuple[str, ...] = ("position",),
        coordinates: int = 2,
        heads: int = 8,
        expansion: int = 2,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        if heads < 1 or width % heads or width % 2:
            raise SkeletonError(
                f"expected an even width that is a multiple of the {heads} heads, found {width}; change one"
            )
        if depth < 1 or stride < 1 or expansion < 1:
            raise SkeletonError(f"expected at least 1, found depth {depth}, stride {stride}, expansion {expansion}")
        # The global point is a limb of its own, in the last place.
        limbs = torch.tensor([*get_layout(layout).limb_index.tolist(), len(LIMBS)])
        self.register_buffer("limbs", limbs, persistent=False)
        self.weight = nn.Parameter(torch.randn(len(LIMBS) + 1, self.channels, width) * self.channels**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(LIMBS) + 1, width))
        self.joints = nn.Parameter(torch.randn(len(limbs), width) * 0.02)
        self.pace = nn.Parameter(torch.full((1,), 0.1))
        self.clip = nn.Parameter(torch.rand(len(limbs), width))
        self.blocks = nn.ModuleList(Block(width, heads, expansion) for _ in range(depth))
        for layer in self.blocks.modules():  # at first the blocks add little to what a joint is
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.normal_(layer.bias, std=0.02)
        self.norm = nn.LayerNorm(width)
        step = (nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.head = nn.Sequential(*step, nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        seen = None
        if visible is not None:
            seen = torch.cat((visible, visible.any(-1, keepdim=True)), dim=-1)
            # The clip's row is there for what is seen in any row.
            seen = torch.cat((seen, seen.any(1, keepdim=True)), dim=1)
        hidden = self._embed(inputs, visible)
        for block in self.blocks:
            hidden = block(hidden, seen)
        hidden = self.head(self.norm(hidden[:, :-1, :-1]))
        if visible is None:
            return rearrange(hidden, "p (t r) v d -> p t r v d", r=self.stride).mean(2)
        weights = rearrange(visible, "p (t r) v -> p t r v 1", r=self.stride)
        total = (rearrange(hidden, "p (t r) v d -> p t r v d", r=self.stride) * weights).sum(2)
        return total / weights.sum(2).clamp(min=1)

    def _embed(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] -> [P, T + 1, V + 1, D]: each joint by its limb's weights, the global point, the clip's row."""
        count = inputs.shape[2] if visible is None else visible.sum(-1, keepdim=True).clamp(min=1)
        points = torch.cat((inputs, (inputs.sum(2) / count)[:, :, None]), dim=2)
        embedded = torch.einsum("ptvc,vcd->ptvd", points, self.weight[self.limbs]) + self.bias[self.limbs]
        rows = self.pace * sinusoids(inputs.shape[1], self.width, inputs.device)[:, None]
        clip = self.clip.expand(len(inputs), 1, -1, -1)
        return torch.cat((embedded + rows.to(inputs.dtype), clip), dim=1) + self.joints


def sinusoids(rows: int, width: int, device: torch.device | None = None) -> Tensor:
    """[T, D]: sine and cosine of the row's index at D / 2 rates (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    angles = torch.arange(rows, device=device)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


ENCODER = JointGroups
