"""The skeleton drawn on the frames that the vision tower sees: left limbs orange, right limbs blue, a box and its number
for each person. It costs no token and trains nothing; a row without video or skeleton is as in mode `none`."""

from dataclasses import replace

import numpy as np

from fusion.batch import Row
from fusion.errors import FusionError
from fusion.modes.base import FusionMode, FusionOptions
from skeleton.extraction.overlay import draw
from skeleton.inputs.batch import kept_persons
from skeleton.record import Skeleton
from skeleton.video import Frames


class Overlay(FusionMode):
    """Draws the best visible persons, each as the record's row nearest in time to the frame shows them."""

    def frames(self, row: Row) -> Frames | None:
        """The row's frames with its skeleton drawn. Raises FusionError for a skeleton in metres."""
        if row.frames is None or row.skeleton is None:
            return row.frames
        shown = in_pixels_of(row.frames.images, row.skeleton, self.options.max_persons)
        nearest = np.abs(shown.timestamps - row.frames.timestamps[:, None]).argmin(1)
        images = [draw(image, shown, int(i)) for image, i in zip(row.frames.images, nearest, strict=True)]
        return replace(row.frames, images=np.stack(images))

    @staticmethod
    def describe(options: FusionOptions) -> str:
        return f"{options.layout} skeletons, drawn on the frames"


def in_pixels_of(images: np.ndarray, skeleton: Skeleton, max_persons: int) -> Skeleton:
    """The best visible persons in pixels of `images` [T, H, W, 3], which may be smaller than the video's frames."""
    if skeleton.keypoints.shape[-1] != 2:
        raise FusionError(
            f"fusion.mode=overlay needs keypoints in pixels, found {skeleton.keypoints.shape[-1]} coordinates: "
            "take another fusion.mode for motion capture"
        )
    persons = kept_persons(skeleton, max_persons)
    height, width = images.shape[1:3]
    factor = np.array([width / skeleton.frame_size[1], height / skeleton.frame_size[0]], np.float32)
    return replace(
        skeleton,
        keypoints=skeleton.keypoints[persons] * factor,
        confidence=skeleton.confidence[persons],
        visible=skeleton.visible[persons],
        boxes=skeleton.boxes[persons] * np.tile(factor, 2),
        track_ids=skeleton.track_ids[persons],
        frame_size=(height, width),
    )


MODE = Overlay
