"""Stick figures in pixels, seen from the front, the back or a side, whose pose is given in degrees."""

import numpy as np

from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

TORSO = 100.0
REST = {"left": (5, 0), "right": (5, 0)}


def figure(pose=lambda time: {}, seconds=4.0, x=320.0, view="front", fps=20.0):
    """[T, 17, 2] joints of one person with the hips' middle at `x`.

    pose(time) gives any of: left, right = (degrees of the upper arm from hanging, out to its side or, seen from a side,
    forward; degrees that the elbow is bent), hips = how far they sink in torsos, nose = torsos that it is aside.
    """
    names, rows = get_layout("coco17").joints, round(seconds * fps)
    points = np.zeros((rows, 17, 2))
    for row in range(rows):
        at, given = {}, REST | pose(row / fps)
        sink = TORSO * given.get("hips", 0.0)
        aside, facing = (0.0, 1 if view == "right" else -1) if view in ("left", "right") else (1.0, 0)
        for side, out in (("left", 1), ("right", -1)):
            out *= -1 if view == "back" else 1
            wide = out * aside
            level = out if aside else facing  # of an arm that is lifted
            at[f"{side}_hip"] = (x + 16 * wide, 260 + sink)
            at[f"{side}_shoulder"] = (x + 37 * wide, 160 + sink)
            at[f"{side}_ear"] = (x + 12 * wide, 130 + sink)
            at[f"{side}_eye"] = (x + 6 * wide + 8 * facing, 126 + sink)
            upper, bend = np.radians(given[side])
            elbow = (x + 37 * wide + 58 * level * np.sin(upper), 160 + sink + 58 * np.cos(upper))
            at[f"{side}_elbow"] = elbow
            at[f"{side}_wrist"] = (elbow[0] + 50 * level * np.sin(upper + bend), elbow[1] + 50 * np.cos(upper + bend))
            at[f"{side}_knee"] = (x + 18 * wide + (60 * facing if sink else 0), 340 + sink * (aside == 0) * 0.2)
            at[f"{side}_ankle"] = (x + 18 * wide, 418)
        at["nose"] = (x + 20 * facing + TORSO * given.get("nose", 0.0), 130 + sink)
        points[row] = [at[name] for name in names]
    return points


def record(*bodies, fps=20.0, visible=None, **source):
    """The record of figures as an estimator would write it, without noise."""
    points = np.stack(bodies)
    shown = np.ones(points.shape[:3], bool) if visible is None else visible
    return Skeleton(
        keypoints=points, confidence=np.where(shown, 0.9, 0.1), visible=shown,
        boxes=np.concatenate([points.min(2), points.max(2)], axis=-1), timestamps=np.arange(points.shape[1]) / fps,
        track_ids=np.arange(len(points)) + 3, layout="coco17", frame_size=(480, 640), source=source,
    )  # fmt: skip
