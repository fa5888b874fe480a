"""OpenPose's folder: numbers of frames, gaps, identities by our tracker, and folders that are something else."""

import json

import numpy as np
import pytest

from skeleton.errors import FormatError
from skeleton.formats import FRAMES, read
from skeleton.layouts.layout import get_layout

SIZE = (240, 320)


def pose(x, joints=25, confidence=0.8):
    """A body as a column of joints 4 px apart, 40 px from side to side."""
    return [value for v in range(joints) for value in (x + 40 * (v % 2), 20.0 + 4 * v, confidence)]


def write(folder, number, *people, name="clip", **extra):
    folder.mkdir(exist_ok=True)
    entries = [{"person_id": [-1], "pose_keypoints_2d": person, **extra} for person in people]
    path = folder / f"{name}_{number:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": entries}))
    return path


@pytest.fixture
def folder(tmp_path):
    """Two persons who walk towards each other, listed in changing order; frame 2 is empty and 3 is missing."""
    for number, order in ((0, 1), (1, -1), (4, -1), (5, 1)):
        people = [pose(50 + 2 * number), pose(200 - 2 * number)]
        write(tmp_path / "out", number, *people[::order])
    write(tmp_path / "out", 2)
    return tmp_path / "out"


def test_numbers_gaps_and_identities(folder):
    skeleton = read(folder, "openpose", fps=25, frame_size=SIZE)
    assert (skeleton.layout, skeleton.frame_size, skeleton.keypoints.shape) == ("openpose25", SIZE, (2, 6, 25, 2))
    np.testing.assert_allclose(skeleton.timestamps, np.arange(6) / 25)
    assert skeleton.visible.any((0, 2)).tolist() == [True, True, False, False, True, True]
    nose = get_layout("openpose25").index("nose")
    numbers = np.array([0, 1, 4, 5])
    first = 0 if skeleton.keypoints[0, 0, nose, 0] < 100 else 1
    np.testing.assert_allclose(skeleton.keypoints[first, numbers, nose, 0], 50 + 2 * numbers)
    np.testing.assert_allclose(skeleton.keypoints[1 - first, numbers, nose, 0], 200 - 2 * numbers)
    np.testing.assert_allclose(skeleton.boxes[first, 0], [50, 20, 90, 20 + 4 * 24])
    np.testing.assert_allclose(skeleton.confidence[:, 0], 0.8)
    assert skeleton.source["identities"] == "tracker" and skeleton.source["file"] == "out"


def test_persons_before_linking(folder):
    stored = FRAMES["openpose"](folder, frames=8)
    assert [len(persons) for persons in stored.persons] == [2, 2, 0, 0, 2, 2, 0, 0]
    assert stored.layout == "openpose25" and stored.frame_size is None
    assert stored.persons[1].keypoints[:, 0, 0].tolist() == [198, 52]
    assert stored.persons[2].keypoints.shape == (0, 25, 2) and stored.persons[2].boxes.shape == (0, 4)
    np.testing.assert_allclose(stored.persons[0].scores, 0.8)
    assert [ids.tolist() for ids in stored.ids[:3]] == [[-1, -1], [-1, -1], []]


def test_missing_joints_and_given_identities(tmp_path):
    body = pose(50, joints=18)
    body[3 * 4 : 3 * 5] = [0, 0, 0]  # not found
    body[3 * 5 + 2] = 0.1  # unsure
    for number in (10, 11):
        write(tmp_path / "out", number, body, person_id=[7])
    skeleton = read(tmp_path / "out", "openpose", fps=10, frame_size=SIZE, first_frame=10)
    assert (skeleton.layout, skeleton.track_ids.tolist(), skeleton.num_frames) == ("openpose18", [7], 2)
    assert np.flatnonzero(~skeleton.visible[0, 0]).tolist() == [4, 5]
    assert skeleton.source["identities"] == "file"
    assert skeleton.boxes[0, 0, 1] == 20
    late = read(tmp_path / "out", "openpose", fps=10, frame_size=SIZE)
    assert late.num_frames == 12 and late.visible.any((0, 2)).tolist() == [False] * 10 + [True] * 2


def test_one_person_of_unknown_identity_is_tracked(tmp_path):
    for number in range(3):
        write(tmp_path / "out", number, pose(50 + number))
    skeleton = read(tmp_path / "out", "openpose", fps=10, frame_size=SIZE)
    assert skeleton.track_ids.tolist() == [1] and skeleton.source["identities"] == "tracker"


def test_who_is_left_out_is_listed(tmp_path):
    for number in range(3):
        people = [pose(50), pose(150), pose(250, confidence=0.2)]
        write(tmp_path / "out", number, *(people if number else people[::2]))
    skeleton = read(tmp_path / "out", "openpose", fps=10, frame_size=SIZE, max_persons=1)
    assert skeleton.num_persons == 1 and skeleton.visible.all()
    reasons = [(entry["reason"], entry["rows"]) for entry in skeleton.source["dropped_persons"]]
    assert sorted(reasons) == [("beyond max_persons", 2), ("no joint at the threshold", 3)]


def test_bad_folders(tmp_path, folder):
    options = {"fps": 25, "frame_size": SIZE}
    with pytest.raises(FormatError, match=r"expected a folder of \*_keypoints.json files at .*none"):
        read(tmp_path / "none", "openpose", **options)
    with pytest.raises(FormatError, match="out holds no times, found no fps either"):
        read(folder, "openpose", frame_size=SIZE)
    with pytest.raises(FormatError, match=r"no picture size .*give frame_size, the \(height, width\)"):
        read(folder, "openpose", fps=25)
    with pytest.raises(FormatError, match="layout openpose18 has 18 joints, found 25"):
        read(folder, "openpose", layout="openpose18", **options)
    with pytest.raises(FormatError, match="expected frames 1 to 5, found number 0"):
        read(folder, "openpose", first_frame=1, **options)
    with pytest.raises(FormatError, match="expected frames 0 to 3, found number 5"):
        read(folder, "openpose", frames=4, **options)
    with pytest.raises(FormatError, match="confidence_threshold must lie in 0..1, found 3"):
        read(folder, "openpose", confidence_threshold=3, **options)
    cut = write(folder, 6, pose(5))
    cut.write_bytes(cut.read_bytes()[:50])
    with pytest.raises(FormatError, match="000006_keypoints.json must be .*, found no whole JSON"):
        read(folder, "openpose", **options)
    for text, message in (
        ('{"bodies": []}', "must hold OpenPose's list 'people', found none"),
        ('{"people": [{"face": []}]}', "person 0: expected pose_keypoints_2d, found face"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "a flat list x, y, score, ..., found shape"),
        ('{"people": [{"pose_keypoints_2d": [1, "b", 3]}]}', "a flat list x, y, score"),
        (json.dumps({"people": [{"pose_keypoints_2d": pose(5, 15)}]}), "layout openpose25 has 25 joints, found 15"),
    ):
        cut.write_text(text)
        with pytest.raises(FormatError, match=message):
            read(folder, "openpose", **options)
    cut.unlink()
    write(folder, 6, pose(5), name="other")
    with pytest.raises(
        FormatError, match="the frames of one clip, found names that begin with 'clip_' and with 'other_'"
    ):
        read(folder, "openpose", **options)
    write(tmp_path / "nobody", 0)
    with pytest.raises(FormatError, match="shows nobody, so the layout is unknown; give layout=openpose25"):
        read(tmp_path / "nobody", "openpose", **options)
    empty = read(tmp_path / "nobody", "openpose", layout="openpose25", **options)
    assert (empty.num_persons, empty.num_frames) == (0, 1)
    write(tmp_path / "scaled", 0, [0.5, 0.25, 0.9] * 25)
    with pytest.raises(FormatError, match="expected pixels, found coordinates within -1..1"):
        read(tmp_path / "scaled", "openpose", **options)
    write(tmp_path / "ids", 581_929_000, pose(5))
    with pytest.raises(FormatError, match="at most 1000000 of them, found 581929001"):
        read(tmp_path / "ids", "openpose", **options)
    (tmp_path / "unnumbered").mkdir()
    (tmp_path / "unnumbered" / "clip_keypoints.json").write_text('{"people": []}')
    with pytest.raises(FormatError, match="expected a frame number in each name, found 'clip'"):
        read(tmp_path / "unnumbered", "openpose", **options)
