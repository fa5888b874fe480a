"""Skeletons from one layout to another, by joint name."""

from collections import Counter
from dataclasses import replace

import numpy as np

from skeleton.layouts.layout import Layout, get_layout
from skeleton.layouts.tables import FILLS
from skeleton.record import Skeleton


def _weights(joint: str, source: Layout, above: tuple[str, ...] = ()) -> dict[str, float] | None:
    """Weights over the source's joints whose average stands for `joint`; `above` stops circular fills."""
    if joint in source.joints:
        return {joint: 1.0}
    for alternative in FILLS.get(joint, ()):
        parts = alternative.split()
        if set(parts) & set(above):
            continue
        found = [_weights(part, source, (*above, joint)) for part in parts]
        if all(part is not None for part in found):
            total: Counter = Counter()
            for part in found:
                total.update({name: weight / len(parts) for name, weight in part.items()})
            return dict(total)
    return None


def unfillable(source: str, target: str) -> tuple[str, ...]:
    """Joints of layout `target` that layout `source` can neither name nor average."""
    origin = get_layout(source)
    return tuple(joint for joint in get_layout(target).joints if _weights(joint, origin) is None)


def convert(skeleton: Skeleton, target: str) -> Skeleton:
    """The same motion in layout `target`, by joint name; `source["converted_from"]` remembers the old layout.

    A joint that is an average (FILLS in tables.py) is visible where all its parts are, with the least
    of their confidences. Joints that cannot be filled (`unfillable`) are rows of visible=False.
    """
    origin, layout = get_layout(skeleton.layout), get_layout(target)
    if origin is layout:
        return skeleton
    matrix = np.zeros((len(layout.joints), len(origin.joints)), dtype=np.float32)
    for row, joint in enumerate(layout.joints):
        for part, weight in (_weights(joint, origin) or {}).items():
            matrix[row, origin.index(part)] = weight
    uses = matrix > 0
    filled = uses.any(1)
    seen = np.where(skeleton.visible[..., None], skeleton.keypoints, np.float32(0))
    visible = ~np.any(uses & ~skeleton.visible[..., None, :], axis=-1) & filled
    confidence = np.where(uses, skeleton.confidence[..., None, :], np.float32(1)).min(-1)
    return replace(
        skeleton,
        keypoints=np.einsum("uv,mtvc->mtuc", matrix, seen),
        confidence=np.where(visible, confidence, np.float32(0)),
        visible=visible,
        layout=target,
        source={**skeleton.source, "converted_from": skeleton.layout},
    )
