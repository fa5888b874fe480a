"""Our own spatial-temporal graph network, after ST-GCN (Yan et al. 2018) and ST-GCN++ (PYSKL, Duan et al. 2022).

From ST-GCN: graph convolution over K partitions of the skeleton, then convolution along time, block after
block. From ST-GCN++: the adjacency is learned (here the skeleton's adjacency plus a learned offset that
starts at zero), both steps have residuals, and time is read by parallel branches of different dilation.
What differs, and why:

- Layer norm before each step instead of batch norm after it: it looks at one joint only, so padding, other
  persons and the rest of the batch cannot change a result, in training as little as in evaluation, and
  there are no running statistics to drift between rendered and real people.
- A mask: joints that are invisible send nothing, and are set to zero again after every step.
- The batch norm over V * C input channels told joints apart; a learned embedding of each joint does so
  here.
- Time is halved early (first in the stem, which reads pairs of rows) and the first blocks are half as wide.
  Full width at full rate costs ten times as much and a clip's features are binned in time anyway.
- No max-pooling branch (zeros of masked joints would win), fewer blocks, and persons are kept apart: no
  pooling at all.

Tensors run as [V, T, P, D]: projections are one matmul, and mixing joints is one matmul of [V, K * V] with
everything else. `graph="pyg"` computes the mixing by torch_geometric message passing with the same
weights, on the complete graph that a learned adjacency is; the test holds both equal.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import MessagePassing

from skeleton.encoders.base import Encoder, pool_any
from skeleton.encoders.layers import early_stages
from skeleton.errors import SkeletonError
from skeleton.inputs.adjacency import adjacency, edges

DILATIONS = (1, 2, 4)


class MixJoints(MessagePassing):
    """Sum over partitions and joints by message passing: the sparse form of one matmul."""

    def __init__(self) -> None:
        super().__init__(aggr="add", node_dim=0)

    def forward(self, inputs: Tensor, stack: Tensor) -> Tensor:
        """Inputs [K, V, ...] and adjacency stack [K, V, V] -> [V, ...]."""
        graph = edges(torch.ones_like(stack))
        weights = stack[graph.edge_type, graph.edge_index[1], graph.edge_index[0]]
        # One node for each (partition, joint) sends; one for each joint receives.
        senders = graph.edge_type * stack.shape[-1] + graph.edge_index[0]
        size = (stack.shape[0] * stack.shape[-1], stack.shape[-1])
        nodes = inputs.flatten(0, 1).flatten(1)
        mixed = self.propagate(torch.stack((senders, graph.edge_index[1])), x=(nodes, None), weights=weights, size=size)
        return mixed.unflatten(1, inputs.shape[2:])

    def message(self, x_j: Tensor, weights: Tensor) -> Tensor:
        """x_j [E, ...] times weights [E]."""
        return weights[:, None] * x_j


class GraphConv(nn.Module):
    """Each joint gathers from all others, once for each partition, through a projection of its own."""

    def __init__(self, width: int, stack: Tensor, graph: str) -> None:
        super().__init__()
        self.register_buffer("adjacency", stack, persistent=False)
        self.offset = nn.Parameter(torch.zeros_like(stack))
        self.weight = nn.Parameter(torch.randn(len(stack), width, width) * (width * len(stack)) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(width))
        self.mix = MixJoints() if graph == "pyg" else None

    def forward(self, inputs: Tensor) -> Tensor:
        """[V, T, P, D] -> [V, T, P, D]."""
        stack = self.adjacency + self.offset
        # [K, V * T * P, D], by bmm on an expanded view: matmul would copy its way to one wide product
        projected = torch.bmm(inputs.flatten(0, 2).expand(len(stack), -1, -1), self.weight)
        if self.mix is not None:
            mixed = self.mix(projected.view(*stack.shape[:2], -1), stack)
        else:
            joints = rearrange(stack, "k target source -> target (k source)")
            mixed = joints @ projected.view(joints.shape[1], -1)
        return mixed.view_as(inputs) + self.bias


class TemporalConv(nn.Module):
    """Parallel branches of kernel 3, each with its dilation, and one of kernel 1, between two projections."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.channels = stride, inputs // (len(DILATIONS) + 1)
        self.reduce = nn.Linear(inputs, inputs, bias=False)
        kernels = torch.randn(len(DILATIONS), 3 * self.channels, self.channels)
        self.kernels = nn.Parameter(kernels * (3 * self.channels / 2) ** -0.5)
        self.expand = nn.Linear(inputs, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """[V, T, P, D] -> [V, T / stride, P, D']; rows before the first and after the last count as zeros."""
        length, reach = inputs.shape[1], max(DILATIONS)
        *dilated, point = functional.relu(self.reduce(inputs)).split(self.channels, dim=-1)
        outputs = [point[:, :: self.stride]]
        for branch, dilation, kernel in zip(dilated, DILATIONS, self.kernels, strict=True):
            padded = functional.pad(branch, (0, 0, 0, 0, reach, reach))
            begins = (reach - dilation, reach, reach + dilation)
            taps = [padded[:, begin : begin + length : self.stride] for begin in begins]
            outputs.append(torch.cat(taps, dim=-1) @ kernel)
        return self.expand(functional.relu(torch.cat(outputs, dim=-1)))


class Block(nn.Module):
    """Graph step and time step, each normalised before and added to what was there.

    The norms and `reduce` have no bias: a masked joint is zero before and after them, so one mask a step is
    enough to keep it from being read.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, graph: nn.Module) -> None:
        super().__init__()
        self.stride, self.graph, self.time = stride, graph, TemporalConv(inputs, outputs, stride)
        self.widen = nn.Linear(inputs, outputs, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, hidden: Tensor, mask: Tensor, pooled: Tensor, *context: Any) -> Tensor:
        """[V, T, P, D] with mask [V, T, P, 1] -> [V, T / stride, P, D'] with mask `pooled`; context is the graph step's."""
        hidden = hidden + self.graph(normalise(hidden), *context) * mask
        update = self.time(normalise(hidden))
        if self.stride > 1:
            pair = "v (t pair) p d -> v t pair p d"
            counts = rearrange(mask, pair, pair=self.stride).sum(2).clamp(min=1)
            hidden = rearrange(hidden, pair, pair=self.stride).sum(2) / counts
        return (self.widen(hidden) + update) * pooled


def normalise(hidden: Tensor) -> Tensor:
    """Layer norm without scale and bias (the projection after it has both): zero stays zero."""
    return functional.layer_norm(hidden, hidden.shape[-1:])


class PreNorm(Encoder):
    """`depth` blocks of graph and time convolution; up to the last halving of time they have width / 2."""

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 64,
        depth: int = 5,
        stride: int = 8,
        streams: tuple[str, ...] = ("joint", "motion", "position"),
        graph: str = "dense",
        mode: str = "spatial",
        coordinates: int = 2,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        sizes = early_stages(width, depth, stride, unit=2 * (len(DILATIONS) + 1))
        if graph not in ("dense", "pyg"):
            raise SkeletonError(f"graph must be dense or pyg, found {graph!r}")
        stack = adjacency(layout, mode)
        self.patch, narrow = min(stride, 2), width // 2
        self.stem = nn.Linear(self.patch * self.channels, narrow)
        self.joints = nn.Parameter(torch.randn(stack.shape[-1], 1, 1, narrow) * 0.1)
        self.blocks = nn.ModuleList(Block(*size, GraphConv(size[0], stack, graph)) for size in sizes)

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        if visible is None:
            visible = torch.ones(inputs.shape[:-1], dtype=torch.bool, device=inputs.device)
        hidden = self.stem(rearrange(inputs, "p (t pair) v c -> v t p (pair c)", pair=self.patch)) + self.joints
        seen = pool_any(rearrange(visible, "p t v -> v t p"), self.patch, dim=1)
        mask = seen[..., None].to(hidden.dtype)
        hidden = hidden * mask
        for block in self.blocks:
            seen = pool_any(seen, block.stride, dim=1)
            pooled = seen[..., None].to(hidden.dtype)
            hidden, mask = block(hidden, mask, pooled), pooled
        return rearrange(normalise(hidden), "v t p d -> p t v d")


ENCODER = PreNorm
