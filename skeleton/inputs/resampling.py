"""A skeleton at a steady rate."""

import math
from dataclasses import replace

import numpy as np

from skeleton.errors import SkeletonError
from skeleton.record import Skeleton


def resample(skeleton: Skeleton, start: float, end: float, fps: float) -> Skeleton:
    """Rows at start + i / fps for all i / fps < end - start, each the nearest source row in time.

    Where no source row lies within 1 / fps or one source period (the larger), the row is visible=False.
    `start`, `end` and the new timestamps are seconds of the video. SkeletonError unless start < end, fps > 0.
    """
    if not (math.isfinite(start) and math.isfinite(end) and start < end and fps > 0):
        raise SkeletonError(f"expected seconds start < end and fps > 0, found {start}, {end} and fps {fps}")
    # A thousandth of a row of tolerance: 1.2 s at 10 fps is 12 rows, although 1.2 * 10 is 12.000000000000002.
    rows = max(1, math.ceil((end - start) * fps - 1e-3))
    times = start + np.arange(rows) / fps
    known = skeleton.timestamps
    after = np.clip(np.searchsorted(known, times), 1, max(len(known) - 1, 1))
    if len(known) == 1:
        nearest = np.zeros(rows, dtype=np.int64)
    else:
        nearest = np.where(times - known[after - 1] <= known[after] - times, after - 1, after)
    period = float(np.median(np.diff(known))) if len(known) > 1 else 0.0
    near = np.abs(known[nearest] - times) <= max(1 / fps, period) + 1e-9
    return replace(
        skeleton,
        keypoints=skeleton.keypoints[:, nearest],
        confidence=skeleton.confidence[:, nearest] * near[:, None],
        visible=skeleton.visible[:, nearest] & near[:, None],
        boxes=skeleton.boxes[:, nearest] * near[:, None],
        timestamps=times,
    )
