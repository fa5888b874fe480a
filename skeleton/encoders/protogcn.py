"""ProtoGCN (Liu et al. 2025, arXiv 2411.18941), as its authors build it on PYSKL.

Each block has K graphs learned from nothing: they begin as random numbers, the skeleton's bones are given nowhere.
"Motion topology enhancement" adds to them what the person's mean features say: an edge for each channel from
differences (inter), an edge for each graph from products (intra). Time is read by six branches, which also read the
mean of all joints.

The last block's enhancement is read out of a memory of prototypes; the authors use this reconstruction in training
alone, as the input of a class-specific contrastive loss. The features do not depend on it, so without that loss its
weights would learn nothing: they are there only if `prototypes` asks for them (published: 400), and then
`reconstruction` holds the loss's input.

What differs from the authors' code:
- alpha and beta are one number each; there they are K numbers, of which only the first is read.
- A reconstruction is that of the mean over the sample's visible persons, and of each pair of joints over the persons
  who show both; there empty person slots are averaged in.
- The dropout of the prototype read-out is off by default (published: 0.1).
- Joints that are not visible send nothing, are left out of means and of the intra edges' softmax.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder, JointFeatures
from skeleton.encoders.layers import InputNorm, MaskedBatchNorm, TemporalConv, pool_mask, stages
from skeleton.errors import SkeletonError
from skeleton.inputs.batch import SkeletonBatch

DILATIONS = (1, 2, 3, 4)
BRANCHES = len(DILATIONS) + 2  # and a maximum, and single rows


class MotionTopology(nn.Module):
    """Edges that depend on the motion: [P, C, T, V] -> [P, K, C', V (source), V (target)]."""

    def __init__(self, inputs: int, graphs: int, channels: int):
        super().__init__()
        self.graphs = graphs
        self.conv = nn.Conv1d(inputs, 2 * graphs * channels, 1)  # as sources, as targets
        self.alpha = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """mask [P, 1, T, V] or None; hidden is 0 where it is 0. Edges of joints that are never visible mean nothing."""
        # The mean goes before the projection, which is linear: the same numbers for a T-th of the work.
        mean = hidden.mean(2) if mask is None else hidden.sum(2) / mask.sum(2).clamp(min=1)
        source, target = rearrange(self.conv(mean), "p (two k c) v -> two p k c v", two=2, k=self.graphs)
        inter = (source[..., :, None] - target[..., None, :]).tanh()
        match = source.mT @ target
        if mask is not None:
            match = match.masked_fill(mask.amax(2)[..., None] == 0, torch.finfo(match.dtype).min)
        return self.alpha * inter + self.beta * match.softmax(-2)[:, :, None]


class GraphConv(nn.Module):
    """[P, C, T, V] -> [P, C', T, V] and the block's motion topology; each channel has its own mixing of joints."""

    def __init__(self, inputs: int, outputs: int, stack: Tensor):
        super().__init__()
        graphs, channels = len(stack), outputs // len(stack)
        self.A = nn.Parameter(stack.clone())  # A[k, source, target], as published
        self.topology = MotionTopology(inputs, graphs, channels)
        self.pre = TemporalConv(inputs, graphs * channels, 1)
        self.post = nn.Conv2d(graphs * channels, outputs, 1)
        self.bn = MaskedBatchNorm(outputs)
        self.down = None if inputs == outputs else TemporalConv(inputs, outputs, 1)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """mask [P, 1, T, V] or None."""
        motion = self.topology(hidden, mask)
        messages = functional.relu(self.pre(hidden, mask))
        messages = rearrange(messages, "p (k c) t v -> p k c t v", k=len(self.A))
        mixed = messages @ (self.A[:, None] + motion)
        update = self.bn(self.post(mixed.flatten(1, 2)), mask)
        return functional.relu(update + (hidden if self.down is None else self.down(hidden, mask))), motion


class MultiScaleConv(nn.Module):
    """[P, C, T, V] -> [P, C, T / stride, V]: PYSKL's six branches in time, which also read the mean joint."""

    def __init__(self, channels: int, stride: int, joints: int):
        super().__init__()
        self.stride, part = stride, channels // BRANCHES
        self.parts = [channels - (BRANCHES - 1) * part, *[part] * (BRANCHES - 2)]
        self.reduce = TemporalConv(channels, sum(self.parts), 1)  # of all branches but the last
        self.dilated = nn.ModuleList(
            nn.Conv2d(size, size, (3, 1), (stride, 1), (dilation, 0), (dilation, 1))
            for size, dilation in zip(self.parts[:-1], DILATIONS, strict=True)
        )
        self.point = nn.Conv2d(channels, part, 1, (stride, 1))
        self.coefficients = nn.Parameter(torch.zeros(joints))  # how much of the mean joint each joint gets
        self.norm = MaskedBatchNorm(channels)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.bn = MaskedBatchNorm(channels)

    def forward(self, hidden: Tensor, mask: Tensor | None, pooled: Tensor | None) -> Tensor:
        """mask [P, 1, T, V] of the input, pooled [P, 1, T / stride, V] of the output."""
        if mask is None:
            hidden = torch.cat((hidden, hidden.mean(-1, keepdim=True)), dim=-1)
        else:
            mean = hidden.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
            hidden = torch.cat((hidden, mean), dim=-1)
            mask = torch.cat((mask, mask.amax(-1, keepdim=True)), dim=-1)
        *dilated, largest = functional.relu(self.reduce(hidden, mask)).split(self.parts, dim=1)
        branches = [conv(branch) for conv, branch in zip(self.dilated, dilated, strict=True)]
        # What is not visible is 0 after the relu and cannot win the maximum.
        branches.append(functional.max_pool2d(largest, (3, 1), (self.stride, 1), (1, 0)))
        joined = torch.cat((*branches, self.point(hidden)), dim=1)
        joined = joined[..., :-1] + joined[..., -1:] * self.coefficients
        return self.bn(self.mix(functional.relu(self.norm(joined, pooled))), pooled)


class Block(nn.Module):
    """Graph convolution, convolution in time, and what was there before."""

    def __init__(self, inputs: int, outputs: int, stride: int, stack: Tensor, residual: bool):
        super().__init__()
        self.stride, self.residual = stride, None
        self.gcn = GraphConv(inputs, outputs, stack)
        self.tcn = MultiScaleConv(outputs, stride, stack.shape[-1])
        if residual:
            self.residual = nn.Identity() if inputs == outputs else TemporalConv(inputs, outputs, 1, stride)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """The block's output, its mask, and its motion topology [P, K, C', V, V]."""
        pooled = pool_mask(mask, self.stride)
        update, motion = self.gcn(hidden, mask)
        update = self.tcn(update, mask, pooled)
        if isinstance(self.residual, TemporalConv):
            update = update + self.residual(hidden, pooled)
        elif self.residual is not None:
            update = update + hidden
        return functional.relu(update), pooled, motion


class Prototypes(nn.Module):
    """Each edge as a mixture of learned prototypes (prototype reconstruction network): [B, C, V, V] -> [B, V * V]."""

    def __init__(self, channels: int, prototypes: int, dropout: float):
        super().__init__()
        self.query = nn.Linear(channels, prototypes, bias=False)
        self.memory = nn.Linear(prototypes, channels, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.post = nn.Conv2d(channels, channels, 1)
        self.bn = MaskedBatchNorm(channels)

    def forward(self, topology: Tensor, mask: Tensor) -> Tensor:
        """mask [B, 1, V, V]: 0 where the edge is nobody's."""
        shares = self.query(rearrange(topology, "b c v w -> b v w c")).softmax(-1)
        read = rearrange(self.dropout(self.memory(shares)), "b v w c -> b c v w")
        return functional.relu(self.bn(self.post(read), mask)).mean(1).flatten(1)


class ProtoGCN(Encoder):
    """`depth` blocks; each halving of time doubles the width, up to `width` (published: width 384, depth 10, stride 4).

    graphs: how many learned graphs share a block's channels. prototypes: 0, or the size of the memory; then each
    forward sets `reconstruction` [B, V * V] (otherwise None), and training must have a contrastive loss on it.
    """

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 384,
        depth: int = 10,
        stride: int = 4,
        streams: tuple[str, ...] = ("joint",),
        coordinates: int = 2,
        graphs: int = 8,
        prototypes: int = 0,
        dropout: float = 0.0,
        halved: list[int] | None = None,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        sizes = stages(width, depth, stride, halved)
        narrow = sizes[0][1]
        if graphs < 1 or narrow < max(graphs, BRANCHES):
            raise SkeletonError(
                f"expected graphs from 1 up to width / stride, and that to be at least {BRANCHES}, "
                f"found graphs {graphs}, width {width} and stride {stride}; change one of them"
            )
        if prototypes < 0:
            raise SkeletonError(f"expected 0 prototypes (no reconstruction) or more, found {prototypes}; take 0 or 400")
        sizes[0] = (self.channels, *sizes[0][1:])
        # All blocks begin with the same graphs, as published.
        stack = 0.04 + 0.02 * torch.randn(graphs, self.num_joints, self.num_joints)
        self.data_bn = InputNorm(self.num_joints, self.channels)
        self.gcn = nn.ModuleList(Block(*size, stack, residual=place > 0) for place, size in enumerate(sizes))
        self.prototypes = Prototypes(graphs * (width // graphs), prototypes, dropout) if prototypes else None
        self.reconstruction: Tensor | None = None
        self._motion: tuple[Tensor, Tensor | None] | None = None

    def __getstate__(self) -> dict:
        """Without the last step's tensors: those of a running graph cannot be copied."""
        return {**self.__dict__, "reconstruction": None, "_motion": None}

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        mask = None if visible is None else visible[:, None].to(inputs.dtype)
        hidden = self.data_bn(inputs, mask)
        for block in self.gcn:
            hidden, mask, motion = block(hidden, mask)
        if self.prototypes is not None:
            self._motion = motion.flatten(1, 2), None if mask is None else mask.amax((1, 2))
        return rearrange(hidden, "p d t v -> p t v d")

    def forward(self, batch: SkeletonBatch) -> JointFeatures:
        """As every encoder; with prototypes also sets `reconstruction`, 0 for pairs of joints that no person shows."""
        output = super().forward(batch)
        if self.prototypes is not None:
            self.reconstruction, self._motion = self._reconstruct(output.persons, *self._motion), None
        return output

    def _reconstruct(self, persons: Tensor, motion: Tensor, seen: Tensor | None) -> Tensor:
        """persons [B, M] bool, motion [P, C, V, V] and seen joints [P, V] of those that are there -> [B, V * V]."""
        seen = motion.new_ones(len(motion), motion.shape[-1]) if seen is None else seen.to(motion.dtype)
        pairs = (seen[:, :, None] * seen[:, None])[:, None]
        sample, size = persons.nonzero()[:, 0], len(persons)
        total = motion.new_zeros(size, *motion.shape[1:]).index_add(0, sample, motion * pairs)
        count = pairs.new_zeros(size, *pairs.shape[1:]).index_add(0, sample, pairs)
        return self.prototypes(total / count.clamp(min=1), (count > 0).to(motion.dtype))


ENCODER = ProtoGCN
