"""Products of rows with a weight on a CPU with AVX-512 through oneDNN: on AMD twice as fast as MKL, which torch takes."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Asked here, as torch.compile would stop at the question. Without AVX-512 both are as fast, and torch.compile knows torch's own.
PAYS = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX512"


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[..., C], weight [C', C] and bias [C'] -> [..., C']: torch.nn.functional.linear, which is taken where
    oneDNN's does not pay."""
    single = input.dtype == weight.dtype == torch.float32 and input.device.type == weight.device.type == "cpu"
    if not single or not input.numel() or torch.is_autocast_enabled("cpu") or not PAYS:
        return functional.linear(input, weight, bias)
    return product(input, weight, bias)


@torch.library.custom_op("limbs::product", mutates_args=())
def product(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """rows [..., C], weight [C', C] and bias [C'] -> [..., C']; in any order in memory. An operator of its own, since
    torch.compile takes oneDNN's only with weights that it has packed itself."""
    output = torch.ops.mkldnn._linear_pointwise(rows.flatten(0, -2), weight, bias, "none", [], "")
    return torch.ops.aten._unsafe_view(
        output, [*rows.shape[:-1], weight.shape[0]]
    )  # no view, so that steps in place are free


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
        product(flat.T, rows.T, None) if of_weight else None,
        flat.sum(0) if of_bias else None,
    )


product.register_autograd(_gradients, setup_context=_keep)
