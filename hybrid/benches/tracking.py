"""Identities on crossings: three Marionette bodies pass behind one another, each clip with half a second unseen.

Who can be seen is decided by silhouettes: bodies are drawn from far to near, and whoever shows less than a quarter
of the own silhouette gives no detection. What shows is detected with scores that fall with what is hidden, joints
behind somebody are guessed or taken from the body in front, and now and then a box is missing or false. The tracker
gets the boxes and joints of each frame, through the same removal of duplicates as in the pipeline, and the rendered
frame, under an exposure that wavers; in one clip of four all are dressed alike.

IDF1 = 2 IDTP / (2 IDTP + IDFP + IDFN), Ristani et al., ECCV workshops 2016. A person counts in the frames in which
they are detected or show half of their silhouette, so what the detector misses is held against the tracker, as are
false detections that it follows; `idf1_ceiling` is what a tracker without a mistake would reach.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from hybrid.config.loading import field
from hybrid.datasets.marionette.body import CHANNEL, Proportions, forward_kinematics, rest_pose, rotate_y
from hybrid.datasets.marionette.camera import Camera
from hybrid.datasets.marionette.motion import min_jerk
from hybrid.datasets.marionette.noise import LAYOUT, NoiseModel, estimate, joint_names, true_joints
from hybrid.datasets.marionette.render import LIMBS, render
from hybrid.datasets.marionette.scene import HAIR, SKIN, Person, Scene
from hybrid.datasets.marionette.splits import TROUSERS, draw_body, draw_shade
from hybrid.errors import ConfigError
from skeleton.events.vocabulary import vocabulary
from skeleton.extraction.persons import Persons, without_duplicates
from skeleton.extraction.tracker import Tracker
from skeleton.layouts.layout import get_layout

SIZE = 360  # pixels, square
SCALE = 0.5  # of the pictures in which silhouettes are counted
PEOPLE = 3
HIDDEN = 0.25  # share of a silhouette below which nobody is detected
LEAST_SECONDS, MOST_SECONDS = 0.5, 1.5  # unseen: at least this long somewhere, nowhere longer
SIGMAS = np.array(get_layout(LAYOUT).sigmas)


@dataclass
class TrackBench:
    """What `tools/bench.py tracking` measures."""

    output: str = field("file for the figures")
    clips: int = field("crossings", 30)
    seed: int = field("of the crossings", 0)
    patience_seconds: float = field("how long the tracker waits for somebody unseen", 2.0)

    def check(self) -> None:
        if self.clips < 1 or self.patience_seconds <= 0:
            found = f"clips={self.clips}, patience_seconds={self.patience_seconds}"
            raise ConfigError(f"clips must be at least 1 and patience_seconds above 0, found {found}; give more")


@dataclass(frozen=True)
class Crossing:
    """A clip. share [M, T]: of each silhouette in sight; persons and owners (-1: false) [N] frame by frame; look: seed
    of what the pictures draw at random."""

    scene: Scene
    share: np.ndarray
    persons: list[Persons]
    owners: list[np.ndarray]
    hidden_seconds: float
    look: int

    @property
    def present(self) -> np.ndarray:
        """[M, T] bool: the frames in which each person counts."""
        found = np.array([np.isin(np.arange(len(self.share)), owners) for owners in self.owners]).T
        return found | (self.share >= 0.5)


def measure(config: TrackBench) -> dict[str, Any]:
    """All figures of the bench."""
    crossings = [draw_crossing(config.seed, number) for number in range(config.clips)]
    results, seconds = [], 0.0
    for crossing in crossings:
        tracker = Tracker(SIGMAS, patience_seconds=config.patience_seconds)
        images = list(pictures(crossing))
        begin = time.perf_counter()
        ids = track(crossing, tracker.update, images)
        seconds += time.perf_counter() - begin
        results.append(identities(crossing, ids))
    total = {key: sum(one[key] for one in results) for key in results[0]}
    frames = sum(len(crossing.persons) for crossing in crossings)
    return {
        "idf1": _f1(total["agreed"], total["true"], total["found"]),
        "idf1_worst_clip": min(_f1(one["agreed"], one["true"], one["found"]) for one in results),
        "idf1_ceiling": _f1(total["detected"], total["true"], total["detected"]),
        "switches": total["switches"],
        "clips": config.clips,
        "persons": PEOPLE * config.clips,
        "longest_occlusion_seconds": max(crossing.hidden_seconds for crossing in crossings),
        "shortest_longest_occlusion_seconds": min(crossing.hidden_seconds for crossing in crossings),
        "updates_per_second": frames / seconds,
        "milliseconds_per_person": 1000 * seconds / sum(len(one) for clip in crossings for one in clip.persons),
    }


def track(crossing: Crossing, update: Callable[..., np.ndarray], images: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The ids [N] that `update(seconds, persons, image)` gives in each frame, in the order of the frame's persons."""
    rows = zip(crossing.scene.times.tolist(), crossing.persons, images, strict=True)
    return [update(seconds, persons, image) for seconds, persons, image in rows]


def pictures(crossing: Crossing) -> Iterator[np.ndarray]:
    """The rendered frames, uint8 [SIZE, SIZE, 3]; their exposure wavers by a few percent."""
    rng = np.random.default_rng(crossing.look)
    waver = 0.0
    for image in render(crossing.scene, rng):
        waver = 0.95 * waver + rng.normal(0, 0.02)
        yield cv2.convertScaleAbs(image, alpha=1 + waver)


def identities(crossing: Crossing, ids: list[np.ndarray]) -> dict[str, int]:
    """Person-frames: agreed (IDTP), true, found, detected; and switches, changes of a person's id."""
    given = np.concatenate(ids)
    names = np.unique(given[given >= 0])
    overlap, last, switches = np.zeros((PEOPLE, len(names)), np.int64), {}, 0
    for owners, some in zip(crossing.owners, ids, strict=True):
        for owner, identity in zip(owners.tolist(), some.tolist(), strict=True):
            if owner >= 0 and identity >= 0:
                overlap[owner, np.searchsorted(names, identity)] += 1
                switches += last.get(owner, identity) != identity
                last[owner] = identity
    return {
        "agreed": int(overlap[linear_sum_assignment(overlap, maximize=True)].sum()),
        "true": int(crossing.present.sum()),
        "found": int((given >= 0).sum()),
        "detected": int(sum((owners >= 0).sum() for owners in crossing.owners)),
        "switches": switches,
    }


def _f1(agreed: int, true: int, found: int) -> float:
    return 2 * agreed / max(true + found, 1)


def draw_crossing(seed: int, number: int) -> Crossing:
    """A clip of 6 to 7 s in which somebody is hidden for 0.5 to 1.5 s; all follows from `seed` and `number`."""
    rng = np.random.default_rng([seed, number])
    while True:
        scene = _draw_scene(rng)
        share, inside, boxes, front = _silhouettes(scene)
        step = scene.times[1] - scene.times[0]
        hidden = max(_gaps((share < HIDDEN) & (inside > 0.9)), default=0) * step
        unseen = max(_gaps(share < HIDDEN), default=0) * step
        if hidden >= LEAST_SECONDS and unseen <= MOST_SECONDS:
            found = _detections(scene, rng, share, boxes, front)
            return Crossing(scene, share, *found, float(hidden), int(rng.integers(2**31)))


def _gaps(unseen: np.ndarray) -> list[int]:
    """Lengths of the runs of `unseen` [M, T] that do not touch either end of the clip."""
    lengths = []
    for row in unseen:
        edges = np.flatnonzero(np.diff(row.astype(int)))
        lengths += [b - a for a, b in pairwise(edges) if row[a + 1]]
    return lengths


def _draw_scene(rng: np.random.Generator) -> Scene:
    fps = float(rng.choice([25, 30]))
    times = np.arange(round(rng.uniform(6.0, 7.0) * fps)) / fps
    lanes = np.array([0.6, 0.0, -0.6]) + rng.uniform(-0.1, 0.1, 3)
    order = rng.permutation(3)  # of the two who meet, the first is nearer
    near, far = np.sort(order[:2])
    paths = np.zeros((PEOPLE, len(times)))
    paths[near], paths[far] = _meeting(rng, times)
    speed = rng.choice([-1, 1]) * rng.uniform(0.3, 1.2)
    paths[order[2]] = _path(times, [speed], [], rng.uniform(1, 5), rng.uniform(-1, 1))
    outfits = [_draw_colours(rng) for _ in range(PEOPLE)]
    if rng.random() < 0.25:
        outfits = [{**outfits[0], "skin": one["skin"], "hair": one["hair"]} for one in outfits]
    persons = tuple(_walker(rng, index, times, paths[index], lanes[index], outfits[index]) for index in range(PEOPLE))
    return Scene(persons, (), _draw_camera(rng, times), times, len(times) / fps)


def _meeting(rng: np.random.Generator, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the nearer and the farther one of two are, metres [T]: they pass, or one stops, goes on or turns back."""
    when, where, side = rng.uniform(2.2, 3.8), rng.uniform(-0.5, 0.5), rng.choice([-1, 1])
    kind = str(rng.choice(["pass", "overtake", "stop behind", "stop in front"]))
    if kind == "pass":
        near, far = side * rng.uniform(0.25, 0.5), -side * rng.uniform(0.25, 0.5)
    elif kind == "overtake":
        near = side * rng.uniform(0.4, 0.9)
        far = near + side * rng.uniform(0.3, 0.6)
    else:
        still, pause = rng.uniform(-0.15, 0.15), rng.uniform(0.4, 1.0)
        coming = side * rng.uniform(0.6, 1.2)
        going = coming * rng.choice([-1, 1]) * rng.uniform(0.7, 1.2)
        one = _path(times, [still], [], when, where)
        other = _path(times, [coming, still, going], [when - pause / 2, when + pause / 2], when, where)
        return (one, other) if kind == "stop behind" else (other, one)
    return _path(times, [near], [], when, where), _path(times, [far], [], when, where)


def _path(times: np.ndarray, speeds: list[float], changes: list[float], when: float, where: float) -> np.ndarray:
    """Places [T] in metres, `where` at time `when`: `speeds` in m/s, with `changes` between them eased over 0.4 s."""
    speed = np.full(len(times), float(speeds[0]))
    for before, after, change in zip(speeds[:-1], speeds[1:], changes, strict=True):
        speed += (after - before) * min_jerk((times - change) / 0.4 + 0.5)
    path = np.cumsum(speed) * (times[1] - times[0])
    return path + where - np.interp(when, times, path)


def _draw_colours(rng: np.random.Generator) -> dict[str, tuple[int, int, int]]:
    return {
        "shirt": draw_shade(rng, "test", str(rng.choice(vocabulary().shirt_colours))),
        "trousers": TROUSERS[str(rng.choice(list(TROUSERS)))],
        "skin": SKIN[int(rng.integers(len(SKIN)))],
        "hair": HAIR[int(rng.integers(len(HAIR)))],
    }


def _walker(
    rng: np.random.Generator, index: int, times: np.ndarray, path: np.ndarray, lane: float, colours: dict
) -> Person:
    """Somebody who walks along x at depth `lane`; who stops turns to the camera or away from it."""
    body = draw_body(rng, "test")
    speed = np.gradient(path, times)
    pose = _gait(body, np.abs(speed), times, rng.uniform(0, 2 * np.pi))
    turn = 90 * np.tanh(speed / 0.15)
    yaw = np.radians(turn if rng.random() < 0.5 else 180 - turn)
    ground = np.stack([path, np.zeros_like(path), np.full_like(path, lane)], axis=1)
    joints = {name: rotate_y(point, yaw) + ground for name, point in forward_kinematics(pose, body).items()}
    return Person(index, "", colours, body, "", (), joints)


def _gait(body: Proportions, speed: np.ndarray, times: np.ndarray, start: float) -> np.ndarray:
    """Poses [T, K] of walking at `speed` [T] m/s: legs swing against each other, arms against the legs."""
    phase = start + 2 * np.pi * np.cumsum(speed) * (times[1] - times[0]) / (0.75 * body.height)
    swing = np.minimum(speed / 0.8, 1)
    pose = rest_pose(len(times))
    for side, sign in (("left", 1), ("right", -1)):
        forward = sign * swing * np.sin(phase)
        pose[:, CHANNEL[f"{side}_hip"]] = 25 * forward
        pose[:, CHANNEL[f"{side}_knee"]] = 10 * swing + 30 * swing * np.maximum(sign * np.cos(phase), 0)
        pose[:, CHANNEL[f"{side}_lift"]] = 9 * (1 - swing) - 24 * forward
        pose[:, CHANNEL[f"{side}_sweep"]] = 25 + 65 * swing
        pose[:, CHANNEL[f"{side}_fore_lift"]] = 14 - 24 * forward
        pose[:, CHANNEL[f"{side}_fore_sweep"]] = 70 + 20 * swing
    return pose


def _draw_camera(rng: np.random.Generator, times: np.ndarray) -> Camera:
    """Level or slightly from above; two of three are held by hand, and half of those pan or zoom."""
    distance, frames = rng.uniform(6, 9), len(times)
    pan, zoom = np.zeros((frames, 2)), np.ones(frames)
    if rng.random() < 2 / 3:
        noise = rng.normal(0, 1, (frames, 2))
        for t in range(1, frames):
            noise[t] += 0.8 * noise[t - 1]
        pan += 0.004 * SIZE * rng.uniform(0.3, 1) * noise
        if rng.random() < 0.5:
            progress = min_jerk((times - rng.uniform(0.5, 3)) / rng.uniform(1.5, 3))
            pan[:, 0] += rng.choice([-1, 1]) * rng.uniform(0.1, 0.3) * SIZE * (progress - 0.5)
            zoom += rng.uniform(-0.15, 0.15) * progress
    focal = rng.uniform(62, 75) * distance
    return Camera(SIZE, focal, distance, np.radians(rng.uniform(0, 6)), 0.53 * SIZE, pan, zoom)


def _silhouettes(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What is in sight: share and inside [M, T] of each silhouette (not hidden and inside the picture; inside the
    picture), boxes [M, T, 4] px around what shows, front [M, T, V] int: who covers a joint, -1 for nobody."""
    bodies = [_Body(person, scene.camera) for person in scene.persons]
    frames, side, margin = len(scene.times), round(SIZE * SCALE), round(SIZE * SCALE / 2)
    window = (slice(margin, margin + side),) * 2
    share, inside, boxes = np.zeros((PEOPLE, frames)), np.zeros((PEOPLE, frames)), np.zeros((PEOPLE, frames, 4))
    pixels = np.stack([scene.camera.project(joints)[0] for joints in true_joints(scene)])
    column, row = np.clip(pixels * SCALE, 0, side - 1).astype(int).transpose(3, 0, 1, 2)
    front = np.full(column.shape, -1)
    for t in range(frames):
        labels = np.full((side, side), -1, np.int8)
        area = np.zeros(PEOPLE)
        for m in sorted(range(PEOPLE), key=lambda m: -bodies[m].depth[t]):
            canvas = bodies[m].drawn(t, margin, side + 2 * margin)
            area[m] = max(np.count_nonzero(canvas), 1)  # nothing where somebody is far outside
            own = canvas[window] > 0
            inside[m, t] = np.count_nonzero(own) / area[m]
            labels[own] = m
        for m in range(PEOPLE):
            shown = labels == m
            share[m, t] = np.count_nonzero(shown) / area[m]
            if share[m, t] > 0:
                ys, xs = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
                boxes[m, t] = np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]) / SCALE
            found = labels[row[m, t], column[m, t]]
            # what lies on a joint is in front of it only if it was drawn later
            nearer = np.array([body.depth[t] for body in bodies])[found] < bodies[m].depth[t]
            front[m, t] = np.where((found >= 0) & nearer, found, -1)
    return share, inside, boxes, front


class _Body:
    """One person as filled shapes in each frame."""

    def __init__(self, person: Person, camera: Camera) -> None:
        self.pixels, far = {}, {}
        for name, point in person.joints.items():
            pixels, far[name] = camera.project(point)
            self.pixels[name] = pixels * SCALE
        self.depth = far["pelvis"]
        self.width = SCALE * person.body.girth * camera.focal * camera.zoom / self.depth
        self.head = 0.125 * SCALE * person.body.head * camera.focal * camera.zoom / self.depth

    def drawn(self, t: int, margin: int, side: int) -> np.ndarray:
        """uint8 [side, side], 255 where the body is; the picture begins at (margin, margin)."""
        canvas = np.zeros((side, side), np.uint8)
        at = {name: np.round(pixels[t] + margin).astype(int).tolist() for name, pixels in self.pixels.items()}
        for start, end, thickness, _ in LIMBS:
            for body_side in ("left", "right"):
                width = max(round(thickness * self.width[t]), 1)
                cv2.line(canvas, at[f"{body_side}_{start}"], at[f"{body_side}_{end}"], 255, width)
        names = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
        corners = np.array([at[name] for name in names], np.int32)
        cv2.polylines(canvas, [corners], True, 255, max(round(0.17 * self.width[t]), 1))
        cv2.fillConvexPoly(canvas, cv2.convexHull(corners), 255)
        cv2.line(canvas, at["neck"], at["head"], 255, max(round(0.8 * self.head[t]), 1))
        cv2.circle(canvas, at["head"], max(round(self.head[t]), 1), 255, -1)
        return canvas


def _detections(
    scene: Scene, rng: np.random.Generator, share: np.ndarray, boxes: np.ndarray, front: np.ndarray
) -> tuple[list[Persons], list[np.ndarray]]:
    """What a detector and an estimator make of the clip, frame by frame, in any order; and whom each is of."""
    keypoints, confidence, _, whole = estimate(scene, rng, NoiseModel())
    frames, height = len(scene.times), 1.7 * scene.camera.focal / scene.camera.distance
    snapped = (share < 0.5) & (rng.random(share.shape) < 0.1)  # the pose of whoever stands in front is found
    own = keypoints.copy()
    for m, t, v in np.argwhere(front >= 0).tolist():
        taken = rng.random() < 0.4
        keypoints[m, t, v] = own[front[m, t, v], t, v] if taken else own[m, t, v] + rng.normal(0, 0.06 * height, 2)
        confidence[m, t, v] = min(confidence[m, t, v], rng.uniform(0.05, 0.6 if taken else 0.45))
    for m, t in np.argwhere(snapped & (front >= 0).any(-1)).tolist():
        other = np.bincount(front[m, t][front[m, t] >= 0]).argmax()
        keypoints[m, t] = own[other, t] + rng.normal(0, 0.01 * height, own[other, t].shape)
    waver = rng.normal(0, 0.03, share.shape)
    for t in range(1, frames):
        waver[:, t] += 0.85 * waver[:, t - 1]
    scores = np.clip(0.25 + 0.65 * np.clip((share - HIDDEN) / 0.4, 0, 1) + waver, 0.05, 0.99)
    full = np.where(whole.any(-1, keepdims=True), whole, boxes)
    grown = rng.uniform(0, 0.6, (*share.shape, 1)) * (share < 0.9)[..., None]
    boxes = boxes + grown * (full - boxes) + rng.normal(0, 0.012 * height, boxes.shape)
    found = (share >= HIDDEN) & (scores >= 0.25) & (confidence > 0).any(-1)

    persons, owners, false = [], [], []
    for t in range(frames):
        rows = np.flatnonzero(found[:, t])
        false = [(left - 1, one) for left, one in false if left > 1]
        if rng.random() < 0.01:
            false.append((int(rng.integers(1, 5)), _false_person(rng, height)))
        real = Persons(boxes[rows, t], scores[rows, t], keypoints[rows, t], confidence[rows, t])
        every = _joined([real, *(one for _, one in false)])
        order = rng.permutation(len(every))
        every, whose = every[order], np.append(rows, np.full(len(false), -1))[order]
        kept = without_duplicates(every, SIGMAS, 0.3)
        place = [int(np.flatnonzero((every.boxes == box).all(1))[0]) for box in kept.boxes]
        persons.append(kept)
        owners.append(whose[place])
    return persons, owners


def _false_person(rng: np.random.Generator, height: float) -> Persons:
    size = height * rng.uniform(0.5, 1.1) * np.array([0.4, 1.0])
    corner = rng.uniform(0, SIZE - size)
    keypoints = corner + size * rng.random((len(joint_names()), 2))
    confidence = rng.uniform(0, 0.5, (1, len(keypoints)))
    box = np.concatenate([corner, corner + size])[None]
    return Persons(box, rng.uniform(0.25, 0.6, 1), keypoints[None], confidence)


def _joined(some: list[Persons]) -> Persons:
    names = ("boxes", "scores", "keypoints", "confidence")
    return Persons(*(np.concatenate([getattr(one, name) for one in some]) for name in names))
