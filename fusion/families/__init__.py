"""What differs between families of Hugging Face video models, one small file each; `family_of` finds a model's own."""

from typing import Any

from fusion.families.base import Family, inner_model, vision_tower
from fusion.families.grid import GridFamily

__all__ = ["Family", "GridFamily", "family_of", "inner_model", "vision_tower"]

FAMILIES = (GridFamily, Family)  # the first that fits; every model fits the last


def family_of(model: Any) -> Family:
    """The family of a model, by what it has and not by its name; a model without weights (meta device) will do."""
    return next(family for family in FAMILIES if family.fits(model))(model)
