"""The One-Euro filter over joints (Casiez, Roussel and Vogel, CHI 2012): little delay when fast, little jitter when slow.

It only looks back. A gap of more than `gap` seconds starts it anew, and invisible joints neither move nor feed it.
"""

from dataclasses import replace

import numpy as np

from skeleton.record import Skeleton


def smooth(skeleton: Skeleton, min_cutoff: float, beta: float, gap: float = 0.5) -> Skeleton:
    """The record with filtered keypoints.

    min_cutoff: Hz, lower is smoother at rest. beta: Hz for a speed of one body height a second, higher follows faster.
    Speeds are measured against the height of the person's box, so that near and far persons are treated alike.
    """
    keypoints = skeleton.keypoints.astype(np.float64)
    persons, _, joints, axes = keypoints.shape
    heights = np.where(skeleton.boxes.any(-1), skeleton.boxes[..., 3] - skeleton.boxes[..., 1], np.nan)
    height = np.array([np.nanmedian(one) if np.isfinite(one).any() else 1.0 for one in heights])
    last = np.full((persons, joints), -np.inf)
    place, speed = np.zeros((persons, joints, axes)), np.zeros((persons, joints, axes))
    result = keypoints.copy()
    for t, seconds in enumerate(skeleton.timestamps):
        seen = skeleton.visible[:, t]
        step = seconds - last
        begins = seen & (step > gap)
        goes_on = seen & ~begins
        step = np.where(goes_on, step, 1.0)[..., None]
        change = (keypoints[:, t] - place) / step
        speed_now = speed + _share(step, 1.0) * (change - speed)
        cutoff = min_cutoff + beta * np.linalg.norm(speed_now, axis=-1, keepdims=True) / height[:, None, None]
        place_now = place + _share(step, cutoff) * (keypoints[:, t] - place)
        speed = np.where(goes_on[..., None], speed_now, np.where(begins[..., None], 0.0, speed))
        place = np.where(goes_on[..., None], place_now, np.where(begins[..., None], keypoints[:, t], place))
        last = np.where(seen, seconds, last)
        result[:, t] = np.where(seen[..., None], place, keypoints[:, t])
    return replace(skeleton, keypoints=result.astype(np.float32))


def _share(step: np.ndarray, cutoff: float | np.ndarray) -> np.ndarray:
    """How much of the new value a first-order low pass of `cutoff` Hz takes in after `step` seconds."""
    turns = 2 * np.pi * cutoff * step
    return turns / (turns + 1)
