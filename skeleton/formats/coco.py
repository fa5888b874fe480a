"""COCO's keypoint JSON: annotations with their images, or the bare list of results that evaluation takes.

An annotation without `score` is a label: joints with v > 0 are visible and sure. One with a `score` is a result:
the third number of a joint is its confidence. Images with `video_id` (or PoseTrack's `vid_id`) make one clip for
each video, others one clip in the order of their file names; `frame_id` says which frame an image is, and frames
between are rows where nobody is visible, as are numbers that a list of results leaves out. COCO-WholeBody's feet,
face and hands, which stand in fields of their own, are joined to 133 joints unless layout=coco17 is given.

Where the file has categories, persons are those of the category called so, or of those whose joints are a layout's;
a dog is left out, and the record's source counts it. MMPose's own predictions are read too.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.alphapose import corners
from skeleton.formats.common import (
    CONFIDENCE_THRESHOLD,
    Clip,
    check_fps,
    choose_layout,
    frame_numbers,
    layout_of,
    read_json,
    rows_of,
    the_layout_of,
    triples,
)
from skeleton.formats.frames import Found, StoredFrames, identity_of, stack, to_skeleton
from skeleton.formats.mmpose_predictions import is_predictions, mmpose_frames

_KIND = "COCO's JSON of keypoints"
_PERSONS = ("person", "persons", "people", "human", "pedestrian")
_PARTS = ("foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


@dataclass(frozen=True)
class _Video:
    """One clip: the row of each image, how many rows there are, and (height, width) where all images agree."""

    row_of: dict[int | str, int]
    rows: int
    frame_size: tuple[int, int] | None = None


def coco_frames(
    path: str | Path, layout: str | None = None, first_frame: int | None = None, frames: int | None = None
) -> dict[str, StoredFrames]:
    """The persons of each frame of each clip in the file, by the clip's name, before they are linked.

    layout: None takes the one with the file's joint names, else with as many joints. first_frame and frames: the
    first number and how many rows there are, for a list of results only (None: from its first to its last
    number). Raises FormatError for a missing, cut or foreign file, and for joints of no layout.
    """
    value = read_json(path, _KIND)
    path = Path(path)
    if is_predictions(value):
        return {path.stem: mmpose_frames(value, path, layout, first_frame, frames)}
    whole = value if isinstance(value, dict) else {"annotations": value}
    annotations = _dicts(whole, "annotations", path)
    posed = [annotation for annotation in annotations if annotation.get("keypoints")]
    categories, joints = _persons(whole, posed, path)
    if not posed and (annotations or layout is None):
        raise FormatError(f"{path} must hold annotations with keypoints, found none of {len(annotations)}; give others")
    if "images" in whole:
        if first_frame is not None or frames is not None:
            raise FormatError(f"{path} lists its images, which leaves no first_frame or frames to be given; drop them")
        videos = _videos(whole, path)
    else:
        videos = {path.stem: _numbered([_image(one, path) for one in annotations], path, first_frame, frames)}
    if layout is None:
        mine = [one for one in posed if _category(one) in categories]
        if not mine and not joints:
            raise FormatError(f"{path} shows no person, so the layout is unknown; give layout=coco17")
        layout = _layout(mine[0] if mine else {}, joints, path)
    found: dict[str, dict[int, list[Found]]] = {name: {} for name in videos}
    others: dict[str, Counter] = {name: Counter() for name in videos}
    place_of = {image: (name, row) for name, video in videos.items() for image, row in video.row_of.items()}
    for index, annotation in enumerate(posed):
        image = _image(annotation, path)
        if image not in place_of:
            raise FormatError(f"{path}: keypoints {index} belong to image {image}, which the file lacks; add it")
        name, row = place_of[image]
        if _category(annotation) not in categories:
            others[name][_category(annotation)] += 1
            continue
        found[name].setdefault(row, []).append(_person(annotation, layout, f"{path}, keypoints {index}"))
    return {
        name: replace(stack(found[name], video.rows, layout, video.frame_size), others=_named(others[name], whole))
        for name, video in videos.items()
    }


def _dicts(whole: Mapping, key: str, path: Path) -> list[dict]:
    entries = whole.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FormatError(f"{path} must be {_KIND} with a list of {key}, found none; give another file")
    return entries


def _image(entry: Mapping, path: Path, key: str = "image_id") -> int | str:
    image = entry.get(key)
    if isinstance(image, bool) or not isinstance(image, int | str):
        raise FormatError(f"{path}: expected {key}, a number or name, found {image!r}; mend the file")
    return image


def _videos(whole: Mapping, path: Path) -> dict[str, _Video]:
    images = _dicts(whole, "images", path)
    if not images:
        raise FormatError(f"{path}: expected at least one image, found none; give another file")
    listed = _dicts(whole, "videos", path) if whole.get("videos") else []
    titles = {str(entry.get("id")): str(entry.get("name") or entry.get("id")) for entry in listed}
    groups: dict[str, list[dict]] = {}
    for image in images:
        video = image.get("video_id", image.get("vid_id"))
        groups.setdefault(path.stem if video is None else titles.get(str(video), str(video)), []).append(image)
    return {name: _video(group, f"{path}, clip {name}", path) for name, group in groups.items()}


def _video(images: list[dict], place: str, path: Path) -> _Video:
    ids = [_image(image, path, "id") for image in images]
    if len(set(ids)) < len(ids):
        raise FormatError(f"{place}: expected each image once, found an id twice; renumber the images")
    size = images[0].get("height"), images[0].get("width")
    alike = all((image.get("height"), image.get("width")) == size for image in images)
    size = size if alike and all(isinstance(side, int) for side in size) else None
    numbers = [image.get("frame_id") for image in images]
    if all(isinstance(number, int) for number in numbers):
        if len(set(numbers)) < len(numbers):
            raise FormatError(f"{place}: expected each frame_id once, found one twice; renumber the images")
        first = min(numbers)
        row_of = {image: number - first for image, number in zip(ids, numbers, strict=True)}
        return _Video(row_of, rows_of(numbers, first, None, place), size)
    order = sorted(range(len(images)), key=lambda index: _natural(str(images[index].get("file_name"))))
    return _Video({ids[index]: row for row, index in enumerate(order)}, len(ids), size)


def _natural(name: str) -> list:
    """Sorts 2.jpg before 10.jpg."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"(\d+)", name))]


def _numbered(images: list[int | str], path: Path, first: int | None, frames: int | None) -> _Video:
    """The clip of a list of results, in which images are known by number or by a name with a number."""
    distinct = list(dict.fromkeys(images))
    numbers = distinct
    if not all(isinstance(image, int) for image in distinct):
        numbers = frame_numbers([Path(str(image)).stem for image in distinct], path)
    first = min(numbers, default=0) if first is None else first
    row_of = {image: number - first for image, number in zip(distinct, numbers, strict=True)}
    return _Video(row_of, rows_of(numbers, first, frames, path))


def _category(annotation: Mapping) -> str | None:
    found = annotation.get("category_id")
    return None if found is None else str(found)


def _persons(whole: Mapping, posed: Sequence[Mapping], path: Path) -> tuple[set[str | None], list[str]]:
    """(the categories of persons, None for annotations without one; the names that the file gives their joints).

    Without categories every annotation is a person's. FormatError for an annotation of a category that the file
    lacks, and where two categories of persons have unlike joints.
    """
    used = {_category(annotation) for annotation in posed}
    if not whole.get("categories"):
        return used, []
    known = {str(category.get("id")): category for category in _dicts(whole, "categories", path)}
    lost = sorted(used - {None, *known})
    if lost:
        raise FormatError(f"{path}: keypoints belong to category {lost[0]}, which the file lacks; add it")
    names = {key: tuple(map(str, _listed(category.get("keypoints")))) for key, category in known.items()}
    persons = [key for key, category in known.items() if str(category.get("name")).strip().lower() in _PERSONS]
    persons = persons or [key for key in known if layout_of(names[key])]
    persons = persons or [key for key in known if not names[key]] or list(known)
    unlike = sorted({names[key] for key in persons if names[key] and (key in used or len(persons) == 1)})
    if len(unlike) > 1:
        raise FormatError(f"{path}: expected persons of one category, found some with other joints; part the file")
    return {None, *persons}, list(unlike[0]) if unlike else []


def _listed(value: object) -> list:
    return value if isinstance(value, list) else []


def _named(counts: Counter, whole: Mapping) -> dict[str, int]:
    """The counts by the names of the categories."""
    names = {str(one.get("id")): str(one.get("name") or one.get("id")) for one in _listed(whole.get("categories"))}
    return {names[category]: count for category, count in sorted(counts.items())}


def _layout(annotation: Mapping, names: list[str], path: Path) -> str:
    if all(annotation.get(part) for part in _PARTS):
        return "wholebody133"
    if not names:
        return choose_layout(len(triples(annotation["keypoints"], path)), None, path)
    return the_layout_of(names, path)


def _person(annotation: Mapping, layout: str, place: str) -> Found:
    joints = triples(annotation["keypoints"], place)
    if layout == "wholebody133" and all(annotation.get(part) for part in _PARTS):
        joints = np.concatenate([joints, *(triples(annotation[part], place) for part in _PARTS)])
    choose_layout(len(joints), layout, place)
    score = annotation.get("score")
    if score is None:
        joints[:, 2] = joints[:, 2] > 0
        score = 1.0
    elif isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) < 1e9:
        raise FormatError(f"{place}: expected a score, found {score!r}; mend the file")
    identity = identity_of(annotation.get("track_id"))
    return Found(joints, corners(annotation.get("bbox"), place), score, identity)


def coco_clips(
    path: str | Path,
    fps: float | None = None,
    frame_size: Sequence[int] | None = None,
    layout: str | None = None,
    confidence_threshold: float = CONFIDENCE_THRESHOLD,
    first_frame: int | None = None,
    frames: int | None = None,
    max_persons: int = 32,
) -> list[tuple[str, Callable[[], Clip]]]:
    """The clips of a file: each one's name and a function that makes it; options and errors as in `read_coco`."""
    check_fps(fps, _KIND)
    source = {"file": Path(path).name, "format": "coco"}

    def load(name: str, stored: StoredFrames) -> Clip:
        named = {**source, "clip": name}
        return Clip(name, to_skeleton(stored, named, fps, frame_size, confidence_threshold, max_persons))

    stored = coco_frames(path, layout, first_frame, frames)
    return [(name, partial(load, name, frames_of_it)) for name, frames_of_it in stored.items()]


def read_coco(path: str | Path, fps: float | None = None, **options: object) -> Iterator[Clip]:
    """The clips of a COCO file; options: frame_size, layout, confidence_threshold, first_frame, frames, max_persons.

    See `coco_frames` and `frames.to_skeleton`. fps must be given; frame_size (height, width) only where the images
    have none. Raises FormatError.
    """
    return (load() for _, load in coco_clips(path, fps, **options))
