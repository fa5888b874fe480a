"""What the published networks share. Tensors are [P, C, T, V] with a mask [P, 1, T, V] that is 1 where a joint is visible.

With mask None (everything is visible) each layer is the published one, bit for bit. Otherwise joints that are not
visible send nothing: batch norm leaves them out of its statistics and sets them to zero, and a zero adds nothing to a
graph or a temporal convolution.
"""

import math
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from skeleton.errors import SkeletonError


class MaskedBatchNorm(_BatchNorm):
    """Batch norm over dimension 1 of [P, C, ...] whose statistics are those of the visible entries; others become zero."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, input: Tensor, mask: Tensor | None = None, constant: Tensor | None = None) -> Tensor:
        """mask: 0 or 1, broadcast against the input; None is one everywhere. constant [C]: what the layer before adds to its
        outputs and has left out of the input. Training takes it off again with the mean, so only the running mean sees it, and
        its gradient is 0."""
        if constant is not None and not self.training:
            return self(input + constant, mask)
        if mask is None and not self.training:
            return super().forward(input)
        bias = self.bias if constant is None else self.bias + 0 * constant
        if mask is None:
            # Copies, as autograd keeps what it is given, and another pass may come before the backward one.
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            output = functional.batch_norm(input, mean, variance, self.weight, bias, True, self.momentum, self.eps)
            self.running_mean.copy_(mean if constant is None else mean + self.momentum * constant.detach())
            self.running_var.copy_(variance)
            self.num_batches_tracked += 1
            return output
        if not self.training:
            shape = [1, -1] + [1] * (input.dim() - 2)
            scale = self.weight * (self.running_var + self.eps).rsqrt()
            return torch.addcmul((bias - self.running_mean * scale).view(shape), input, scale.view(shape)) * mask
        output, mean, variance, count = Normalise.apply(input, mask, self.weight, bias, self.eps)
        with torch.no_grad():  # the running statistics go on, unless nothing is visible
            share = (self.momentum * (count > 0)).to(mean).expand_as(mean)
            self.running_mean.lerp_(mean if constant is None else mean + constant, share)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), share)
            self.num_batches_tracked += 1
        return output


class Normalise(Function):
    """Batch norm in training over the visible entries, with a backward pass of few steps over memory.

    input [P, C, ...], mask of 0 and 1 that broadcasts against it, weight and bias [C] -> the output, 0 where not visible; and
    without gradient mean and (biased) variance [C] and the count of visible entries of a channel. Under mixed precision
    the mask's float32 makes everything float32.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        shape, others = [1, -1] + [1] * (input.dim() - 2), [0, *range(2, input.dim())]
        count = mask.sum(others)
        some = count.clamp(min=1)
        seen = input * mask
        mean = seen.sum(others) / some
        normed = seen.sub_(mean.view(shape)).mul_(mask)
        variance = torch.linalg.vector_norm(normed, dim=others).square() / some
        scale = (variance + eps).rsqrt()
        normed.mul_(scale.view(shape))
        ctx.save_for_backward(normed, mask, weight, scale, some)
        ctx.mark_non_differentiable(mean, variance, count)
        return torch.addcmul(bias.view(shape) * mask, normed, weight.view(shape)), mean, variance, count

    @staticmethod
    def backward(ctx: Any, given: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        normed, mask, weight, scale, some = ctx.saved_tensors
        shape, others = [1, -1] + [1] * (given.dim() - 2), [0, *range(2, given.dim())]
        given = given * mask
        of_bias, of_weight = given.sum(others), (given * normed).sum(others)
        each = given.addcmul(normed, -(of_weight / some).view(shape)).sub_((of_bias / some).view(shape)).mul_(mask)
        return each.mul_((weight * scale).view(shape)), None, of_weight, of_bias, None


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
