"""What a real pose estimator would make of a scene: the true joints with its typical faults.

Jitter grows with speed and is alike in neighbouring frames; hidden joints are guessed badly, with low
confidence; joints and whole persons are missed for some frames; now and then left and right are exchanged for
a few frames. A joint is visible where its confidence reaches THRESHOLD.
"""

from dataclasses import dataclass

import numpy as np

from hybrid.data.marionette.camera import Camera
from hybrid.data.marionette.scene import Scene
from skeleton.layouts import get_layout

THRESHOLD = 0.3
LAYOUT = "coco17"
FACE = ("nose", "left_eye", "right_eye")


@dataclass(frozen=True)
class NoiseModel:
    """Rates are per row (frame of a person) or per joint and row; lengths are fractions of the body height."""

    jitter: float = 0.006
    jitter_per_speed: float = 0.04  # of the distance moved since the last frame
    hidden_jitter: float = 0.02
    joint_miss: float = 0.01
    hidden_miss: float = 0.15
    person_miss: float = 0.012
    swap: float = 0.02
    burst: float = 2.5  # mean length of a miss or swap, in rows


def joint_names() -> tuple[str, ...]:
    """COCO-17 joint names as the body model spells them."""
    return tuple(name.replace(" ", "_") for name in get_layout(LAYOUT).joints)


def true_joints(scene: Scene) -> np.ndarray:
    """World positions [M, T, V, 3] of the COCO-17 joints, metres, persons in order of their track id."""
    persons = sorted(scene.persons, key=lambda person: person.track_id)
    return np.stack([np.stack([person.joints[name] for name in joint_names()], axis=1) for person in persons])


def hidden_joints(scene: Scene, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """[M, T, V] bool: behind a trunk (one's own or another's) or, for the face, turned away.

    pixels [M, T, V, 2] and depth [M, T, V] of the true joints.
    """
    return _hidden(scene.camera, pixels, depth, np.ones(depth.shape, bool))


def _hidden(camera: Camera, pixels: np.ndarray, depth: np.ndarray, known: np.ndarray) -> np.ndarray:
    names = joint_names()
    corners = [names.index(name) for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
    hidden = np.zeros(depth.shape, bool)
    for blocker in range(len(depth)):
        trunk = pixels[blocker][:, corners]
        half = 0.06 * camera.focal / camera.distance
        low, high = trunk.min(1)[:, None] - half, trunk.max(1)[:, None] + half
        inside = ((pixels >= low) & (pixels <= high)).all(-1)
        hidden |= inside & (depth > depth[blocker][:, corners].mean(1)[:, None] + 0.07)
    hidden[:, :, corners] = False
    face = [names.index(name) for name in FACE]
    sides = [names.index("left_ear"), names.index("right_ear")]
    ears = depth[:, :, sides].mean(-1)
    turned = depth[:, :, names.index("nose")] > ears + 0.02
    crossed = pixels[:, :, corners[0], 0] < pixels[:, :, corners[1], 0]  # without ears, shoulders seen from behind
    away = np.where(known[:, :, sides].all(-1), turned, crossed)
    hidden[:, :, face] |= away[..., None]
    return hidden


def estimate(
    scene: Scene, rng: np.random.Generator, noise: NoiseModel | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(keypoints [M, T, V, 2] pixels, confidence, visible [M, T, V], boxes [M, T, 4]) as an estimator gives them."""
    truth, size = true_joints(scene), scene.camera.size
    return estimate_joints(truth, np.ones(truth.shape[:3], bool), scene.camera, (size, size), rng, noise)


def estimate_joints(
    truth: np.ndarray, known: np.ndarray, camera: Camera, frame_size: tuple[int, int], rng: np.random.Generator,
    noise: NoiseModel | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """`estimate` of joints: truth [M, T, V, 3] in the camera's world, known [M, T, V] bool (hips and shoulders always
    are), frame_size (height, width). What is not known has no confidence and is never visible."""
    noise = noise or NoiseModel()
    persons, frames = truth.shape[:2]
    projected = [camera.project(person) for person in truth]
    pixels, depth = np.stack([pixel for pixel, _ in projected]), np.stack([far for _, far in projected])
    height = 1.7 * camera.focal / camera.distance
    hidden = _hidden(camera, pixels, depth, known)

    moved = np.linalg.norm(np.diff(pixels, axis=1, prepend=pixels[:, :1]), axis=-1)
    spread = noise.jitter * height + noise.jitter_per_speed * moved + noise.hidden_jitter * height * hidden
    white = rng.normal(size=pixels.shape)
    jitter = white.copy()
    for t in range(1, frames):
        jitter[:, t] = 0.6 * jitter[:, t - 1] + 0.8 * white[:, t]
    keypoints = pixels + spread[..., None] * jitter

    confidence = 0.93 - 0.35 * hidden - 1.5 * spread / height + rng.normal(0, 0.04, hidden.shape)
    missed = rng.random(hidden.shape) < noise.joint_miss + noise.hidden_miss * hidden
    outside = ((pixels < 0) | (pixels >= frame_size[::-1])).any(-1)
    missed |= outside
    confidence = np.where(missed, rng.uniform(0.02, 0.28, hidden.shape), confidence.clip(0.05, 1.0))
    confidence = np.where(known, confidence, 0.0)
    swap = get_layout(LAYOUT).mirror
    for m in range(persons):
        swapped = _bursts(rng, frames, noise.swap, noise.burst)
        keypoints[m, swapped] = keypoints[m, swapped][:, swap]
        confidence[m, swapped] = 0.9 * confidence[m, swapped][:, swap]
        gone = _bursts(rng, frames, noise.person_miss, noise.burst)
        confidence[m, gone] = 0.0
    visible = confidence >= THRESHOLD
    return keypoints, confidence, visible, bounding_boxes(keypoints, visible)


def bounding_boxes(keypoints: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Boxes [M, T, 4] around the visible joints, a tenth wider on each side; zeros where none is visible."""
    seen = visible[..., None]
    low = np.where(seen, keypoints, np.inf).min(2)
    high = np.where(seen, keypoints, -np.inf).max(2)
    margin = 0.1 * (high - low)
    boxes = np.concatenate([low - margin, high + margin], axis=-1)
    return np.where(visible.any(2)[..., None], boxes, 0.0)


def _bursts(rng: np.random.Generator, frames: int, rate: float, mean: float) -> np.ndarray:
    """[T] bool: runs of a geometric length, together `rate` of the rows on average."""
    result = np.zeros(frames, bool)
    for start in np.flatnonzero(rng.random(frames) < rate / mean):
        result[start : start + rng.geometric(1 / mean)] = True
    return result
