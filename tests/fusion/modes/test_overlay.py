"""What the vision tower sees in mode overlay, pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.batch import Row
from fusion.errors import FusionError
from fusion.modes.base import FusionOptions
from fusion.modes.overlay import Overlay
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from skeleton.video import Frames

LEFT, RIGHT = (255, 140, 0), (30, 144, 255)
JOINTS = get_layout("coco17").joints


def body(persons=1, coordinates=2):
    """Four rows in a frame of 200 x 400; an upper left arm at x 100, an upper right arm at x 300, 10 lower in each row."""
    points = np.zeros((persons, 4, 17, coordinates), np.float32)
    visible = np.zeros((persons, 4, 17), bool)
    for side, x in (("left", 100), ("right", 300)):
        for joint, y in (("shoulder", 40), ("elbow", 140)):
            place = JOINTS.index(f"{side}_{joint}")
            points[:, :, place, 0], points[:, :, place, 1] = x, y + 10 * np.arange(4)
            visible[:, :, place] = True
    return Skeleton(
        keypoints=points, confidence=visible.astype(np.float32), visible=visible, boxes=np.zeros((persons, 4, 4)),
        timestamps=np.arange(4.0), track_ids=np.arange(persons), layout="coco17", frame_size=(200, 400), source={},
    )  # fmt: skip


def clip(skeleton):
    frames = Frames(np.zeros((2, 100, 200, 3), np.uint8), np.array([0.2, 2.9]))
    return Row(frames, skeleton, 4.0, ())


@pytest.fixture
def overlay():
    return Overlay(FusionOptions(max_persons=1), encode=list)


def test_sides_have_their_colours_at_the_scale_and_time_of_the_frame(overlay):
    drawn = overlay.frames(clip(body()))
    assert drawn.timestamps.tolist() == [0.2, 2.9]
    early, late = drawn.images
    for x, colour in ((50, LEFT), (150, RIGHT)):  # half the size: x 50 and 150, y 20 to 70, later 35 to 85
        for image in (early, late):
            np.testing.assert_allclose(image[45, x] / image[45, x].max(), np.array(colour) / 255, atol=0.03)
    assert early[25, 50].any() and not late[25, 50].any()
    assert late[80, 50].any() and not early[80, 50].any()
    assert not drawn.images[:, :, 90:110].any()  # nothing between the arms but what belongs to them


def test_the_frames_of_the_clip_are_left_as_they_are(overlay):
    row = clip(body())
    assert overlay.frames(row).images.any() and not row.frames.images.any()
    assert overlay.frames(replace(row, skeleton=None)) is row.frames
    assert overlay.frames(replace(row, frames=None)) is None


def test_only_the_best_visible_persons_are_drawn(overlay):
    two = body(persons=2)
    visible, points = two.visible.copy(), two.keypoints.copy()
    visible[0, :, JOINTS.index("left_elbow")] = False
    points[0, ..., 0] = 20
    drawn = overlay.frames(clip(replace(two, visible=visible, keypoints=points))).images
    assert not drawn[:, :, :40].any() and drawn[:, :, 45:55].any()


def test_metres_cannot_be_drawn(overlay):
    with pytest.raises(FusionError, match="fusion.mode=overlay needs keypoints in pixels, found 3 coordinates"):
        overlay.frames(clip(body(coordinates=3)))
