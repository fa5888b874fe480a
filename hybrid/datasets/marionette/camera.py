"""A pinhole camera with mild motion: pan, zoom and hand shake.

World: x to the right of the image, y up, z towards the camera, metres; the floor is y = 0 and the camera looks
at the point (0, 0.9, 0) from the front.
"""

from dataclasses import dataclass

import numpy as np

from hybrid.datasets.marionette.splits import draw_cell


@dataclass(frozen=True)
class Camera:
    """focal in pixels; elevation in radians; pan [T, 2] in pixels; zoom [T]; size in pixels (square image)."""

    size: int
    focal: float
    distance: float
    elevation: float
    center_y: float
    pan: np.ndarray
    zoom: np.ndarray

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points [T, ..., 3] -> pixels [T, ..., 2] and depth [T, ...] in metres."""
        cos, sin = np.cos(self.elevation), np.sin(self.elevation)
        x, y, z = points[..., 0], points[..., 1] - 0.9, points[..., 2]
        depth = self.distance - y * sin - z * cos
        height = y * cos - z * sin
        shape = (len(points),) + (1,) * (points.ndim - 2)
        scale = self.focal * self.zoom.reshape(shape) / np.maximum(depth, 0.3)
        u = self.size / 2 + scale * x + self.pan[:, 0].reshape(shape)
        v = self.center_y - scale * height + self.pan[:, 1].reshape(shape)
        return np.stack([u, v], axis=-1), depth


def draw_camera(rng: np.random.Generator, split: str, size: int, pixels_per_metre: float, frames: int) -> Camera:
    """A camera whose (distance, elevation) lies in a cell of the split; at the distance of the persons one
    metre is `pixels_per_metre`."""
    far, high = draw_cell(rng, split, 10)
    distance, elevation = 4.0 + 4.0 * far, np.radians(14.0 * high)
    progress = np.linspace(-0.5, 0.5, frames)[:, None]
    drift = rng.normal(0, 0.025 * size, 2) * progress * (rng.random() < 0.6)
    sway = rng.normal(0, 0.008 * size, 2) * np.sin(2 * np.pi * progress * rng.uniform(0.6, 1.6) + rng.uniform(0, 6))
    noise = rng.normal(0, 1, (frames, 2))
    shake = np.zeros((frames, 2))
    for i in range(1, frames):  # a first-order process: neighbouring frames shake alike
        shake[i] = 0.7 * shake[i - 1] + noise[i]
    shake *= 0.002 * size * rng.uniform(0, 1)
    zoom = 1 + (rng.uniform(-0.1, 0.1) if rng.random() < 0.5 else 0.0) * progress[:, 0]
    return Camera(
        size, pixels_per_metre * distance, distance, elevation, size * rng.uniform(0.52, 0.57),
        drift + sway + shake, zoom,
    )  # fmt: skip
