"""A convolution network over time without a graph: the row that every graph has to beat.

All joints of a row are one vector; blocks of convolution along time with residuals do the rest. It has one feature for a
person and a time bin, which all visible joints of the bin share.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder
from skeleton.encoders.layers import InputNorm, TemporalConv, pool_mask, stages


class CNN1D(Encoder):
    """`depth` blocks of two convolutions over `kernel` rows; each halving of time doubles the width, up to `width`."""

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 512,
        depth: int = 6,
        stride: int = 4,
        streams: tuple[str, ...] = ("joint",),
        coordinates: int = 2,
        kernel: int = 5,
        halved: list[int] | None = None,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        sizes = stages(width, depth, stride, halved)
        self.norm = InputNorm(self.num_joints, self.channels)
        self.stem = TemporalConv(self.num_joints * self.channels, sizes[0][0], kernel)
        self.first = nn.ModuleList(TemporalConv(i, o, kernel, stride) for i, o, stride in sizes)
        self.second = nn.ModuleList(TemporalConv(o, o, kernel) for _, o, _ in sizes)
        self.skip = nn.ModuleList(nn.Identity() if i == o else TemporalConv(i, o, 1, stride) for i, o, stride in sizes)

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        seen = None if visible is None else visible[:, None].to(inputs.dtype)
        rows = None if seen is None else seen.amax(3, keepdim=True)
        hidden = rearrange(self.norm(inputs, seen), "p c t v -> p (v c) t 1")
        hidden = functional.relu(self.stem(hidden, rows))
        for first, second, skip in zip(self.first, self.second, self.skip, strict=True):
            stride = first.conv.stride[0]
            seen, rows = pool_mask(seen, stride), pool_mask(rows, stride)
            same = hidden if isinstance(skip, nn.Identity) else skip(hidden, rows)
            hidden = functional.relu(second(functional.relu(first(hidden, rows)), rows) + same)
        shape = (len(hidden), hidden.shape[1], hidden.shape[2], self.num_joints)
        shared = hidden.expand(shape) if seen is None else hidden * seen
        return torch.movedim(shared, 1, 3)


ENCODER = CNN1D
