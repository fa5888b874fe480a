"""Products of rows with a weight on a CPU through oneDNN: on AMD CPUs with AVX-512 twice as fast as MKL, which torch takes."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

AVAILABLE = torch.backends.mkldnn.is_available()  # asked here, as torch.compile would stop at the question
WIDE = torch.backends.cpu.get_cpu_capability() == "AVX512"


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[..., C], weight [C', C] and bias [C'] -> [..., C']: torch.nn.functional.linear, which is taken where oneDNN has no part in it."""
    single = input.dtype == weight.dtype == torch.float32 and input.device.type == weight.device.type == "cpu"
    if not single or not input.numel() or torch.is_autocast_enabled("cpu") or not AVAILABLE:
        return functional.linear(input, weight, bias)
    return product(input, weight, bias)


@torch.library.custom_op("limbs::product", mutates_args=())
def product(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """rows [..., C], weight [C', C] and bias [C'] -> [..., C']; in any order in memory. An operator of its own, since torch.compile
    takes oneDNN's only with weights that it has packed itself."""
    output = torch.ops.mkldnn._linear_pointwise(rows.flatten(0, -2), weight, bias, "none", [], "")
    return torch.ops.aten._unsafe_view(output, [*rows.shape[:-1], weight.shape[0]])  # no view, so that steps in place are free


@product.register_fake
def _shape(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return rows.new_empty(*rows.shape[:-1], weight.shape[0])


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _gradients(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
    rows, weight = ctx.saved_tensors
    of_rows, of_weight, of_bias = ctx.needs_input_grad
    flat, rows = given.flatten(0, -2), rows.flatten(0, -2)
    return (
        product(given, weight.T, None) if of_rows else None,
        turned(flat, rows) if of_weight else None,
        flat.sum(0) if of_bias else None,
    )


def turned(left: Tensor, right: Tensor) -> Tensor:
    """[R, C'] and [R, C] -> [C', C], summed over rows. oneDNN copies both in another order first: where its product is no faster
    than MKL's, which is so without AVX-512, that takes a third longer."""
    return product(left.T, right.T, None) if WIDE else left.T @ right


product.register_autograd(_gradients, setup_context=_keep)
