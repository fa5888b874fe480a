"""The ways of a body into the language model, one file each; `build_mode` picks one by name.

A new mode is a file of its name, which calls its class MODE, and a line of the table below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the table is read before torch is needed
    from fusion.modes.base import FusionMode, FusionOptions


@dataclass(frozen=True)
class Entry:
    """gives: what the language model gets of the body; encodes: whether an encoder makes joint tokens of it."""

    gives: str
    encodes: bool = False


MODES = {
    "none": Entry("nothing; it is the base model"),
    "text": Entry("angles, positions and speeds of each limb in numbers, before the question"),
    "overlay": Entry("the skeleton drawn on the frames that the vision tower sees"),
    "tokens": Entry("joint tokens of a graph encoder beside the visual tokens", encodes=True),
}


def mode_class(name: str) -> type[FusionMode]:
    """The class of the mode called `name` (a key of MODES)."""
    return import_module(f"fusion.modes.{name}").MODE


def build_mode(name: str, options: FusionOptions, encode: Callable[[str], list[int]]) -> FusionMode:
    """The mode called `name`. encode: token ids of a text, without special tokens."""
    return mode_class(name)(options, encode)
