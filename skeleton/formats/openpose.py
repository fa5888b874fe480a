"""OpenPose's folder of JSON: one file NAME_000000000012_keypoints.json for each frame, with the people in it.

The number in the name is the frame's; it counts from 0 in a video. OpenPose writes a file for every frame, so a
missing one is a gap: a row where nobody is visible. Hands and face are not read.
"""

from functools import partial
from pathlib import Path

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.common import choose_layout, frame_numbers, read_json, rows_of, triples
from skeleton.formats.frames import Found, StoredFrames, identity_of, read_stored, stack

SUFFIX = "_keypoints.json"
_LAYOUTS = {18: "openpose18", 25: "openpose25"}


def openpose_frames(
    path: str | Path, layout: str | None = None, first_frame: int = 0, frames: int | None = None
) -> StoredFrames:
    """The persons of each frame in the folder `path`, before they are linked.

    layout: None takes openpose18 or openpose25 by the number of joints. first_frame: number of the first row;
    frames: how many rows, None up to the last file. Raises FormatError for a folder without such files, files of
    several clips, files that are cut or foreign, and coordinates that are no pixels.
    """
    folder = Path(path).expanduser()
    files = sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
    if not files:
        raise FormatError(f"expected a folder of *{SUFFIX} files at {folder}, found none; give OpenPose's --write_json")
    numbers = frame_numbers([file.name.removesuffix(SUFFIX) for file in files], folder)
    rows = rows_of(numbers, first_frame, frames, folder)
    found: dict[int, list[Found]] = {}
    for number, file in zip(numbers, files, strict=True):
        people = _people(file)
        if people:
            layout = choose_layout(len(people[0].joints), layout, file, _LAYOUTS)
        for person in people:
            choose_layout(len(person.joints), layout, file)
        found[number - first_frame] = people
    if layout is None:
        raise FormatError(f"{folder} shows nobody, so the layout is unknown; give layout=openpose25 or openpose18")
    seen = [person.joints for people in found.values() for person in people if (person.joints[:, 2] > 0).any()]
    if seen and max(np.abs(joints[joints[:, 2] > 0, :2]).max() for joints in seen) <= 1:
        raise FormatError(
            f"{folder}: expected pixels, found coordinates within -1..1; run OpenPose with --keypoint_scale 0"
        )
    return stack(found, rows, layout, None)


def _people(file: Path) -> list[Found]:
    value = read_json(file, "a file of OpenPose's --write_json")
    people = value.get("people") if isinstance(value, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise FormatError(f"{file} must hold OpenPose's list 'people', found none; give the folder of --write_json")
    result = []
    for index, person in enumerate(people):
        place = f"{file}, person {index}"
        # Files of OpenPose before 1.2 call the joints pose_keypoints.
        joints = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
        if joints is None:
            raise FormatError(f"{place}: expected pose_keypoints_2d, found {', '.join(person) or 'nothing'}; mend it")
        if joints:  # a face or hand without a body has none
            identity = identity_of(person.get("person_id"))
            result.append(Found(triples(joints, place), identity=identity))
    return result


read_openpose = partial(read_stored, "openpose", openpose_frames)
