"""Crops and heatmaps without the half pixel that resizing loses: unbiased data processing, as ViTPose was trained.

The first and last pixel centers of a crop span its region (Huang et al., CVPR 2020), and a maximum is moved to the peak
of a parabola through the logarithm of the smoothed heatmap around it (DARK, Zhang et al., CVPR 2020). The numbers
are those of transformers' VitPoseImageProcessor, which resamples every channel of every crop and smooths every joint's
heatmap by scipy, one after the other: tens of milliseconds for each person, more than the network takes on a GPU.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from skeleton.extraction.codecs import Crops

_SMOOTHING = ((11, 11), 0.8)  # cells of the window and standard deviation
_LEAST, _MOST = 0.001, 50.0  # heat that a logarithm is taken of


@dataclass(frozen=True)
class UnbiasedCrops(Crops):
    """Regions whose corners are the centers of their crops' corner pixels."""

    def cut(self, image: np.ndarray, index: int) -> np.ndarray:
        """Region `index` of an image uint8 [H, W, 3] as uint8 [height, width, 3]; black beyond the image."""
        side = self.sides[index].astype(np.float64)
        factor = (np.array(self.size) - 1) / side
        shift = factor * (side / 2 - self.centers[index])
        matrix = np.array([[factor[0], 0, shift[0]], [0, factor[1], shift[1]]])
        return cv2.warpAffine(image, matrix, self.size, flags=cv2.INTER_LINEAR)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points [N, V, 2] in the pixels of the crops -> in those of the image."""
        corner = (self.centers - 0.5 * self.sides)[:, None]
        return points / (np.array(self.size, np.float32) - 1) * self.sides[:, None] + corner


def decode_unbiased(heatmaps: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps [N, V, h, w] float32 -> points [N, V, 2] in pixels of a crop of `size` (width, height), scores [N, V].

    A joint without any heat (score 0 or less) stands just outside its crop, at the cell -1.
    """
    count, joints, height, width = heatmaps.shape
    flat = heatmaps.reshape(count, joints, -1)
    at = flat.argmax(-1)
    scores = np.take_along_axis(flat, at[..., None], -1)[..., 0]
    x, y = at % width, at // width
    channels_last = np.ascontiguousarray(heatmaps.transpose(0, 2, 3, 1))
    smooth = np.stack([cv2.GaussianBlur(one, *_SMOOTHING, borderType=cv2.BORDER_REFLECT) for one in channels_last])
    heat = np.pad(np.log(np.clip(smooth, _LEAST, _MOST)), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    person, joint = np.ogrid[:count, :joints]

    def near(right: int, down: int) -> np.ndarray:
        return heat[person, y + 1 + down, x + 1 + right, joint]

    middle, left, right, up, down = near(0, 0), near(-1, 0), near(1, 0), near(0, -1), near(0, 1)
    slope = np.stack([right - left, down - up], -1) / 2
    mixed = (near(1, 1) - right - down + 2 * middle - left - up + near(-1, -1)) / 2
    bend = np.stack([right - 2 * middle + left, mixed, mixed, down - 2 * middle + up], -1).reshape(count, joints, 2, 2)
    # The smallest step of float32 keeps flat heat invertible; there the slope is 0, and the maximum stays.
    step = np.linalg.solve(bend + np.finfo(np.float32).eps * np.eye(2), slope[..., None])[..., 0]
    points = np.stack([x, y], -1) - step
    points[scores <= 0] = -1
    return (points * (np.array(size) - 1) / (width - 1, height - 1)).astype(np.float32), scores
