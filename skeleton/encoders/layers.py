"""What the published networks share. Tensors are [P, C, T, V] with a mask [P, 1, T, V] that is 1 where a joint is visible.

With mask None (everything is visible) each layer is the published one, bit for bit. Otherwise joints that are not
visible send nothing: batch norm leaves them out of its statistics and sets them to zero, and a zero adds nothing to a
graph or a temporal convolution.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from skeleton.errors import SkeletonError


class MaskedBatchNorm(_BatchNorm):
    """Batch norm over dimension 1 of [P, C, ...] whose statistics are those of the visible entries; others become zero."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: 0 or 1, broadcast against the input; None is one everywhere."""
        if mask is None:
            return super().forward(input)
        shape = [1, -1] + [1] * (input.dim() - 2)
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = self._measure(input * mask, mask, shape)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return torch.addcmul(shift.view(shape), input, scale.view(shape)) * mask

    def _measure(self, input: Tensor, mask: Tensor, shape: list[int]) -> tuple[Tensor, Tensor]:
        """Mean and variance [C] of the batch; the running ones go on, unless nothing is visible."""
        others = [0, *range(2, input.dim())]
        count = mask.sum(others)
        some = count.clamp(min=1)
        mean = input.sum(others) / some
        variance = ((input - mean.view(shape)) * mask).square().sum(others) / some
        with torch.no_grad():
            share = (self.momentum * (count > 0)).to(mean)
            self.running_mean.lerp_(mean, share.expand_as(mean))
            self.running_var.lerp_(variance * some / (some - 1).clamp(min=1), share.expand_as(mean))
            self.num_batches_tracked += 1
        return mean, variance


class InputNorm(MaskedBatchNorm):
    """Batch norm of each channel of each joint, before a network's first block: [P, T, V, C] -> [P, C, T, V]."""

    def __init__(self, joints: int, channels: int):
        super().__init__(joints * channels)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask [P, 1, T, V] or None."""
        channels = input.shape[-1]
        if mask is not None:
            mask = rearrange(mask, "p 1 t v -> p v t").repeat_interleave(channels, dim=1)
        normed = super().forward(rearrange(input, "p t v c -> p (v c) t"), mask)
        return rearrange(normed, "p (v c) t -> p c t v", c=channels)


class TemporalConv(nn.Module):
    """Convolution along time and batch norm: [P, C, T, V] -> [P, C', T / stride, V]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        padding = (kernel + (kernel - 1) * (dilation - 1) - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
        self.bn = MaskedBatchNorm(outputs)

    def forward(self, input: Tensor, mask: Tensor | None) -> Tensor:
        """mask: of the output."""
        return self.bn(self.conv(input), mask)


def pool_mask(mask: Tensor | None, stride: int) -> Tensor | None:
    """[P, 1, T, V] -> [P, 1, T / stride, V]: visible where any row of the bin is."""
    return mask if mask is None or stride == 1 else functional.max_pool2d(mask, (stride, 1))


def stages(width: int, depth: int, stride: int, halved: list[int] | None = None) -> list[tuple[int, int, int]]:
    """(input width, output width, stride in time) of each of `depth` blocks; the last block has `width`.

    Where a block halves time, it doubles the width, as in ST-GCN (Yan et al. 2018) and what follows it. halved: places of
    these blocks among 0 .. depth - 1; None spreads them evenly (with stride 4, blocks 4 and 7 of 10, as published).
    Raises SkeletonError.
    """
    times = int(math.log2(max(stride, 1)))
    if halved is None:
        halved = [-(-(i + 1) * depth // (times + 1)) for i in range(times)]
    if stride != 1 << times or len(set(halved)) != times or not all(0 < place < depth for place in halved):
        raise SkeletonError(
            f"expected a stride that is a power of two, with a block behind the first for each halving, found stride {stride}, "
            f"depth {depth} and halvings at {halved}"
        )
    if width % stride:
        raise SkeletonError(f"expected a width that the stride divides, found {width} and {stride}")
    blocks, current = [], width // stride
    for place in range(depth):
        wider = current * 2 if place in halved else current
        blocks.append((current, wider, wider // current))
        current = wider
    return blocks


def early_stages(width: int, depth: int, stride: int, unit: int) -> list[tuple[int, int, int]]:
    """As `stages`, but time is halved as early as the depth allows, the first time before the first block.

    Up to the last halving blocks are half as wide, whatever the stride. width must be a multiple of `unit`.
    """
    halvings = max(stride, 1).bit_length() - 1
    if stride != 1 << halvings or halvings > depth + 1 or depth < 1:
        raise SkeletonError(f"stride must be a power of two up to 2 ** (depth + 1), found {stride}, depth {depth}")
    if width % unit or width < unit:
        raise SkeletonError(f"width must be a multiple of {unit}, found {width}")
    later = max(halvings - 1, 0)
    halved = [place * depth // later for place in range(later)]
    widths = [width // 2 if place <= max(halved, default=0) else width for place in range(depth)] + [width]
    return [(widths[place], widths[place + 1], 2 if place in halved else 1) for place in range(depth)]
