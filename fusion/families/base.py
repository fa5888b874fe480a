"""The contact surface with a video model, for families with one-dimensional positions and no grid of visual tokens.

Models are typed Any: what is asked of them is in no common class of transformers.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from fusion.errors import FusionError


def inner_model(model: Any) -> Any:
    """The model without its language head (`model.model` in every current family)."""
    return model.model


def vision_tower(model: Any) -> Any:
    """The part that sees. Raises FusionError for a family that names it otherwise."""
    inner = inner_model(model)
    for name in ("visual", "vision_tower", "vision_model"):
        if hasattr(inner, name):
            return getattr(inner, name)
    raise FusionError(f"{type(model).__name__} has no vision tower named visual, vision_tower or vision_model")


class Family:
    """dims: axes of position ids; inputs: names of what the model takes; clocks: those of the processor's outputs that
    decide positions."""

    dims = 1
    clocks: tuple[str, ...] = ()

    def __init__(self, model: Any):
        self.inner = inner_model(model)
        self.inputs = frozenset(inspect.signature(model.forward).parameters)

    @classmethod
    def fits(cls, model: Any) -> bool:
        """Whether `model` is of this family."""
        return True

    def positions(self, ids: Tensor, media: dict[str, Tensor]) -> Tensor:
        """Position ids of a prompt by the model's own rule: ids [L] with at most one video -> [dims, L + 1]; the last one is
        the next free position."""
        return torch.arange(len(ids) + 1)[None]

    def patch_positions(self, ids: Tensor, positions: Tensor, media: dict[str, Tensor]) -> Tensor | None:
        """Position ids [dims, T, H, W] of the video's patches, None where they have no grid."""
        return None

    def video_features(self, model: Any, media: dict[str, Tensor]) -> tuple[Any, list[Tensor]]:
        """The vision tower's output, and for each video its volume [T, H, W, width] of visual tokens. Raises FusionError."""
        raise FusionError(
            f"fusion.anchor needs a family with video_grid_thw; {type(model).__name__} has none: set fusion.anchor=false"
        )

    @contextmanager
    def reuse(self, model: Any, output: Any) -> Iterator[None]:
        """Within the block the model takes `output` for its video features and does not run the vision tower again."""
        raise FusionError(f"{type(model).__name__} has no video features to use again")
        yield
