"""What train, val and test do not share: bodies, shades, (shirt, trousers) pairs, cameras, pairs of primitives.

Each is cut on a grid whose cells are dealt to the splits by a residue, so the splits cover the same range
without sharing a cell. Colour words and primitives are shared, else nothing could be learned.
"""

import numpy as np

from hybrid.datasets.marionette.body import Proportions
from skeleton.events.vocabulary import vocabulary

SPLITS = ("train", "val", "test")
TROUSERS = {
    "grey": (112, 116, 124), "navy": (44, 52, 92), "brown": (112, 80, 52), "olive": (92, 98, 52),
    "beige": (176, 158, 122),
}  # fmt: skip
SHADES = {
    "red": (214, 30, 36), "blue": (34, 70, 214), "green": (26, 148, 52), "yellow": (240, 216, 30),
    "purple": (128, 40, 168), "orange": (246, 132, 20), "white": (244, 244, 240), "black": (22, 22, 26),
    "pink": (250, 150, 196), "cyan": (40, 208, 220),
}  # fmt: skip
KINDS = (
    "arm raise", "arm wave", "arm circle", "arm punch", "arm touch", "leg raise", "leg kick", "leg swing", "leg bend",
    "head nod", "head shake", "head turn", "head tilt", "torso bow", "torso lean", "whole body squat",
    "whole body jump", "whole body step", "whole body sit", "whole body kneel", "whole body lie",
    "arm reach", "arm hold", "arm throw", "arm greet", "arm handshake",
)  # fmt: skip
_INDEX = {kind: i for i, kind in enumerate(KINDS)}


def split_of_pair(one: str, other: str) -> str:
    """The only split in which these two primitives (either order) may be composed: 5 of 7 pairs train."""
    return ("train", "train", "train", "train", "train", "val", "test")[(_INDEX[one] + _INDEX[other]) % 7]


def split_of_outfit(shirt: str, trousers: str) -> str:
    """The only split in which somebody wears this shirt with these trousers: 3 of 5 pairs train."""
    cell = vocabulary().shirt_colours.index(shirt) + 2 * list(TROUSERS).index(trousers)
    return ("train", "train", "train", "val", "test")[cell % 5]


def draw_cell(rng: np.random.Generator, split: str, size: int) -> tuple[float, float]:
    """A point of the unit square in a cell (of size x size) that belongs to `split`; two coordinates in [0, 1)."""
    while True:
        i, j = (int(value) for value in rng.integers(size, size=2))
        if ("train", "val", "train", "test", "train")[(i + 2 * j) % 5] == split:
            inside = rng.uniform(0.1, 0.9, 2)
            return (i + inside[0]) / size, (j + inside[1]) / size


def draw_body(rng: np.random.Generator, split: str) -> Proportions:
    """Proportions of a person, 1.45 to 1.9 m tall; (height, leg share) is disjoint between splits."""
    tall, leggy = draw_cell(rng, split, 10)
    height, legs = 1.45 + 0.45 * tall, 0.48 + 0.06 * leggy
    low, high = (0.92, 0.9, 0.82, 0.82, 0.485, 0.85), (1.12, 1.1, 1.14, 1.14, 0.515, 1.2)
    head, arms, shoulders, hips, thigh, girth = rng.uniform(low, high)
    leg = legs * height - 0.08
    trunk = height - 0.08 - leg - 0.30 * head
    return Proportions(
        trunk=trunk, shoulder=0.093 * height * shoulders, hip=0.055 * height * hips, upper_arm=0.164 * height * arms,
        forearm=0.142 * height * arms, thigh=thigh * leg, shank=(1 - thigh) * leg, head=head, girth=girth,
    )  # fmt: skip


def draw_shade(rng: np.random.Generator, split: str, colour: str) -> tuple[int, int, int]:
    """An RGB shade of a colour word; the shades of different splits lie in different cells (black and white leave
    so little room that rounded shades may coincide)."""
    light, tint = draw_cell(rng, split, 5)
    base = np.array(SHADES[colour], float)
    strength = 6 if colour in ("white", "black") else 26  # these two are soon another colour
    shifted = base * (0.86 + 0.2 * light) + strength * (tint - 0.5) * np.array([1, -1, 1])
    return tuple(int(value) for value in np.clip(np.round(shifted), 0, 255))
