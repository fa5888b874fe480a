"""ST-GCN (Yan et al. 2018, arXiv 1801.07455), as mmaction2 and PYSKL build it.

Ten blocks of graph convolution over three partitions of the skeleton, whose edges have learned weights, then
convolution over nine rows in time. The names of the weights are those of mmaction2 and PYSKL.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder
from skeleton.encoders.layers import InputNorm, MaskedBatchNorm, TemporalConv, pool_mask, stages
from skeleton.inputs.adjacency import adjacency


class GraphConv(nn.Module):
    """[P, C, T, V] -> [P, C', T, V]: sum over partitions of a projection, mixed over joints."""

    def __init__(self, inputs: int, outputs: int, stack: Tensor):
        super().__init__()
        self.register_buffer("A", stack.mT.contiguous())  # A[k, source, target], as published
        self.PA = nn.Parameter(torch.ones_like(stack))
        self.conv = nn.Conv2d(inputs, outputs * len(stack), 1)
        self.bn = MaskedBatchNorm(outputs)

    def forward(self, input: Tensor, mask: Tensor | None) -> Tensor:
        """mask [P, 1, T, V] or None."""
        projected = self.conv(input)
        if mask is not None:  # the bias of the projection is no message
            projected = projected * mask
        projected = rearrange(projected, "p (k c) t v -> p k c t v", k=len(self.A))
        mixed = torch.einsum("pkctv,kvw->pctw", projected, self.A * self.PA)
        return functional.relu(self.bn(mixed, mask))


class Block(nn.Module):
    """Graph convolution, convolution in time, and what was there before."""

    def __init__(self, inputs: int, outputs: int, stride: int, stack: Tensor, residual: bool):
        super().__init__()
        self.stride, self.residual = stride, None
        self.gcn = GraphConv(inputs, outputs, stack)
        self.tcn = TemporalConv(outputs, outputs, 9, stride)
        if residual:
            self.residual = nn.Identity() if inputs == outputs else TemporalConv(inputs, outputs, 1, stride)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The block's output and its mask."""
        pooled = pool_mask(mask, self.stride)
        update = self.tcn(self.gcn(hidden, mask), pooled)
        if isinstance(self.residual, TemporalConv):
            update = update + self.residual(hidden, pooled)
        elif self.residual is not None:
            update = update + hidden
        return functional.relu(update), pooled


class STGCN(Encoder):
    """`depth` blocks; each halving of time doubles the width, up to `width` (published: width 256, depth 10, stride 4)."""

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 256,
        depth: int = 10,
        stride: int = 4,
        streams: tuple[str, ...] = ("joint",),
        coordinates: int = 2,
        halved: list[int] | None = None,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        stack = adjacency(layout, "stgcn")
        self.data_bn = InputNorm(self.num_joints, self.channels)
        sizes = stages(width, depth, stride, halved)
        sizes[0] = (self.channels, *sizes[0][1:])
        self.gcn = nn.ModuleList(Block(*size, stack, residual=place > 0) for place, size in enumerate(sizes))

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        mask = None if visible is None else visible[:, None].to(inputs.dtype)
        hidden = self.data_bn(inputs, mask)
        for block in self.gcn:
            hidden, mask = block(hidden, mask)
        return rearrange(hidden, "p d t v -> p t v d")


ENCODER = STGCN
