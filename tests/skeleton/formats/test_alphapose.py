"""AlphaPose's results: one entry a person and frame, gaps where nobody is, ids that are none without tracking."""

import json

import numpy as np
import pytest

from skeleton.errors import FormatError
from skeleton.formats import FRAMES, read

OPTIONS = {"fps": 20, "frame_size": (240, 320)}


def entry(image, x, joints=26, idx=1, confidence=0.9):
    keypoints = [value for v in range(joints) for value in (x + 4 * (v % 2), 20.0 + 4 * v, confidence)]
    return {
        "image_id": image,
        "category_id": 1,
        "keypoints": keypoints,
        "score": 2.8,
        "box": [x, 20, 10, 110],
        "idx": idx,
    }


def write(path, *entries):
    path.write_text(json.dumps(entries))
    return path


def test_identities_and_gaps(tmp_path):
    entries = [entry("1.jpg", 50, idx=3), entry("1.jpg", 150, idx=8), entry("4.jpg", 60, idx=3)]
    path = write(tmp_path / "a.json", *entries)
    skeleton = read(path, "alphapose", frames=6, **OPTIONS)
    assert (skeleton.layout, skeleton.track_ids.tolist(), skeleton.num_frames) == ("halpe26", [3, 8], 6)
    assert skeleton.visible.all(2).tolist() == [[False, True, False, False, True, False], [False, True] + [False] * 4]
    np.testing.assert_allclose(skeleton.boxes[0, 1], [50, 20, 60, 130])
    np.testing.assert_allclose(skeleton.keypoints[0, [1, 4], 0], [[50, 20], [60, 20]])
    np.testing.assert_allclose(skeleton.timestamps, np.arange(6) / 20)
    assert read(path, "alphapose", first_frame=1, **OPTIONS).num_frames == 4
    stored = FRAMES["alphapose"](path)
    assert [ids.tolist() for ids in stored.ids] == [[], [3, 8], [], [], [3]]
    np.testing.assert_allclose(stored.persons[1].scores, 0.9)


def test_without_tracking_everybody_is_zero(tmp_path):
    entries = [entry(f"{t}.jpg", x, idx=[0.0]) for t in range(4) for x in (50 + t, 200 - t)[:: 1 - 2 * (t % 2)]]
    skeleton = read(write(tmp_path / "a.json", *entries), "alphapose", **OPTIONS)
    assert skeleton.source["identities"] == "tracker" and skeleton.visible.all()
    assert sorted(skeleton.keypoints[:, :, 0, 0].tolist()) == [[50, 51, 52, 53], [200, 199, 198, 197]]


@pytest.mark.parametrize(
    ("joints", "layout", "read_joints"), [(17, "coco17", 17), (133, "wholebody133", 133), (136, "halpe26", 26)]
)
def test_numbers_of_joints(tmp_path, joints, layout, read_joints):
    skeleton = read(write(tmp_path / "a.json", entry(3, 50, joints)), "alphapose", first_frame=3, **OPTIONS)
    assert skeleton.layout == layout and skeleton.keypoints.shape == (1, 1, read_joints, 2)
    np.testing.assert_allclose(skeleton.keypoints[0, 0, -1, 1], 20 + 4 * (read_joints - 1))


def test_bad_files(tmp_path):
    def refused(value, message, **options):
        (tmp_path / "a.json").write_text(value if isinstance(value, str) else json.dumps(value))
        with pytest.raises(FormatError, match=message):
            read(tmp_path / "a.json", "alphapose", **{**OPTIONS, **options})

    with pytest.raises(FormatError, match="expected AlphaPose's list of results at .*none.json, found no such file"):
        read(tmp_path / "none.json", "alphapose", **OPTIONS)
    good = entry("0.jpg", 50)
    refused(json.dumps([good])[:-9], "found no whole JSON")
    refused("\ufeff\x00", "found no whole JSON")
    refused({"version": 1, "bodies": []}, "must be AlphaPose's list of results, found a dict; run AlphaPose without")
    refused([1, 2], "found a list")
    refused([{**good, "image_id": None}], "entry 0: expected image_id, a file name or number, found None")
    refused([good, entry("b1.jpg", 50)], "found names that begin with '' and with 'b'")
    refused([{**good, "keypoints": None}], "entry 0: joints must be a flat list")
    refused([good, entry("1.jpg", 50, 17)], "entry 1: layout halpe26 has 26 joints, found 17")
    refused([entry("0.jpg", 50, 21)], r"expected 17 \(coco17\), 26 \(halpe26\), 133 \(wholebody133\) joints, found 21")
    refused([{**good, "box": [1, 2]}], r"expected a box x, y, width, height, found \[1, 2\]")
    refused([], "expected at least one frame, found none from 0 on; give frames")
    refused([], "shows nobody, so the layout is unknown", frames=3)
    refused([good], "no fps either", fps=None)
