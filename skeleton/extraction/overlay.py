"""A record drawn over its video: limbs, joints and track ids, as a clip to look at.

Left limbs are orange, right limbs blue (the person's own left and right), the rest and the box have the
colour of the person. Invisible joints are not drawn.
"""

import colorsys
from pathlib import Path

import cv2
import numpy as np

from skeleton.errors import ExtractionError
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from skeleton.video import VideoWriter, probe, read_frames

_SIDES = {"left": (255, 140, 0), "right": (30, 144, 255)}


def person_colour(identity: int) -> tuple[int, int, int]:
    """An RGB colour for a track id; neighbouring ids are far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb((identity * 0.618034) % 1.0, 0.75, 1.0)
    return int(255 * red), int(255 * green), int(255 * blue)


def draw(image: np.ndarray, skeleton: Skeleton, row: int) -> np.ndarray:
    """A copy of the RGB frame uint8 [H, W, 3] with the persons of record row `row` drawn on it."""
    layout = get_layout(skeleton.layout)
    bones = [(layout.index(parent), layout.index(child)) for parent, child in layout.bones]
    canvas = image.copy()
    width = max(1, round(image.shape[0] / 270))
    for m, identity in enumerate(skeleton.track_ids.tolist()):
        visible, box = skeleton.visible[m, row], skeleton.boxes[m, row]
        if not visible.any() and not box.any():
            continue
        own = person_colour(identity)
        points = np.where(visible[:, None], skeleton.keypoints[m, row, :, :2], 0).round().astype(int)
        for parent, child in bones:
            if visible[parent] and visible[child]:
                side = _SIDES.get(layout.joints[child].split("_")[0], own)
                cv2.line(canvas, points[parent].tolist(), points[child].tolist(), side, width, cv2.LINE_AA)
        for joint in np.flatnonzero(visible):
            cv2.circle(canvas, points[joint].tolist(), width + 1, own, -1, cv2.LINE_AA)
        if box.any():
            x1, y1, x2, y2 = box.round().astype(int).tolist()
            cv2.rectangle(canvas, (x1, y1), (x2, y2), own, max(1, width // 2))
            place = (x1, max(y1 - 2 * width, 8 * width))
            for ink, stroke in (((0, 0, 0), 2 * width + 1), (own, width)):
                font = cv2.FONT_HERSHEY_SIMPLEX
                cv2.putText(canvas, str(identity), place, font, width / 4, ink, stroke, cv2.LINE_AA)
    return canvas


def write_overlay(video: str | Path, skeleton: Skeleton, path: str | Path) -> None:
    """Writes the overlay clip (H.264, the video's own clock) of a record made from `video`.

    Raises ExtractionError where the frames of the video are not the rows of the record.
    """
    settings = skeleton.source.get("settings", {})
    times = skeleton.timestamps
    rate = settings.get("fps") or probe(video).fps
    with VideoWriter(path, rate) as writer:
        row = 0
        for row, (seconds, image) in enumerate(read_frames(video, settings.get("fps")), start=1):
            if row > len(times) or abs(seconds - times[row - 1]) > 1e-6 or image.shape[:2] != skeleton.frame_size:
                raise ExtractionError(
                    f"the record must come from {video}, found another clock or size at frame {row}; extract it again"
                )
            writer.add(draw(image, skeleton, row - 1), seconds)
        if row != len(times):
            raise ExtractionError(f"the record has {len(times)} rows, {video} has {row} frames; extract it again")
