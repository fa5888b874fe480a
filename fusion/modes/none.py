"""The base model, bit for bit: the body does not enter it."""

from fusion.modes.base import FusionMode

MODE = FusionMode
