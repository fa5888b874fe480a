"""What a real pose estimator would make of a scene: the true joints with its typical faults.

Jitter grows with speed and is alike in neighbouring frames; hidden joints are guessed badly, with low
confidence; joints and whole persons are missed for some frames; now and then left and right are exchanged for
a few frames, of the whole body, of the arms or of the legs. Some persons are told with less confidence than others, and
arms with less than trunks. A joint is visible where its confidence reaches THRESHOLD. The usual values are those of
real videos (docs/marionette_reality.md).
"""

from dataclasses import dataclass

import numpy as np

from hybrid.datasets.marionette.camera import Camera
from hybrid.datasets.marionette.scene import Scene
from skeleton.layouts.layout import get_layout

THRESHOLD = 0.3
LAYOUT = "coco17"
FACE = ("nose", "left_eye", "right_eye")


JITTER_OF = {"elbow": 1.25, "wrist": 1.4}  # times the jitter of the other joints
MISS_OF = {"shoulder": 0.6, "hip": 0.6, "elbow": 1.5, "wrist": 2.0, "ankle": 1.3}  # times their misses
CONFIDENCE_OF = {  # against the usual of the person
    "nose": 0.05, "eye": 0.05, "ear": 0.05, "shoulder": 0.04, "elbow": -0.04, "wrist": -0.05, "hip": -0.03, "ankle": -0.03,
}  # fmt: skip


@dataclass(frozen=True)
class NoiseModel:
    """Rates are per row (frame of a person) or per joint and row; lengths are fractions of the body height."""

    jitter: float = 0.0045
    jitter_per_speed: float = 0.04  # of the distance moved since the last frame
    hidden_jitter: float = 0.014
    joint_miss: float = 0.01
    hidden_miss: float = 0.06
    person_miss: float = 0.016
    swap: float = 0.016
    limb_swap: float = 0.008  # of the arms alone, and of the legs alone
    burst: float = 2.5  # mean length of an exchange or of the miss of a person, in rows
    joint_burst: float = 1.6  # of the miss of a joint
    confidence: float = 0.68  # of a joint that is seen
    confidence_spread: float = 0.045  # between persons
    hidden_confidence: float = 0.33  # share of it that a hidden joint loses


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
    spread = noise.jitter * height * _by_joint(JITTER_OF, 1.0) + noise.jitter_per_speed * moved
    spread += noise.hidden_jitter * height * hidden
    keypoints = pixels + spread[..., None] * _alike(rng.normal(size=pixels.shape))

    usual = noise.confidence + noise.confidence_spread * rng.normal(size=(persons, 1, 1))
    usual = usual + _by_joint(CONFIDENCE_OF, 0.0) + rng.normal(0, 0.03, (persons, 1, hidden.shape[2]))
    confidence = usual * (1 - noise.hidden_confidence * hidden) - 1.5 * spread / height
    confidence += 0.045 * _alike(rng.normal(size=hidden.shape))
    rate = noise.joint_miss * _by_joint(MISS_OF, 1.0) + noise.hidden_miss * hidden
    missed = np.zeros(hidden.shape, bool)
    for m, start, joint in np.argwhere(rng.random(hidden.shape) < rate / noise.joint_burst):
        missed[m, start : start + rng.geometric(1 / noise.joint_burst), joint] = True
    missed |= ((pixels < 0) | (pixels >= frame_size[::-1])).any(-1)
    confidence = np.where(missed, rng.uniform(0.02, 0.28, hidden.shape), confidence.clip(0.05, 1.0))
    confidence = np.where(known, confidence, 0.0)
    mirror, everything = get_layout(LAYOUT).mirror, np.arange(hidden.shape[2])
    ends = [name.rpartition("_")[2] for name in joint_names()]
    arms, legs = np.isin(ends, ("elbow", "wrist")), np.isin(ends, ("knee", "ankle"))
    for m in range(persons):
        for chosen, share in ((True, noise.swap), (arms, noise.limb_swap), (legs, noise.limb_swap)):
            exchanged = np.where(chosen, mirror, everything)
            swapped = _bursts(rng, frames, share, noise.burst)
            keypoints[m, swapped] = keypoints[m, swapped][:, exchanged]
            confidence[m, swapped] = 0.9 * confidence[m, swapped][:, exchanged]
        gone = _bursts(rng, frames, noise.person_miss, noise.burst)
        confidence[m, gone] = 0.0
    visible = confidence >= THRESHOLD
    return keypoints, confidence, visible, bounding_boxes(keypoints, visible)


def _by_joint(values: dict[str, float], other: float) -> np.ndarray:
    """[V]: the value of each joint by its name without side."""
    return np.array([values.get(name.rpartition("_")[2], other) for name in joint_names()])


def _alike(white: np.ndarray) -> np.ndarray:
    """White noise [M, T, ...] made alike in neighbouring rows, of the same spread."""
    result = white.copy()
    for t in range(1, white.shape[1]):
        result[:, t] = 0.6 * result[:, t - 1] + 0.8 * white[:, t]
    return result


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
