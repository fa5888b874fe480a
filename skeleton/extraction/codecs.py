"""Between boxes, crops and what a top-down network says: the arithmetic of MMPose's transforms, for many boxes at once.

`TopdownAffine` without rotation is one scale and one shift; heatmaps are read at their maximum, moved a quarter of a
cell towards the higher neighbour (Xiao et al., ECCV 2018, as in mmpose's MSRAHeatmap); SimCC at the maximum of
each axis (Li et al., ECCV 2022). Tests compare with mmpose's own classes.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Crops:
    """The regions that N boxes are cut out as: centers [N, 2] and sides [N, 2] in pixels, size (width, height)."""

    centers: np.ndarray
    sides: np.ndarray
    size: tuple[int, int]

    @classmethod
    def around(cls, boxes: np.ndarray, size: tuple[int, int], padding: float = 1.25) -> "Crops":
        """Boxes [N, 4], enlarged by `padding` and to the aspect ratio of `size` (width, height)."""
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        centers = (boxes[:, 2:] + boxes[:, :2]) * 0.5
        wide, high = ((boxes[:, 2:] - boxes[:, :2]) * padding).T
        ratio = size[0] / size[1]
        sides = np.where(
            (wide > high * ratio)[:, None], np.stack([wide, wide / ratio], 1), np.stack([high * ratio, high], 1)
        )
        return cls(centers, sides.astype(np.float32), size)

    def cut(self, image: np.ndarray, index: int) -> np.ndarray:
        """Region `index` of an image uint8 [H, W, 3] as uint8 [height, width, 3]; black beyond the image."""
        scale = self.size[0] / float(self.sides[index, 0])
        x, y = self.centers[index].tolist()
        matrix = np.array([[scale, 0, self.size[0] * 0.5 - scale * x], [0, scale, self.size[1] * 0.5 - scale * y]])
        return cv2.warpAffine(image, matrix, self.size, flags=cv2.INTER_LINEAR)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points [N, V, 2] in the pixels of the crops -> in those of the image."""
        corner = (self.centers - 0.5 * self.sides)[:, None]
        return points / np.array(self.size, np.float32) * self.sides[:, None] + corner


def decode_heatmaps(heatmaps: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps [N, V, h, w] float32 -> points [N, V, 2] in pixels of a crop of `size` (width, height), scores [N, V]."""
    count, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(count, joints, -1)
    at = flat.argmax(-1)
    scores = np.take_along_axis(flat, at[..., None], -1)[..., 0]
    x, y = at % width, at // width
    points = np.stack([x, y], -1).astype(np.float32)
    for axis, step, inside in (
        (0, 1, (x > 1) & (x < width - 1) & (y > 0)),
        (1, width, (y > 1) & (y < height - 1) & (x > 0)),
    ):
        place = np.where(inside, at, step)[..., None]
        slope = np.take_along_axis(flat, place + step, -1) - np.take_along_axis(flat, place - step, -1)
        points[..., axis] += np.where(inside, np.sign(slope[..., 0]) * 0.25, 0)
    points[scores <= 0] = -1
    return points * (np.array(size, np.float32) / (width, height)).astype(np.float32), scores


def decode_simcc(along_x: np.ndarray, along_y: np.ndarray, split: float) -> tuple[np.ndarray, np.ndarray]:
    """SimCC vectors [N, V, width * split] and [N, V, height * split] -> points [N, V, 2] in crop pixels, scores [N, V]."""
    points = np.stack([along_x.argmax(-1), along_y.argmax(-1)], -1).astype(np.float32)
    scores = np.minimum(along_x.max(-1), along_y.max(-1))
    points[scores <= 0] = -1
    return points / split, scores
