"""Which direction a movement has by the places named with it; docs/claims.md says which of two wins."""

from __future__ import annotations

from skeleton.events.vocabulary import vocabulary

_ANY_WAY = ("forward", "back", "left", "right")
_LEGAL = {  # the guide's directions, which are more than the vocabulary's
    "turn": ("left", "right", "up", "down"), "tilt": ("left", "right", "forward", "back", "up", "down"),
    "lean": _ANY_WAY, "pivot": ("left", "right"), "step": _ANY_WAY, "walk": _ANY_WAY, "run": _ANY_WAY, "jump": _ANY_WAY,
}  # fmt: skip
_NO_RETURN = ("step", "jump", "lean")  # "steps back" is backwards; to walk or run back is to return


def direction_of(movement: str, limb: str, tags: frozenset[str]) -> str | None:
    """The direction of a movement of `limb`; None where none is told or none is meant."""
    if movement == "raise":
        return _of_arm(limb, tags) if vocabulary().limbs.get(limb, limb) == "arm" else None
    legal = _LEGAL.get(movement, ())
    if "side_side" in tags or "back_forth" in tags:
        return None
    back = "backwards" in tags or ("back" in tags and movement in _NO_RETURN and not tags & {"down", "up", "elided"})
    told = {
        "forward": bool(tags & {"forward", "front"}) and not (back and movement in ("walk", "step")),
        "back": back, **{way: way in tags for way in ("left", "right", "up", "down")},
    }  # fmt: skip
    way = next((way for way, said in told.items() if said and way in legal), None)
    if way is None and movement == "pivot":
        return "right" if "clockwise" in tags else "left" if "counterclockwise" in tags else None
    return way


def has_sides(movement: str) -> bool:
    """Whether left and right are directions of this movement."""
    return "left" in _LEGAL.get(movement, ())


def _of_arm(limb: str, tags: frozenset[str]) -> str | None:
    """A place wins over a bare "up"; "to the side" is the own side of one arm."""
    if tags & {"front", "forward"}:
        return "forward"
    if tags & {"overhead", "air"}:
        return "up"
    for side in ("left", "right"):
        if side in tags:
            return side
    if "side" in tags:
        return limb.split()[0] if limb.startswith(("left ", "right ")) else None
    return "up" if tags & {"up", "high"} else None
