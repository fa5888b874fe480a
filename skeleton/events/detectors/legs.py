"""What a leg does while the other stands: excursions from standing, each told by thigh and shank, repetitions joined."""

import numpy as np

from skeleton.events.detectors.signals import Found, excursions, lift, middle, repeated, thresholds
from skeleton.events.kinematics import Kinematics


def leg(body: Kinematics, side: str) -> list[Found]:
    """Movements of one leg."""
    limit = thresholds()["leg"]
    thigh, shank = body.bones[side, "thigh"], body.bones[side, "shank"]
    sign = 1 if side == "left" else -1
    out = np.nan_to_num(thigh[:, 0] * sign, nan=-1.0)
    lifted = np.fmax(
        np.fmax(lift(thigh[:, 1], limit["thigh_rest"], limit["thigh_active"], -0.8),
                lift(shank[:, 1], limit["shank_rest"], limit["shank_active"], -0.8)),
        (out - limit["out_rest"]) / (limit["out_active"] - limit["out_rest"]),
    )  # fmt: skip
    cycles = []
    for first, last in excursions(lifted, 1.0, 0.0, 1, max(round(limit["shortest"] * body.fps), 2)):
        rows = slice(first, last + 1)
        kind = _kind(thigh[rows, 1], shank[rows, 1], out[rows], last - first + 1, body.fps)
        if kind is not None:
            cycles.append(Found(f"{side} leg", kind, first, last))
    return repeated(cycles, round(limit["together"] * body.fps))


def _kind(thigh: np.ndarray, shank: np.ndarray, out: np.ndarray, rows: int, fps: float) -> str | None:
    limit = thresholds()["leg"]
    if max(np.isnan(thigh).mean(), np.isnan(shank).mean()) > limit["unknown"]:
        return None
    top = np.nan_to_num(thigh, nan=-1.0)
    high = int(np.argmax(top))
    lowered = middle(shank[top > top.max() - limit["top"]])
    if out.max() > limit["out_active"] and top.max() < limit["swing_thigh"]:
        return "swing"
    straight = lowered > limit["kick_shank"] or shank[max(high - 1, 0) : high + 2].max() > limit["kick_shank"]
    if straight and top.max() > limit["kick_thigh"]:
        return "kick"
    if top.max() > limit["raise_thigh"]:
        return "raise" if rows > limit["raise_seconds"] * fps else None
    if np.nan_to_num(shank, nan=-1.0).max() > limit["bend_shank"]:
        return "bend"
    return None
