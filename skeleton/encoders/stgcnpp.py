"""ST-GCN++ (PYSKL, Duan et al. 2022, arXiv 2205.09443), the published network computed in fewer and larger steps.

A block is graph convolution over learned adjacencies, then six branches in time (four dilated convolutions, a maximum
and the row itself), both with residuals. What differs from mmaction2 is how it is computed, not what: hidden states are
rows [T * P * V, C]; joints are mixed before they are projected, so that the projections of all partitions are one matrix
product, as are those before the branches; convolutions in time read the rows where they lie. In evaluation batch norms are folded
into the products before them; what is new is added to and cut off in place.
`published` turns the weights of PYSKL and mmaction2 into those of this network.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder, pool_any
from skeleton.encoders.layers import InputNorm, MaskedBatchNorm, stages
from skeleton.encoders.onednn_linear import linear
from skeleton.inputs.adjacency import adjacency

DILATIONS = (1, 2, 3, 4)
BRANCHES = len(DILATIONS) + 2  # and a maximum over three rows, and the row itself
PIECE = 1 << 21  # numbers of a hidden state that a CPU's caches hold: longer clips took 1.7 times as long for a row


class Projection(nn.Module):
    """Rows [R, C] -> [R, C'], with batch norm."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        linear = nn.Linear(inputs, outputs)
        self.weight, self.bias = linear.weight, linear.bias
        self.bn = MaskedBatchNorm(outputs)

    def forward(self, input: Tensor, mask: Tensor | None) -> Tensor:
        """mask [R, 1] or None."""
        if self.training or mask is not None:
            return self.bn(linear(input, self.weight), mask, self.bias)
        scale, shift = fold(self.bn)
        return linear(input, self.weight * scale[:, None], self.bias * scale + shift)


def fold(norm: MaskedBatchNorm) -> tuple[Tensor, Tensor]:
    """Scale and shift [C] of a batch norm in evaluation."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


class GraphConv(nn.Module):
    """[T, P, V, C] -> [T, P, V, C']: joints mixed by the adjacency of each partition, then projected; with a residual."""

    def __init__(self, inputs: int, outputs: int, stack: Tensor):
        super().__init__()
        self.A = nn.Parameter(stack.clone())  # [K, target, source]
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(len(stack), inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(len(stack), outputs).uniform_(-bound, bound))
        self.bn = MaskedBatchNorm(outputs)
        self.down = Projection(inputs, outputs) if inputs != outputs else None

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """mask [T, P, V, 1] or None."""
        rows, each = hidden.flatten(0, 2), None if mask is None else mask.flatten(0, 2)
        residual = rows if self.down is None else self.down(rows, each)
        weight, bias, folded = self.weight, self.bias, not self.training and mask is None
        if folded:
            scale, shift = fold(self.bn)
            weight, bias = weight * scale, bias * scale
        shape = (*hidden.shape[:3], bias.shape[1])
        people = hidden.flatten(0, 1)  # [T * P, V, C]
        joints = rearrange(self.A, "k target source -> (target k) source")
        mixed = torch.bmm(
            joints.expand(len(people), -1, -1), people
        )  # [T * P, V * K, C]: K times C channels of each joint
        projected = linear(mixed.view(*hidden.shape[:3], weight[..., 0].numel()), weight.flatten(0, 1).T)
        # What the bias of the projections comes to at each joint: it is a message of the visible joints alone.
        if mask is None:
            constant = torch.einsum("kvu,kc->vc", self.A, bias)
            projected = projected.add_(constant + shift if folded else constant).flatten(0, 2)
        else:
            projected = torch.addmm(
                projected.flatten(0, 2), torch.einsum("kvu,tpu->tpvk", self.A, mask[..., 0]).flatten(0, 2), bias
            )
        if not folded:
            projected = self.bn(projected, each)
        return functional.relu_(projected.add_(residual)).view(shape)


class TemporalConv(nn.Module):
    """[T, P, V, C] -> rows [T / stride * P * V, C]: six branches in time between two projections."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.stride, narrow = stride, channels // BRANCHES
        self.sizes = (channels - narrow * (BRANCHES - 1), *[narrow] * (BRANCHES - 1))
        self.reduce = Projection(channels, channels - narrow)
        self.point = nn.Linear(channels, narrow)
        convolutions = self.sizes[: len(DILATIONS)]
        bounds = [(3 * size) ** -0.5 for size in convolutions]
        self.kernels = nn.ParameterList(
            torch.empty(3 * size, size).uniform_(-bound, bound)
            for size, bound in zip(convolutions, bounds, strict=True)
        )
        self.bias = nn.Parameter(
            torch.cat([torch.empty(s).uniform_(-b, b) for s, b in zip(convolutions, bounds, strict=True)])
        )
        self.bn = MaskedBatchNorm(channels)
        self.expand = Projection(channels, channels)

    def forward(self, hidden: Tensor, mask: Tensor | None, pooled: Tensor | None) -> Tensor:
        """mask [T, P, V, 1] of the input and `pooled` of the output, or None; rows beyond the ends count as zeros."""
        reduced = self.reduce(hidden.flatten(0, 2), None if mask is None else mask.flatten(0, 2))
        active = functional.relu_(reduced).unflatten(0, hidden.shape[:3])
        *dilated, highest = image(active).split(self.sizes[:-1], dim=1)
        step = (self.stride, 1)
        outputs = [
            functional.conv2d(
                branch, rearrange(kernel, "(tap c) out -> out c tap 1", tap=3), None, step, (dilation, 0), (dilation, 1)
            )
            for branch, dilation, kernel in zip(dilated, DILATIONS, self.kernels, strict=True)
        ]
        outputs.append(
            functional.max_pool2d(highest, (3, 1), step, (1, 0))
        )  # of zeros beyond the ends too, after a relu
        outputs.append(functional.conv2d(image(hidden), self.point.weight[..., None, None], None, step))
        joined = torch.cat(outputs, dim=1).movedim(1, 3).flatten(0, 2)
        each = None if pooled is None else pooled.flatten(0, 2)
        bias = torch.cat((self.bias, self.bias.new_zeros(self.sizes[-1]), self.point.bias))
        normed = self.bn(joined, each, bias)
        return self.expand(functional.relu_(normed), each)


def image(rows: Tensor) -> Tensor:
    """[T, P, V, C] -> [1, C, T, P * V] for convolutions in time, with the channels last in memory as before."""
    # Not by einops: it gives the first dimension a stride by which torch does not see where the channels lie, and copies.
    return rows.flatten(1, 2)[None].movedim(3, 1)


class Block(nn.Module):
    """Graph convolution, convolution in time, and what was there before."""

    def __init__(self, inputs: int, outputs: int, stride: int, stack: Tensor, residual: bool):
        super().__init__()
        self.stride, self.same = stride, residual and inputs == outputs
        self.graph, self.time = GraphConv(inputs, outputs, stack), TemporalConv(outputs, stride)
        self.residual = Projection(inputs, outputs) if residual and not self.same else None

    def forward(self, hidden: Tensor, mask: Tensor | None, pooled: Tensor | None) -> Tensor:
        """[T, P, V, C] with mask [T, P, V, 1] -> [T / stride, P, V, C'] with mask `pooled`."""
        update = self.time(self.graph(hidden, mask), mask, pooled)
        hidden = hidden[:: self.stride]
        if self.same:
            update.add_(hidden.flatten(0, 2))
        elif self.residual is not None:
            update.add_(self.residual(hidden.flatten(0, 2), None if pooled is None else pooled.flatten(0, 2)))
        return functional.relu_(update).view(
            *hidden.shape[:3], update.shape[1]
        )  # last, as autograd copies what views have in place


class STGCNPP(Encoder):
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
        stack = adjacency(layout)
        self.norm = InputNorm(self.num_joints, self.channels)
        sizes = stages(width, depth, stride, halved)
        self.first = sizes[0][1]
        sizes[0] = (self.channels, *sizes[0][1:])
        self.blocks = nn.ModuleList(Block(*size, stack, residual=place > 0) for place, size in enumerate(sizes))

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]; on a CPU without gradient, a few persons at a time."""
        if not len(inputs):  # convolutions need something to read: a person of whom nothing is visible
            inputs = inputs.new_zeros(1, *inputs.shape[1:])
            return self.together(inputs, inputs.new_zeros(inputs.shape[:-1], dtype=torch.bool))[:0]
        pieces = -(-inputs[..., 0].numel() * self.first // PIECE)
        if self.training or torch.is_grad_enabled() or inputs.device.type != "cpu" or pieces < 2:
            return self.together(inputs, visible)
        persons = -(-len(inputs) // pieces)
        slices = [slice(begin, begin + persons) for begin in range(0, len(inputs), persons)]
        return torch.cat([self.together(inputs[some], None if visible is None else visible[some]) for some in slices])

    def together(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """`encode` for all persons at once."""
        mask = None if visible is None else visible[:, None].to(inputs.dtype)
        hidden = rearrange(self.norm(inputs, mask), "p c t v -> t p v c").contiguous()
        seen = None if visible is None else rearrange(visible, "p t v -> t p v 1")
        mask = None if seen is None else seen.to(inputs.dtype)
        for block in self.blocks:
            seen = seen if seen is None else pool_any(seen, block.stride, dim=0)
            pooled = seen if seen is None else seen.to(inputs.dtype)
            hidden, mask = block(hidden, mask, pooled), pooled
        return rearrange(hidden, "t p v d -> p t v d")


def published(state: dict[str, Tensor], prefix: str = "backbone.") -> dict[str, Tensor]:
    """The state dict of an `STGCNPP` from that of PYSKL's or mmaction2's ST-GCN++, whose keys begin with `prefix`."""
    given = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    made = {key.replace("data_bn.", "norm."): value for key, value in given.items() if key.startswith("data_bn.")}

    def norm(new: str, *old: str) -> None:
        """Batch norms, joined where several branches share one."""
        for part in ("weight", "bias", "running_mean", "running_var"):
            made[f"{new}.{part}"] = torch.cat([given[f"{name}.{part}"] for name in old])
        made[f"{new}.num_batches_tracked"] = given[f"{old[0]}.num_batches_tracked"]

    def projection(new: str, *old: str) -> None:
        """1 x 1 convolutions."""
        made[f"{new}.weight"] = torch.cat([given[f"{name}.weight"] for name in old])[:, :, 0, 0]
        made[f"{new}.bias"] = torch.cat([given[f"{name}.bias"] for name in old])

    place = 0
    while f"gcn.{place}.gcn.A" in given:
        old, new = f"gcn.{place}.", f"blocks.{place}."
        partitions = len(given[old + "gcn.A"])
        made[new + "graph.A"] = given[old + "gcn.A"].mT
        made[new + "graph.weight"] = rearrange(given[old + "gcn.conv.weight"], "(k out) c 1 1 -> k c out", k=partitions)
        made[new + "graph.bias"] = given[old + "gcn.conv.bias"].view(partitions, -1)
        norm(new + "graph.bn", old + "gcn.bn")
        for branch, (dense, bn) in {"residual": ("conv", "bn"), "gcn.down": ("0", "1")}.items():
            if f"{old}{branch}.{dense}.weight" in given:
                name = new + branch.replace("gcn", "graph")
                projection(name, f"{old}{branch}.{dense}")
                norm(name + ".bn", f"{old}{branch}.{bn}")
        branches = [f"{old}tcn.branches.{number}" for number in range(BRANCHES)]
        projection(new + "time.reduce", *[name + ".0" for name in branches[:-1]])
        projection(new + "time.point", branches[-1])
        norm(new + "time.reduce.bn", *[name + ".1" for name in branches[:-1]])
        for number, name in enumerate(branches[: len(DILATIONS)]):
            kernel = given[name + ".3.conv.weight"]
            made[f"{new}time.kernels.{number}"] = rearrange(kernel, "out c tap 1 -> (tap c) out")
        made[new + "time.bias"] = torch.cat([given[name + ".3.conv.bias"] for name in branches[: len(DILATIONS)]])
        norm(new + "time.bn", old + "tcn.transform.0")
        projection(new + "time.expand", old + "tcn.transform.2")
        norm(new + "time.expand.bn", old + "tcn.bn")
        place += 1
    return made


ENCODER = STGCNPP
