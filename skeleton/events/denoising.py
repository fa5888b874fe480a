"""Joints of an estimator made fit for measuring: gaps bridged, exchanged sides put back, noise smoothed by trust."""

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter, percentile_filter, uniform_filter1d


def without_flicker(points: np.ndarray, window: int, share: float) -> np.ndarray:
    """Points [T, V, C] in which a joint is NaN where it is known in less than `share` of the `window` rows around."""
    known = np.isfinite(points[..., 0]).astype(float)
    steady = uniform_filter1d(known, max(window, 1), axis=0, mode="nearest") >= share
    return np.where(steady[..., None], points, np.nan)


def bridge(points: np.ndarray, longest: int) -> np.ndarray:
    """Points [T, V, C] with gaps (NaN) of at most `longest` rows filled by straight lines."""
    points, rows = points.copy(), np.arange(len(points))
    for joint in range(points.shape[1]):
        known = np.flatnonzero(np.isfinite(points[:, joint, 0]))
        if len(known) in (0, len(rows)):
            continue
        place = np.searchsorted(known, rows)
        before, after = known[np.maximum(place - 1, 0)], known[np.minimum(place, len(known) - 1)]
        near = (after - before - 1 <= longest) & (rows >= known[0]) & (rows <= known[-1])
        gap = near & ~np.isfinite(points[:, joint, 0])
        for axis in range(points.shape[2]):
            points[gap, joint, axis] = np.interp(rows[gap], known, points[known, joint, axis])
    return points


def between_sides(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The middle of two joints [T, C]; where one is not known, from the other and how far apart the two last were; where
    both never are, the known one."""
    half = (left - right) / 2
    both = np.isfinite(half).all(1)
    half = np.stack([held(part) for part in half.T], axis=1) if both.any() else np.zeros_like(half)
    known = [np.isfinite(joint) for joint in (left, right)]
    return np.where(known[0], np.where(known[1], (left + right) / 2, left - half), right + half)


def unswap(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Points [T, V, 2] with bursts of exchanged left and right taken back: the cheapest path through (as
    estimated, exchanged), where a jump of the joints costs its length and being exchanged a little."""
    known = np.nan_to_num(points)
    valid = np.isfinite(points[..., 0])
    low, high = (np.where(valid[..., None], points, edge) for edge in (np.inf, -np.inf))
    extent = (high.max(1) - low.min(1)).max(1)
    size = 0.3 * float(np.median(extent[np.isfinite(extent)])) if np.isfinite(extent).any() else 1.0  # about a torso
    pairs = np.flatnonzero(mirror != np.arange(len(mirror)))

    def jump(now: np.ndarray, now_valid: np.ndarray) -> np.ndarray:
        both = now_valid[1:, pairs] & valid[:-1, pairs]
        far = np.linalg.norm(now[1:, pairs] - known[:-1, pairs], axis=2) / size
        return (np.minimum(far, 1.0) * both).sum(1) / np.maximum(both.sum(1), 1)

    keep, change = jump(known, valid).tolist(), jump(known[:, mirror], valid[:, mirror]).tolist()
    price, cost, origin = 0.01, [0.0, 0.05], []
    for stay, swap in zip(keep, change, strict=True):
        own = cost[0] + stay <= cost[1] + swap
        other = cost[1] + stay <= cost[0] + swap
        origin.append((0 if own else 1, 1 if other else 0))
        cost = [cost[0] + stay if own else cost[1] + swap, (cost[1] + stay if other else cost[0] + swap) + price]
    state = int(cost[1] < cost[0])
    result = points.copy()
    for row in range(len(points) - 1, -1, -1):
        if state:
            result[row] = points[row, mirror]
        if row:
            state = origin[row - 1][state]
    return result


def shake(trunk: np.ndarray, fps: float) -> float:
    """How far shoulders and hips [T, 4, C] leave a straight course within an eighth of a second, against their middle and
    in torsos: the 80th percentile. A body's trunk keeps its shape, so this is the estimator's."""
    step = max(round(fps / 16), 1)
    shape = trunk[::step] - trunk[::step].mean(1, keepdims=True)
    torso = np.linalg.norm(shape[:, :2].mean(1) - shape[:, 2:].mean(1), axis=1)
    known = torso[np.isfinite(torso)]
    off = np.linalg.norm(shape[2:] - 2 * shape[1:-1] + shape[:-2], axis=-1)
    off = off[np.isfinite(off)]
    return float(np.percentile(off, 80) / np.percentile(known, 90)) if len(off) else 0.0


def trust(confidence: np.ndarray, fps: float) -> np.ndarray:
    """[T, V, 1] from 0 to 1: how sure a joint is against the usual of this person, over a fifth of a second."""
    usual = np.nanmedian(confidence) if np.isfinite(confidence).any() else 1.0
    known = np.where(np.isfinite(confidence), confidence / max(usual, 1e-6), 0.5)
    steady = gaussian_filter1d(known, 0.1 * fps, axis=0, mode="nearest")
    return np.clip((steady - 0.7) / 0.2, 0.0, 1.0)[..., None]


def smooth(points: np.ndarray, sigma: float) -> np.ndarray:
    """Points [T, V, C] after a median of three (2D) and a Gaussian; NaN stays NaN and spoils no neighbour."""
    known = np.isfinite(points)
    filled = np.where(known, points, 0.0)
    if len(points) >= 3 and points.shape[-1] == 2 and known.all():
        filled = median_filter(filled, (3, 1, 1), mode="nearest")
    weight = gaussian_filter1d(known.astype(float), sigma, axis=0, mode="nearest")
    return np.where(known, gaussian_filter1d(filled, sigma, axis=0, mode="nearest") / np.maximum(weight, 1e-9), np.nan)


def held(values: np.ndarray) -> np.ndarray:
    """Values [T] whose NaN are taken from the nearest known rows."""
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), known, values[known]) if len(known) else np.ones_like(values)


def rolling(values: np.ndarray, percentile: float, window: int) -> np.ndarray:
    """The percentile of values [T] over `window` rows around each; NaN counts as its nearest known row."""
    known, rows = held(values), np.arange(len(values))
    step = max(window // 40, 1)  # a coarse grid is enough, and an hour stays quick
    coarse = percentile_filter(known[::step], percentile, size=2 * (window // (2 * step)) + 1, mode="nearest")
    return np.interp(rows, rows[::step], coarse)
