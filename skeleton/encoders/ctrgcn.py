"""CTR-GCN (Chen et al. 2021, arXiv 2107.12213), as its authors' code builds it.

Ten blocks of graph convolution, in which every channel has a topology of its own (section 3.2), then convolution along
time at several scales. A topology is a learned adjacency that all channels and samples share, plus a refinement that is
inferred from the sample for each channel: no skeleton's graph holds for every movement.

- With a mask, the mean over time behind the refinement is that of the rows in which the joint is visible.
- The adjacency starts as the authors', the transpose of `skeleton.inputs.adjacency`'s: its columns sum to one, not its rows, so a
  joint receives the sum of its children.
- The batch norm of a graph convolution starts with weight 0 (published: 1e-6), so that a block starts without it.
- The input's batch norm is one for all persons (published: one for each of two slots).
- One convolution stands for those of all partitions or branches; the numbers are the same.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder
from skeleton.encoders.layers import InputNorm, MaskedBatchNorm, TemporalConv, pool_mask, stages
from skeleton.errors import SkeletonError
from skeleton.inputs.adjacency import adjacency


class TopologyConv(nn.Module):
    """[P, C, T, V] -> [P, C', T, V]: channel-wise topology refinement graph convolution (section 3.2).

    The paper's functions phi and psi are `compare`, xi is `refine`, T is `project`, and A is `PA`.
    """

    def __init__(self, inputs: int, outputs: int, stack: Tensor, reduction: int):
        super().__init__()
        partitions, relations = len(stack), max(8, inputs // reduction)  # published: 8 for inputs of 3 and 9 channels
        self.PA = nn.Parameter(stack.mT.contiguous())  # PA[k, target, source]
        self.alpha = nn.Parameter(torch.zeros(1))
        self.compare = nn.Conv1d(inputs, 2 * partitions * relations, 1)
        self.refine = nn.Conv2d(partitions * relations, partitions * outputs, 1, groups=partitions)
        self.project = nn.Conv2d(inputs, partitions * outputs, 1)
        self.bn = MaskedBatchNorm(outputs)
        self.residual = None if inputs == outputs else TemporalConv(inputs, outputs, 1)
        for layer, channels in ((self.compare, relations), (self.refine, outputs), (self.project, outputs)):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / channels))
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.bn.weight)

    def topology(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """What each joint receives from each other one in each partition and channel: [P, K, C', V target, V source]."""
        # The mean of projections is the projection of the mean, and has no rows any more.
        mean = hidden.mean(2) if mask is None else hidden.sum(2) / mask.sum(2).clamp(min=1)
        target, source = self.compare(mean).chunk(2, dim=1)
        refinement = self.refine(torch.tanh(target[..., :, None] - source[..., None, :]))
        refinement = refinement.unflatten(1, (len(self.PA), -1))
        return torch.addcmul(self.PA[:, None], refinement, self.alpha)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """mask [P, 1, T, V] or None; hidden is 0 where it is."""
        projected = self.project(hidden)
        if mask is not None:  # the bias of the projection is no message
            projected = projected * mask
        messages = projected @ self.topology(hidden, mask).flatten(1, 2).mT
        mixed = messages.unflatten(1, (len(self.PA), -1)).sum(1)
        residual = hidden if self.residual is None else self.residual(hidden, mask)
        return functional.relu(self.bn(mixed, mask) + residual)


class MultiScaleConv(nn.Module):
    """[P, C, T, V] -> [P, C, T / stride, V]: one branch for each dilation, one of the maximum over three rows, one of a row.

    Section 3.4. The maximum may read joints that are not visible: they are 0, and after ReLU nothing is less.
    """

    def __init__(self, width: int, stride: int, kernel: int, dilations: tuple[int, ...]):
        super().__init__()
        self.stride, self.branch = stride, width // (len(dilations) + 2)
        self.reduce = TemporalConv(width, width - self.branch, 1)
        self.convs = nn.ModuleList(
            nn.Conv2d(self.branch, self.branch, (kernel, 1), (stride, 1), (kernel // 2 * dilation, 0), (dilation, 1))
            for dilation in dilations
        )
        self.point = nn.Conv2d(width, self.branch, 1, (stride, 1))
        self.bn = MaskedBatchNorm(width)

    def forward(self, hidden: Tensor, mask: Tensor | None, pooled: Tensor | None) -> Tensor:
        """mask: of the input; pooled: of the output."""
        *dilated, rest = functional.relu(self.reduce(hidden, mask)).split(self.branch, dim=1)
        branches = [conv(branch) for conv, branch in zip(self.convs, dilated, strict=True)]
        branches.append(functional.max_pool2d(rest, (3, 1), (self.stride, 1), (1, 0)))
        branches.append(self.point(hidden))
        return self.bn(torch.cat(branches, dim=1), pooled)


class Block(nn.Module):
    """Graph convolution, convolution in time, and what was there before."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        stack: Tensor,
        kernel: int,
        dilations: tuple[int, ...],
        reduction: int,
        residual: bool,
    ):
        super().__init__()
        self.stride, self.residual = stride, None
        self.gcn = TopologyConv(inputs, outputs, stack, reduction)
        self.tcn = MultiScaleConv(outputs, stride, kernel, dilations)
        if residual:
            self.residual = nn.Identity() if inputs == outputs else TemporalConv(inputs, outputs, 1, stride)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The block's output and its mask."""
        pooled = pool_mask(mask, self.stride)
        update = self.tcn(self.gcn(hidden, mask), mask, pooled)
        if isinstance(self.residual, TemporalConv):
            update = update + self.residual(hidden, pooled)
        elif self.residual is not None:
            update = update + hidden
        return functional.relu(update), pooled


class CTRGCN(Encoder):
    """`depth` blocks; each halving of time doubles the width, up to `width` (published: width 256, depth 10, stride 4).

    kernel, dilations  of the branches in time; with the two other branches they share a block's width evenly
    reduction          channels that the refinement compares: a block's input width / `reduction`, and at least 8
    halved             places of the blocks that halve time, see `stages`
    """

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 256,
        depth: int = 10,
        stride: int = 4,
        streams: tuple[str, ...] = ("joint",),
        coordinates: int = 2,
        kernel: int = 5,
        dilations: tuple[int, ...] = (1, 2),
        reduction: int = 8,
        halved: list[int] | None = None,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        sizes = stages(width, depth, stride, halved)
        branches = len(dilations) + 2
        if sizes[0][1] % branches:
            raise SkeletonError(
                f"expected a first width (width / stride) that {branches} branches divide, found {width} / {stride}; "
                "change the width"
            )
        if kernel < 1 or kernel % 2 == 0 or min(dilations, default=1) < 1 or reduction < 1:
            raise SkeletonError(
                f"expected an odd kernel, dilations and a reduction of at least 1, found kernel {kernel}, dilations "
                f"{tuple(dilations)} and reduction {reduction}; change them"
            )
        stack = adjacency(layout, "spatial")
        self.data_bn = InputNorm(self.num_joints, self.channels)
        sizes[0] = (self.channels, *sizes[0][1:])
        self.blocks = nn.ModuleList(
            Block(*size, stack, kernel, tuple(dilations), reduction, residual=place > 0)
            for place, size in enumerate(sizes)
        )

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        mask = None if visible is None else visible[:, None].to(inputs.dtype)
        hidden = self.data_bn(inputs, mask)
        for block in self.blocks:
            hidden, mask = block(hidden, mask)
        return rearrange(hidden, "p d t v -> p t v d")


ENCODER = CTRGCN
