"""One window of motion capture as a drawn camera sees it, and which sides of the person it shows.

The camera stands still and keeps the whole window in sight. The view is that of the window's start, give or take
YAW_DEGREES; who turns shows other sides later, and `sides_shown` tells which.
"""

from collections import Counter
from dataclasses import asdict, replace

import numpy as np
from scipy.interpolate import make_interp_spline

from hybrid.datasets.marionette.body import rotate_y
from hybrid.datasets.marionette.camera import Camera
from hybrid.datasets.marionette.noise import LAYOUT, THRESHOLD, NoiseModel, bounding_boxes, estimate_joints
from hybrid.datasets.marionette.scene import YAW
from hybrid.errors import DataError
from skeleton.events.limb_event import LimbEvent
from skeleton.events.viewpoints import facing, view_of
from skeleton.layouts.conversion import convert
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

YAW_DEGREES, ELEVATION_DEGREES = 20.0, 14.0
FIELD = (0.9, 1.4)  # focal length in picture widths: 58 to 39 degrees
MARGIN = 0.06  # of the picture, kept free on each side
HEADROOM = 0.25  # metres above each joint: captures have no crown, and hands end at the wrist
NEAR = 2.0  # metres from the camera, at least
SHOWN = 0.25  # share of an event's rows for which a side must be shown to count


def windows(record: Skeleton, seconds: float, fps: float) -> list[Skeleton]:
    """A record of one person in metres, cut evenly into windows of at most `seconds`, each with a clock of its own and
    its first hips over x = z = 0. Above `fps` joints are interpolated at `fps`. DataError for less than two rows."""
    joints, rate = record.keypoints[0], record.source["fps"]
    if rate > 1.005 * fps and len(joints) > 1:
        times = np.arange(int(record.timestamps[-1] * fps + 1e-6) + 1) / fps
        joints, rate = make_interp_spline(record.timestamps, joints, k=1)(times), fps
    if len(joints) < 2:
        raise DataError(f"expected at least two rows at {rate:g} a second, found {len(joints)}: leave the capture out")
    hips = [get_layout(record.layout).index(f"{side}_hip") for side in ("left", "right")]
    result = []
    for part in np.array_split(joints, int(np.ceil(len(joints) / max(int(seconds * rate), 2)))):
        visible = np.broadcast_to(record.visible[:, :1], (1, *part.shape[:2]))
        result.append(
            replace(
                record, keypoints=(part - part[0, hips].mean(0) * (1, 0, 1))[None], visible=visible,
                confidence=visible.astype(np.float32), boxes=np.zeros((1, len(part), 4)),
                timestamps=np.arange(len(part)) / rate, source=record.source | {"fps": rate},
            )
        )  # fmt: skip
    return result


def look(
    truth: Skeleton, view: str | float, frame_size: tuple[int, int], swap: float,
    camera_rng: np.random.Generator, noise_rng: np.random.Generator,
) -> tuple[Skeleton, Skeleton]:  # fmt: skip
    """(what an estimator finds: coco17, pixels; the truth with outlines and camera) of one window.

    view: a name, or degrees that the person is turned to their left from facing the camera.
    frame_size: (height, width). swap: share of the rows with left and right exchanged. The truth's `camera` holds how
    the world of camera.py is reached: turn by `yaw` radians about y, then take `middle` away.
    """
    jitter = np.radians(camera_rng.uniform(-YAW_DEGREES, YAW_DEGREES))
    degrees = YAW[view] if isinstance(view, str) else view
    yaw = float(np.radians(degrees) + jitter - np.angle(np.exp(1j * facing(truth)[0, :5]).sum()))
    body = convert(truth, LAYOUT)
    known = body.visible
    joints = rotate_y(body.keypoints.reshape(-1, 3).astype(float), np.full(body.confidence.size, yaw))
    joints = joints.reshape(body.keypoints.shape[1:])
    seen = joints[:, known[0, 0]]  # a joint is known in all rows or in none
    middle = (seen.min((0, 1)) + seen.max((0, 1))) / 2 * (1, 0, 1)
    camera = fit_camera(seen - middle, frame_size, camera_rng)
    noise = NoiseModel(swap=-float(np.log1p(-swap)))  # bursts overlap: this rate exchanges that share of the rows
    keypoints, confidence, visible, boxes = estimate_joints(
        (joints - middle)[None], known, camera, frame_size, noise_rng, noise
    )
    told = {key: getattr(camera, key) for key in ("focal", "distance", "elevation", "center_y")}
    source = truth.source | {"view": view, "camera": told | {"yaw": yaw, "middle": middle.tolist()}}
    estimate = Skeleton(
        keypoints=np.where(known[..., None], keypoints, 0), confidence=confidence, visible=visible, boxes=boxes,
        timestamps=truth.timestamps, track_ids=truth.track_ids, layout=LAYOUT, frame_size=frame_size,
        source=source | {"extractor": "mocap", "confidence_threshold": THRESHOLD, "noise": asdict(noise)},
    )  # fmt: skip
    outline = bounding_boxes(camera.project(joints - middle)[0][None], known)
    return estimate, replace(truth, boxes=outline, frame_size=frame_size, source=source | {"truth": True})


def fit_camera(points: np.ndarray, frame_size: tuple[int, int], rng: np.random.Generator) -> Camera:
    """A still camera of drawn elevation, field of view and distance that keeps all points [T, V, 3] in sight."""
    height, width = frame_size
    elevation, focal = float(np.radians(rng.uniform(0, ELEVATION_DEGREES))), float(width * rng.uniform(*FIELD))
    cos, sin = np.cos(elevation), np.sin(elevation)
    x, y, z = np.stack([points, points + np.array([0, HEADROOM, 0])]).transpose(3, 0, 1, 2)
    y = y - 0.9  # the camera looks there
    nearer, up = y * sin + z * cos, y * cos - z * sin  # as in Camera.project: depth = distance - nearer
    wide, high = (0.5 - MARGIN) * width, (0.5 - MARGIN) * height
    needed = nearer + np.maximum(focal * np.maximum(np.abs(x) / wide, np.abs(up) / high), NEAR)
    distance = float(needed.max() * rng.uniform(1.0, 1.6))
    frames = len(points)
    return Camera(width, focal, distance, elevation, height / 2, np.zeros((frames, 2)), np.ones(frames))


def sides_shown(truth: Skeleton, event: LimbEvent | None = None) -> list[str]:
    """The views of a truth of `look` that last for SHOWN of an event (of the clip); where somebody turns around, the
    one at its start."""
    views = view_of(facing(truth)[0] + truth.source["camera"]["yaw"])
    if event is not None:
        rows = np.flatnonzero((truth.timestamps >= event.start) & (truth.timestamps <= event.end))
        rows = rows if len(rows) else [int(np.abs(truth.timestamps - event.start).argmin())]
        views = views[rows][:1] if event.movement == "pivot" else views[rows]
    counts = Counter(views.tolist())
    return [view for view, count in counts.items() if count >= SHOWN * len(views)]
