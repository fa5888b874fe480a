"""What a skeleton encoder can learn without labels; each objective is a module whose forward gives a loss.

All are called alike: `objective(encoder, batch, clean, random)`, where `clean()` gives the encoder's features of the whole
batch (computed once, however many objectives ask) and `random` is a torch.Generator on the CPU. Their own weights (heads,
decoders) are thrown away afterwards. `build_objective` picks one by name.
"""

from collections.abc import Callable

from torch import nn

from skeleton.encoders.base import Encoder
from skeleton.errors import SkeletonError
from skeleton.pretraining.alignment import Alignment
from skeleton.pretraining.contrast import Contrast
from skeleton.pretraining.masked import Masked
from skeleton.pretraining.velocity import Velocity

OBJECTIVES: dict[str, Callable[..., nn.Module]] = {
    "masked_joints": lambda encoder, **options: Masked(encoder, "joint", **options),
    "masked_motion": lambda encoder, **options: Masked(encoder, "motion", **options),
    "velocity": Velocity,
    "contrast": Contrast,
    "alignment": Alignment,
}


def build_objective(name: str, encoder: Encoder, **options) -> nn.Module:
    """The objective called `name` for an encoder; SkeletonError lists the names."""
    if name not in OBJECTIVES:
        raise SkeletonError(f"unknown objective {name!r}; choose one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](encoder, **options)
