"""MMPose's own predictions: the JSON of MMPoseInferencer's pred_out_dir, and of its demos with --save-predictions.

A video is a list of {"frame_id", "instances"}, one for each frame, counted from 0 by the inferencer and from 1 by the
demos. A picture is the bare list of its instances: a clip of one frame. The demos put either under "instance_info"
beside "meta_info", whose joint names choose the layout. Boxes are x1 y1 x2 y2. Picture size and identities are not
in the file. `read_coco` reads these files too: both are what people call a JSON of keypoints.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.common import choose_layout, numbers_of, rows_of, the_layout_of
from skeleton.formats.frames import Found, StoredFrames, identity_of, stack

_KIND = "MMPose's JSON of predictions"


def is_predictions(value: object) -> bool:
    """Whether a JSON value is a file of MMPose's predictions."""
    if isinstance(value, Mapping):
        return "instance_info" in value
    return isinstance(value, list) and any(
        isinstance(entry, Mapping) and ("instances" in entry or "keypoint_scores" in entry) for entry in value
    )


def mmpose_frames(
    value: object, path: Path, layout: str | None = None, first_frame: int | None = None, frames: int | None = None
) -> StoredFrames:
    """The persons of each frame of the parsed file `path`, before they are linked; options as in `coco_frames`.

    Raises FormatError for a cut or foreign file, for joints of no layout, and for joints in 3D.
    """
    whole = value if isinstance(value, Mapping) else {"instance_info": value}
    entries = _dicts(whole.get("instance_info"), "instance_info", path)
    if entries and all("keypoints" in entry for entry in entries):  # of a picture
        entries = [{"frame_id": 0, "instances": entries}]
    numbers = [entry.get("frame_id") for entry in entries]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in numbers):
        raise FormatError(f"{path}: expected frame_id, a number, in each frame, found {numbers[:3]}; mend the file")
    if len(set(numbers)) < len(numbers):
        raise FormatError(f"{path}: expected each frame_id once, found one twice; remove one of them")
    first = min(numbers, default=0) if first_frame is None else first_frame
    rows = rows_of(numbers, first, frames, path)
    found: dict[int, list[Found]] = {}
    names = _joint_names(whole.get("meta_info"))
    if layout is None and names:
        layout = the_layout_of(names, path)
    for number, entry in zip(numbers, entries, strict=True):
        for index, instance in enumerate(_dicts(entry.get("instances", []), "instances", path)):
            place = f"{path}, frame {number}, instance {index}"
            person = _person(instance, place)
            layout = choose_layout(len(person.joints), layout, place)
            found.setdefault(number - first, []).append(person)
    if layout is None:
        raise FormatError(f"{path} shows nobody, so the layout is unknown; give layout=coco17")
    return stack(found, rows, layout, None)


def _dicts(entries: object, key: str, path: Path) -> list[dict]:
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FormatError(f"{path} must be {_KIND} with a list of {key}, found none; write it again")
    return entries


def _joint_names(meta: object) -> list[str]:
    """The names in meta_info's keypoint_id2name, by number; empty where it has none."""
    named = meta.get("keypoint_id2name") if isinstance(meta, Mapping) else None
    if not isinstance(named, Mapping) or not all(str(key).isdecimal() for key in named):
        return []
    return [str(named[key]) for key in sorted(named, key=int)]


def _person(instance: Mapping, place: str) -> Found:
    points = numbers_of(instance.get("keypoints"), "keypoints", place)
    scores = numbers_of(instance.get("keypoint_scores"), "keypoint_scores", place)
    if points.ndim != 2 or points.shape[1] != 2 or scores.shape != points.shape[:1]:
        raise FormatError(
            f"{place}: expected keypoints [V, 2] in pixels and keypoint_scores [V], found {list(points.shape)} and "
            f"{list(scores.shape)}; give the predictions of a 2D model"
        )
    score, box = instance.get("bbox_score"), instance.get("bbox")
    if isinstance(box, list) and len(box) == 1:  # MMPose writes a list of one box
        box = box[0]
    box = None if box is None else numbers_of(box, "bbox", place)
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) < 1e9):
        raise FormatError(f"{place}: expected bbox_score, a number, found {score!r}; mend the file")
    joints = np.concatenate([points, scores[:, None]], 1)
    return Found(joints, box, score, identity_of(instance.get("track_id")))
