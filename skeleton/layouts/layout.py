"""Named joint layouts, their limbs and left/right pairs.

Every layout is one table in tables.py. The bones form a tree with its root at `center`, so that the
bone of a joint is unambiguous (child minus parent); the limbs are a partition of the joints over LIMBS,
with shoulders and hips in the torso, so that an arm's token speaks of what moves against the torso. Left
and right are the person's own.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from skeleton.errors import LayoutError
from skeleton.layouts.tables import TABLES

LIMBS = ("head", "torso", "left arm", "right arm", "left leg", "right leg")


@dataclass(frozen=True)
class Layout:
    """One order of V joints; bones are (parent, child), pairs (left, right), sigmas the OKS constants."""

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    limbs: Mapping[str, tuple[str, ...]] = field(hash=False)
    center: str
    sigmas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Raises LayoutError where the table contradicts itself."""
        known = Counter(self.joints)
        repeated = [joint for joint, count in known.items() if count > 1]
        if repeated:
            raise LayoutError(f"layout {self.name}: joints must be named once, found {repeated} twice; rename them")
        in_limbs = Counter(joint for joints in self.limbs.values() for joint in joints)
        if tuple(sorted(self.limbs)) != tuple(sorted(LIMBS)) or in_limbs != known:
            wrong = sorted((in_limbs - known) + (known - in_limbs)) or sorted(set(self.limbs) ^ set(LIMBS))
            raise LayoutError(f"layout {self.name}: limbs must hold every joint once, look at {wrong}")
        children = Counter(child for _, child in self.bones)
        reached = {self.center}
        for _ in self.bones:
            reached |= {child for parent, child in self.bones if parent in reached}
        if reached != set(known) or children != Counter(set(known) - {self.center}):
            lost = sorted(set(known) ^ reached) or sorted(joint for joint, count in children.items() if count > 1)
            raise LayoutError(f"layout {self.name}: bones must form a tree from {self.center}, look at {lost}")
        unknown = sorted({joint for pair in self.pairs for joint in pair} - set(known))
        if unknown:
            raise LayoutError(f"layout {self.name}: pairs name the unknown joints {unknown}; add them or drop the pair")
        if self.sigmas is not None and len(self.sigmas) != len(self.joints):
            raise LayoutError(f"layout {self.name}: {len(self.joints)} sigmas expected, found {len(self.sigmas)}")

    def index(self, joint: str) -> int:
        """Position of `joint` among the V joints; LayoutError if the layout lacks it."""
        if joint not in self.joints:
            raise LayoutError(f"layout {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}")
        return self.joints.index(joint)

    @cached_property
    def limb_index(self) -> np.ndarray:
        """[V] int64: position in LIMBS of the limb that each joint belongs to."""
        limb_of = {joint: LIMBS.index(limb) for limb, joints in self.limbs.items() for joint in joints}
        return _read_only([limb_of[joint] for joint in self.joints])

    @cached_property
    def mirror(self) -> np.ndarray:
        """[V] int64 permutation that swaps left and right: `keypoints[..., mirror, :]`."""
        partner = {a: b for left, right in self.pairs for a, b in ((left, right), (right, left))}
        return _read_only([self.joints.index(partner.get(joint, joint)) for joint in self.joints])

    @cached_property
    def parents(self) -> np.ndarray:
        """[V] int64: index of each joint's parent bone end; the center is its own parent."""
        parent = {child: parent for parent, child in self.bones}
        return _read_only([self.joints.index(parent.get(joint, joint)) for joint in self.joints])


def _read_only(values: list[int]) -> np.ndarray:
    array = np.array(values, dtype=np.int64)
    array.setflags(write=False)
    return array


def _build(name: str, table: Mapping) -> Layout:
    joints = tuple(table["joints"].split())
    return Layout(
        name=name,
        joints=joints,
        bones=tuple(bone for chain in table["chains"] for bone in pairwise(chain.split())),
        pairs=(
            *((joint, "right" + joint[4:]) for joint in joints if joint.startswith("left_")),
            *table.get("pairs", ()),
        ),
        limbs={limb: tuple(table["limbs"][limb].split()) for limb in LIMBS},
        center=table["center"],
        sigmas=tuple(map(float, table["sigmas"].split())) if "sigmas" in table else None,
    )


LAYOUTS: dict[str, Layout] = {name: _build(name, table) for name, table in TABLES.items()}


def get_layout(name: str) -> Layout:
    """The layout called `name`; LayoutError lists the known names."""
    if name not in LAYOUTS:
        raise LayoutError(f"unknown joint layout {name!r}; choose one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
