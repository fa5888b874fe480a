"""Speed of our ST-GCN++ against mmaction2's, with the same weights on the same skeletons, and its growth with length.

Both are timed in turns in one process, round after round, and the ratio is the median of the rounds' ratios: what the
machine does beside is shared. "train" is forward and backward of a squared error. Memory is what autograd keeps for the
backward pass, in bytes of distinct storage: a count, not a measurement.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from hybrid.config.loading import field
from hybrid.errors import ConfigError
from skeleton.encoders import build_encoder
from skeleton.encoders.layers import stages
from skeleton.encoders.mmaction import graph_of
from skeleton.encoders.stgcnpp import published
from skeleton.openmmlab import prepare


@dataclass
class EncoderBench:
    """What `tools/bench.py encoder` measures."""

    output: str = field("file for the figures")
    clips: int = field("clips of a batch", 8)
    persons: int = field("persons of a clip", 2)
    frames: int = field("rows of a clip", 64)
    width: int = field("channels of the first blocks", 64)
    depth: int = field("blocks", 10)
    rounds: int = field("timings of each, in turns", 15)
    threads: int = field("cores", 2)
    compiled: bool = field("time both under torch.compile as well", True)
    lengths: list[int] = field("rows for the growth with time", [64, 128, 256, 512])
    crowds: list[int] = field("persons of a clip for the growth with persons", [1, 2, 4, 8])

    def check(self) -> None:
        """Sizes that cannot be."""
        if min(self.clips, self.persons, self.frames, self.rounds, self.threads, *self.lengths, *self.crowds) < 1:
            raise ConfigError(
                "clips, persons, frames, rounds, threads, lengths and crowds must be above 0; correct them"
            )


class Ours(nn.Module):
    """Our network with the signature of mmaction2's backbones: [N, M, T, V, C] -> [N, M, D, T', V]."""

    def __init__(self, width: int, depth: int):
        super().__init__()
        self.encoder = build_encoder("stgcnpp", width=4 * width, depth=depth, stride=4, streams=("joint",))

    def forward(self, inputs: Tensor) -> Tensor:
        """Everything is visible."""
        return self.encoder.encode(inputs.flatten(0, 1), None).movedim(3, 1).unflatten(0, inputs.shape[:2])


def mmaction_stgcnpp(layout: str, channels: int, **sizes: Any) -> nn.Module:
    """mmaction2's ST-GCN++ over a layout of ours."""
    prepare("mmaction")
    from mmaction.models import STGCN

    options = {"gcn_adaptive": "init", "gcn_with_res": True, "tcn_type": "mstcn"}
    return STGCN({"layout": graph_of(layout), "mode": "spatial"}, in_channels=channels, **options, **sizes)


def measure(config: EncoderBench) -> dict[str, Any]:
    """Ratios (their time over ours), the difference of outputs, memory and growth."""
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        return _measure(config)
    finally:
        torch.set_num_threads(threads)


def _measure(config: EncoderBench) -> dict[str, Any]:
    torch.manual_seed(0)
    halved = [place + 1 for place, (_, _, step) in enumerate(stages(4 * config.width, config.depth, 4)) if step > 1]
    sizes = {"base_channels": config.width, "num_stages": config.depth, "inflate_stages": halved, "down_stages": halved}
    theirs = mmaction_stgcnpp("coco17", 3, **sizes)
    ours = Ours(config.width, config.depth)
    ours.encoder.load_state_dict(published(theirs.state_dict(), prefix=""))
    inputs = torch.randn(config.clips, config.persons, config.frames, 17, 3)
    figures: dict[str, Any] = {"parameters": sum(parameter.numel() for parameter in ours.parameters())}
    for training in (False, True):
        theirs.train(training), ours.train(training)
        kind = "train" if training else "forward"
        with torch.set_grad_enabled(training):
            difference = (theirs(inputs) - ours(inputs)).abs().max().item()
        figures["max_abs_difference" if not training else "max_abs_difference_training"] = difference
        run = train if training else forward
        figures |= compared(kind, "", partial_of(run, theirs, inputs), partial_of(run, ours, inputs), config.rounds)
        if config.compiled:
            fast = [torch.compile(network) for network in (theirs, ours)]
            figures |= compared(
                kind, "_compiled", *[partial_of(run, network, inputs) for network in fast], config.rounds
            )
    figures["kept_mb"], figures["kept_mb_mmaction2"] = kept(ours, inputs) / 2**20, kept(theirs, inputs) / 2**20
    ours.eval()
    for name, sizes in (("frames", config.lengths), ("persons", config.crowds)):
        figures[f"seconds_by_{name}"] = seconds = growth(ours, config, name, sizes)
        figures[f"exponent_{name}"] = exponent(seconds)
    return figures


def partial_of(run: Callable, network: nn.Module, inputs: Tensor) -> Callable[[], None]:
    """`run` with its arguments."""
    return lambda: run(network, inputs)


def forward(network: nn.Module, inputs: Tensor) -> None:
    with torch.inference_mode():
        network(inputs)


def train(network: nn.Module, inputs: Tensor) -> None:
    network.zero_grad()
    network(inputs).square().mean().backward()


def compared(kind: str, suffix: str, theirs: Callable, ours: Callable, rounds: int) -> dict[str, float]:
    """Both in turns; the median ratio of rounds, and the median seconds of each."""
    for _ in range(3):
        theirs(), ours()
    pairs = [(timed(theirs), timed(ours)) for _ in tqdm(range(rounds), desc=kind + suffix)]
    return {
        f"{kind}_ratio{suffix}": median(one / other for one, other in pairs),
        f"{kind}_seconds{suffix}": median(other for _, other in pairs),
        f"{kind}_seconds{suffix}_mmaction2": median(one for one, _ in pairs),
    }


def timed(work: Callable[[], None]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def kept(network: nn.Module, inputs: Tensor) -> int:
    """Bytes that autograd keeps for the backward pass, parameters aside; each storage counts once."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    found: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        found.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    network.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = network(inputs)
    del output
    return sum(tensor.untyped_storage().nbytes() for place, tensor in found.items() if place not in own)


def growth(network: nn.Module, config: EncoderBench, name: str, sizes: list[int]) -> dict[int, float]:
    """Seconds of a forward pass by size, the least of several."""
    seconds = {}
    for size in sizes:
        shape = {"frames": config.frames, "persons": config.persons} | {name: size}
        inputs = torch.randn(config.clips, shape["persons"], shape["frames"], 17, 3)
        forward(network, inputs)
        seconds[size] = min(timed(partial_of(forward, network, inputs)) for _ in range(5))
    return seconds


def exponent(seconds: dict[int, float]) -> float:
    """p of seconds = c * size ** p, by least squares of logarithms; 1 is linear."""
    points = [(math.log(size), math.log(value)) for size, value in seconds.items()]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
