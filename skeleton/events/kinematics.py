"""One person's motion in the body's own frame: bone directions, trunk, head, root, from 3D or 2D.

Everything is in units of the person's own torso (hips to shoulders), so near and far, tall and short look
alike. Axes are the person's: left, up, forward; `up` of a limb is along the trunk, so an arm keeps its reading
while the body bends. In 2D a view shows up and one horizontal axis: left where the body faces or turns its back
on the camera, forward where it is seen from a side; the other axis is NaN, never guessed. Which of these it is
follows from the width of the shoulders and the place of the nose. After posecodes and kinematic phrases
(PoseScript 2022, Kinematic Phrases 2024), re-derived for image joints.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from skeleton.errors import SkeletonError
from skeleton.events.denoising import (
    between_sides,
    bridge,
    held,
    rolling,
    shake,
    smooth,
    trust,
    unswap,
    without_flicker,
)
from skeleton.layouts.conversion import convert
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

SMOOTHING_SECONDS = {2: 0.045, 3: 0.02}  # of joints, by coordinates; a fast repetition lasts half a second
DOUBTFUL = 2.5  # times as much for a joint that the estimator doubts, such as one behind the trunk
GAP_SECONDS = 0.5  # longer absences are not bridged
SEEN = 0.6  # share of the rows of a second in which a joint must be seen to be measured
WIDTH = 0.75  # shoulders from the front, in torsos
SIDE_VIEW = 0.5  # a body whose shoulders show less than this share of their width is seen from a side
BONES = {
    "upper": ("shoulder", "elbow"),
    "fore": ("elbow", "wrist"),
    "thigh": ("hip", "knee"),
    "shank": ("knee", "ankle"),
}
RATIOS = {"upper": (0.48, 0.72), "fore": (0.42, 0.62), "thigh": (0.62, 1.0), "shank": (0.6, 1.0)}  # lengths in torsos
LEG = ("thigh", "shank")
THIGH = 0.51  # share of the leg
FLAT = 0.75  # share of its length from which a trunk's direction in the picture can be told
NOSE, EARS = 0.23, 0.34  # torsos from the ears to the nose, from ear to ear
SURE_FACE = 0.3  # trust in nose and ears below which a face tells nothing
HEAD_SECONDS = 0.06  # a head is small: its angles are smoothed once more
SIDES = ("left", "right")
CROWD = 3  # persons from whose common motion the camera's is told


@dataclass(frozen=True)
class Kinematics:
    """The motion of one person over T rows at `fps` a second; NaN where this view or the estimate cannot tell.

    times [T]     seconds of the video
    joints        name -> [T, C], up positive, in the record's units
    torso [T]     length of the torso in the record's units
    across [T]    share of the body's width that the camera sees: 1 front, -1 back, about 0 side (3D: 1)
    facing [T]    +1 where forward is to the image's right, -1 to its left (3D: 1)
    trunk [T, 3]  unit vector from hips to shoulders as (left, up, forward) of an upright body
    bones         (side, bone) -> [T, 3] unit vectors as (left, up, forward): of the trunk for arms, upright for legs
    head [T, 3]   yaw (left +), pitch (up +), roll (to the left +) in degrees against the usual
    root [T, 3]   (left, up, forward) of the hips in torsos from their first place, heading of each row
    """

    fps: float
    times: np.ndarray
    planar: bool
    joints: dict[str, np.ndarray]
    torso: np.ndarray
    across: np.ndarray
    facing: np.ndarray
    trunk: np.ndarray
    bones: dict[tuple[str, str], np.ndarray]
    head: np.ndarray
    root: np.ndarray
    axes: np.ndarray  # [T, C, C], rows: the trunk's (left, up, forward) in 3D, (right of the image, up) in 2D
    upright: np.ndarray  # the same for the heading, with up against gravity
    trust: dict[str, np.ndarray]  # name -> [T], 0 to 1: whether the estimator doubts a joint less than it usually does
    confidence: np.ndarray  # [T, V] of the estimate, joints of coco17; NaN where a joint is not visible
    jitter: float  # how much the shape of the trunk shakes, in torsos (`steadying.shake`)

    @property
    def lateral(self) -> np.ndarray:
        """[T] bool: left and right can be seen."""
        return np.abs(self.across) >= SIDE_VIEW

    @property
    def sagittal(self) -> np.ndarray:
        """[T] bool: forward and back can be seen."""
        return ~self.lateral if self.planar else np.ones(len(self.times), bool)

    def views(self) -> np.ndarray | None:
        """[T] of front, back, left, right: the side of the body that the camera sees; None in 3D."""
        if not self.planar:
            return None
        aside = np.where(self.facing > 0, "right", "left")
        return np.where(self.lateral, np.where(self.across > 0, "front", "back"), aside)

    def view(self) -> str | None:
        """What the camera sees most of the time, or None in 3D."""
        views = self.views()
        if views is None:
            return None
        names, counts = np.unique(views, return_counts=True)
        return str(names[np.argmax(counts)])

    def split(self, level: np.ndarray, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """What points to the right of the image [T] as (left, forward) of the body; NaN for the one that is not seen."""
        aside = self.lateral[rows]
        left = np.where(aside, level * np.sign(self.across[rows]), np.nan)
        return left, np.where(aside, np.nan, level * self.facing[rows])

    def between(self, start: str, end: str, upright: bool = False, rows: slice = slice(None)) -> np.ndarray:
        """[T, 3]: vector from joint to joint in torsos, as (left, up, forward) of the trunk, or upright ones."""
        axes = (self.upright if upright else self.axes)[rows]
        vectors = (self.joints[end][rows] - self.joints[start][rows]) / self.torso[rows, None]
        turned = np.einsum("tij,tj->ti", axes, vectors)
        if not self.planar:
            return turned
        left, forward = self.split(turned[:, 0], rows)
        return np.stack([left, turned[:, 1], forward], axis=1)

    def far(self, one: str, other: str, rows: slice = slice(None)) -> np.ndarray:
        """[T]: distance between two joints in torsos, as far as it can be seen."""
        return np.linalg.norm(self.joints[one][rows] - self.joints[other][rows], axis=1) / self.torso[rows]

    def angle(self, first: str, joint: str, last: str) -> np.ndarray:
        """[T]: degrees at `joint` between the ways to two others, as far as they can be seen; 180 is straight."""
        one, other = (_unit(self.joints[end] - self.joints[joint]) for end in (first, last))
        return np.degrees(np.arccos(np.clip((one * other).sum(1), -1, 1)))

    def speed(self, joint: str, against: str | None = None) -> np.ndarray:
        """[T]: torsos a second of a joint, in the picture or against another joint, as far as it can be seen."""
        place = self.joints[joint] - (0 if against is None else self.joints[against])
        return np.linalg.norm(np.gradient(place / self.torso[:, None], self.times, axis=0), axis=1)

    def height(self) -> np.ndarray:
        """[T]: hips over the ankles as a share of the length of the leg, of the lower side; 1 standing."""
        drops = [
            THIGH * self.bones[side, "thigh"][:, 1] + (1 - THIGH) * self.bones[side, "shank"][:, 1] for side in SIDES
        ]
        return -np.fmin(*drops)


def measure(skeleton: Skeleton, person: int, shift: np.ndarray | None = None) -> Kinematics | None:
    """Kinematics of the person in row `person`, between the first and the last row where they are seen.

    None where shoulders are seen in less than three rows; hips out of the picture are put a torso below them. 3D
    records have y up. shift [T, C]: how far the camera has moved the picture (`camera_shift`), taken away first.
    Raises SkeletonError for an unknown row.
    """
    if not 0 <= person < skeleton.num_persons:
        raise SkeletonError(f"expected a person row below {skeleton.num_persons}, found {person}: count from 0")
    has_face = "nose" in get_layout(skeleton.layout).joints
    body = convert(skeleton, "coco17")
    names = get_layout("coco17").joints
    points = np.where(body.visible[person][..., None], body.keypoints[person], np.nan).astype(float)
    if shift is not None:
        points -= shift[:, None]
    planar = points.shape[-1] == 2
    if planar:
        points[..., 1] *= -1
    shoulders, hips = ([names.index(f"{side}_{part}") for side in SIDES] for part in ("shoulder", "hip"))
    if (
        planar
        and np.isfinite(points[:, hips, 0]).any(1).sum() < SEEN * np.isfinite(points[:, shoulders, 0]).all(1).sum()
    ):
        points[:, hips] = _hips_below(points[:, shoulders])
    seen = np.flatnonzero(np.isfinite(points[:, shoulders, 0]).any(1) & np.isfinite(points[:, hips, 0]).any(1))
    if len(seen) < 3:
        return None
    rows = slice(seen[0], seen[-1] + 1)
    times, points = body.timestamps[rows], points[rows]
    fps = 1.0 / float(np.median(np.diff(times)))
    points = bridge(without_flicker(points, round(fps), SEEN), round(GAP_SECONDS * fps))
    if planar:
        points = unswap(points, get_layout("coco17").mirror)
        points = bridge(points, 1)
    jitter = shake(points[:, shoulders + hips], fps)
    sharp, blurred = (smooth(points, factor * SMOOTHING_SECONDS[points.shape[-1]] * fps) for factor in (1, DOUBTFUL))
    confidence = np.where(body.visible[person, rows], body.confidence[person, rows], np.nan)
    trusted = trust(confidence, fps)
    points = np.where(np.isfinite(points), trusted * sharp + (1 - trusted) * blurred, np.nan)
    joints = {name: points[:, i] for i, name in enumerate(names)}
    sure = {name: trusted[:, i, 0] for i, name in enumerate(names)}
    for part in ("shoulder", "hip", "ear", "knee", "ankle"):
        joints[part] = between_sides(joints[f"left_{part}"], joints[f"right_{part}"])
    result = _planar(times, fps, joints, sure, has_face) if planar else _solid(times, fps, joints, sure)
    return replace(result, confidence=confidence, jitter=jitter)


def _hips_below(shoulders: np.ndarray) -> np.ndarray:
    """Hips [T, 2, C] of somebody of whom the picture shows the upper part, upright, from shoulders [T, 2, C]."""
    wide = np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)
    torso = np.nanpercentile(wide, 90) / WIDTH if np.isfinite(wide).any() else np.nan
    center = between_sides(shoulders[:, 0], shoulders[:, 1])[:, None]
    return center + 0.6 * (shoulders - center) - (0.0, torso)


def camera_shift(skeleton: Skeleton) -> np.ndarray:
    """[T, 2]: how far the picture has moved since the first row, in pixels: what the hips and shoulders of most of at
    least three persons do from row to row is the camera's, not theirs. Zeros for fewer persons and in 3D."""
    body = convert(skeleton, "coco17")
    moved = np.zeros((skeleton.num_frames, body.keypoints.shape[-1]))
    if body.keypoints.shape[-1] != 2 or skeleton.num_persons < CROWD or skeleton.num_frames < 2:
        return moved
    trunk = [get_layout("coco17").index(f"{side}_{part}") for side in SIDES for part in ("shoulder", "hip")]
    points = np.where(body.visible[:, :, trunk, None], body.keypoints[:, :, trunk], np.nan).astype(float)
    steps = np.diff(points, axis=1).transpose(1, 0, 2, 3)
    persons = np.isfinite(steps[..., 0]).any(2).sum(1)
    for row in np.flatnonzero(persons >= CROWD):
        moved[row + 1] = np.nanmedian(steps[row].reshape(-1, 2), axis=0)
    return np.cumsum(moved, axis=0)


def _solid(times: np.ndarray, fps: float, joints: dict[str, np.ndarray], sure: dict[str, np.ndarray]) -> Kinematics:
    spine = joints["shoulder"] - joints["hip"]
    torso = np.full(len(times), np.nanmedian(np.linalg.norm(spine, axis=1)))
    wide = joints["left_shoulder"] - joints["right_shoulder"] + joints["left_hip"] - joints["right_hip"]
    up = _unit(spine)
    left = _unit(wide - up * (wide * up).sum(1, keepdims=True))
    axes = np.stack([left, up, np.cross(left, up)], axis=1)
    level = _unit(wide * (1.0, 0.0, 1.0))
    vertical = np.broadcast_to((0.0, 1.0, 0.0), level.shape)
    heading = np.stack([level, vertical, np.cross(level, vertical)], axis=1)
    ones = np.ones(len(times))
    body = Kinematics(
        fps, times, False, joints, torso, ones, ones, np.einsum("tij,tj->ti", heading, up),
        {}, np.empty(0), np.empty(0), axes, heading, sure, np.empty(0), 0.0,
    )  # fmt: skip
    for side in SIDES:
        for bone, (start, end) in BONES.items():
            vector = body.between(f"{side}_{start}", f"{side}_{end}", upright=bone in LEG)
            body.bones[side, bone] = _unit(vector)
    nose, ears = body.between("ear", "nose"), body.between("right_ear", "left_ear")
    yaw = np.degrees(np.arctan2(nose[:, 0], nose[:, 2]))
    pitch = np.degrees(np.arctan2(nose[:, 1], np.linalg.norm(nose[:, [0, 2]], axis=1)))
    roll = -np.degrees(np.arcsin(np.clip(_unit(ears)[:, 1], -1, 1)))
    moved = np.einsum("tij,tj->ti", heading, joints["hip"] - joints["hip"][0]) / torso[:, None]
    return replace(body, head=_against_usual(np.stack([yaw, pitch, roll], 1)), root=moved)


def _planar(
    times: np.ndarray, fps: float, joints: dict[str, np.ndarray], sure: dict[str, np.ndarray], has_face: bool
) -> Kinematics:
    spine = joints["shoulder"] - joints["hip"]
    apparent = np.linalg.norm(spine, axis=1)
    torso = held(rolling(apparent, 90, round(4 * fps)))
    flat = apparent > FLAT * torso  # a trunk that points at the camera tells no direction
    up = np.where(flat[:, None], _unit(spine), (0.0, 1.0))
    right = np.stack([up[:, 1], -up[:, 0]], axis=1)
    wide = joints["left_shoulder"] - joints["right_shoulder"]
    hidden = ~np.isfinite(wide).all(1)  # whoever shows one shoulder only is seen from a side
    wide = np.where(hidden.mean() > 1 - SEEN, 0.0, wide)
    shown = median_filter(held((wide * right).sum(1) / torso / WIDTH), 2 * round(0.4 * fps) + 1, mode="nearest")
    across = np.clip(shown, -1, 1)
    facing = _facing(joints, right, torso, round(0.5 * fps), has_face)
    axes = np.stack([right, up], axis=1)
    tilt = (spine / torso[:, None])[:, 0]
    level = np.broadcast_to(np.eye(2), axes.shape)
    body = Kinematics(
        fps, times, True, joints, torso, across, facing, np.empty(0), {}, np.empty(0), np.empty(0), axes, level,
        sure, np.empty(0), 0.0,
    )  # fmt: skip
    left, forward = body.split(tilt)
    trunk = np.stack([left, np.clip(spine[:, 1] / torso, -1, 1), forward], axis=1)
    for bone, (start, end) in BONES.items():
        vectors = {side: body.between(f"{side}_{start}", f"{side}_{end}", bone in LEG) for side in SIDES}
        apparent = {side: np.hypot(vectors[side][:, 1], np.nanmax(np.abs(vectors[side][:, [0, 2]]), axis=1, initial=0))
                    for side in SIDES}  # fmt: skip
        surest = max(SIDES, key=lambda side: sure[f"{side}_{end}"].mean())
        length = np.clip(_high(apparent[surest]), *RATIOS[bone])
        for side in SIDES:
            body.bones[side, bone] = np.clip(vectors[side] / length, -1, 1)
    nose, ears = body.between("ear", "nose"), body.between("right_ear", "left_ear")
    yaw = np.degrees(np.arcsin(np.clip(nose[:, 0] / NOSE, -1, 1)))
    pitch = np.degrees(np.arcsin(np.clip(nose[:, 1] / NOSE, -1, 1)))
    roll = -np.degrees(np.arcsin(np.clip(ears[:, 1] / EARS, -1, 1)))
    roll = np.where(body.lateral, roll, np.nan)
    back = across < -SIDE_VIEW
    yaw, pitch = np.where(body.lateral & ~back, yaw, np.nan), np.where(back, np.nan, pitch)
    step = np.zeros((len(times), 2))
    step[1:] = np.nan_to_num(np.diff(joints["hip"], axis=0)) / torso[1:, None]
    moved = np.cumsum(step, axis=0)
    left, forward = body.split(moved[:, 0])
    root = np.stack([left, moved[:, 1], forward], axis=1)
    turned = _against_usual(np.stack([yaw, pitch, roll], 1))
    doubtful = np.minimum(np.minimum(sure["nose"], sure["left_ear"]), sure["right_ear"]) < SURE_FACE
    turned[:, :2] = np.where(doubtful[:, None], np.nan, turned[:, :2])
    return replace(body, trunk=trunk, head=_steady(turned, HEAD_SECONDS * fps), root=root)


def _facing(
    joints: dict[str, np.ndarray], right: np.ndarray, torso: np.ndarray, window: int, has_face: bool
) -> np.ndarray:
    """[T] of +1 or -1: the side of the image that a body seen from a side looks to. The nose tells it; without a
    face knees do, which bend forward."""
    if has_face:
        ahead = joints["nose"] - np.where(np.isfinite(joints["ear"]), joints["ear"], joints["shoulder"])
    else:
        bends = [joints[f"{side}_knee"] - (joints[f"{side}_hip"] + joints[f"{side}_ankle"]) / 2 for side in SIDES]
        ahead = between_sides(*bends)
        window *= 4
    level = np.nan_to_num((ahead * right).sum(1) / torso)
    smooth = gaussian_filter1d(level, max(window, 1), mode="nearest")
    if not has_face:
        smooth = smooth + np.sum(level) / max(len(level), 1)
    return np.where(smooth >= 0, 1.0, -1.0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _high(values: np.ndarray) -> float:
    """The 75th percentile of what is known, so that noise does not lengthen a bone; 0 where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.percentile(known, 75)) if len(known) else 0.0


def _steady(angles: np.ndarray, sigma: float) -> np.ndarray:
    """Angles [T, 3] of a small thing such as a head, smoothed once more."""
    return smooth(angles[:, None, :], sigma)[:, 0]


def _against_usual(angles: np.ndarray) -> np.ndarray:
    """Angles [T, 3] minus their medians: how a head is carried differs from body to body and estimator to estimator."""
    usual = np.zeros(angles.shape[1])
    for axis in range(angles.shape[1]):
        known = angles[np.isfinite(angles[:, axis]), axis]
        usual[axis] = np.median(known) if len(known) else 0.0
    return angles - usual
