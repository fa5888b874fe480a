"""What is common to all formats: folders of clips, options, identities, linking."""

import io
import json
import pickle
import random
import re

import numpy as np
import pytest

from skeleton.errors import FormatError, SkeletonError
from skeleton.formats import FORMATS, clips, read
from skeleton.formats.frames import UNKNOWN, Found, boxes_around, identity_of, oks_sigmas, stack, to_skeleton
from skeleton.layouts.layout import LAYOUTS, get_layout
from skeleton.record import Skeleton
from tests.skeleton.formats.bvh_files import bvh_text

OWN_RATE = ("ntu", "humanml3d", "bvh")  # formats that need no fps


def test_folders_are_searched_to_the_bottom(tmp_path):
    for name in ("b/two", "a/one", "a/deep/three"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.skeleton").write_text("1\n0\n")
    assert [name for name, _ in clips(tmp_path, "ntu")] == ["a/deep/three", "a/one", "b/two"]
    assert [name for name, _ in clips(tmp_path / "a" / "one.skeleton", "ntu")] == ["one"]
    for name in ("x", "y/z"):
        (tmp_path / "op" / name).mkdir(parents=True)
        (tmp_path / "op" / name / "v_0_keypoints.json").write_text(json.dumps({"people": []}))
    options = {"fps": 5, "frame_size": (10, 10), "layout": "openpose25"}
    assert [name for name, _ in clips(tmp_path / "op", "openpose", **options)] == ["x", "y/z"]
    ((name, load),) = clips(tmp_path / "op" / "x", "openpose", **options)
    clip = load()
    assert name == clip.name == "x" and clip.skeleton.num_frames == 1 and clip.label is None


def test_unknown_formats_and_options(tmp_path):
    with pytest.raises(FormatError, match="expected a format among pyskl, openpose, .*, found 'c3d'"):
        read(tmp_path, "c3d")
    with pytest.raises(FormatError, match="the format ntu has the options fps, space, found frame_size; drop it"):
        read(tmp_path, "ntu", frame_size=(1, 1))
    with pytest.raises(FormatError, match="the format coco has the options fps, frame_size, .*, found space"):
        clips(tmp_path, "coco", fps=3, space="colour")
    with pytest.raises(FormatError, match="the format openpose holds no times, found no fps either"):
        clips(tmp_path, "openpose")
    for name in FORMATS:
        options = {} if name in OWN_RATE else {"fps": 3}
        with pytest.raises(FormatError, match=f"files of the format {name} at .*, found none"):
            clips(tmp_path, name, **options)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (0, 0),
        ([4], 4),
        ([2.0], 2),
        (-1, -1),
        ([-1], -1),
        (None, -1),
        ("3", -1),
        (True, -1),
        (1.5, -1),
        ([1, 2], -1),
    ],
)
def test_identities(value, expected):
    assert identity_of(value) == expected
    assert identity_of(float("nan")) == identity_of(float("inf")) == identity_of(10**30) == UNKNOWN


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sigmas_for_linking(layout):
    sigmas = oks_sigmas(layout)
    assert sigmas.shape == (len(get_layout(layout).joints),) and (sigmas > 0).all()
    if "left_hip" in get_layout(layout).joints:
        assert sigmas[get_layout(layout).index("left_hip")] == 0.107


def test_boxes_around():
    points = np.array([[[1.0, 2], [5, 9], [np.nan, 0]], [[3, 4], [0, 0], [0, 0]], [[7, 7], [0, 0], [0, 0]]])
    visible = np.array([[True, True, False], [True, False, False], [False] * 3])
    np.testing.assert_array_equal(boxes_around(points, visible), [[1, 2, 5, 9], [3, 4, 4, 5], [0, 0, 0, 0]])
    assert boxes_around(np.zeros((0, 4, 17, 2)), np.zeros((0, 4, 17), bool)).shape == (0, 4, 4)


def test_bad_numbers_are_missing_joints():
    """NaN, infinite and confidences above 1; a broken box is replaced, somebody without joints is nobody."""
    joints = np.tile([30.0, 40.0, 0.9], (17, 1))
    joints[0, 0], joints[1, 1], joints[2, 2], joints[3, 2], joints[4, 2] = np.nan, np.inf, np.nan, 7, -1
    people = [Found(joints, box=[50, 50, 20, 20], score=3.2, identity=1), Found(np.zeros((17, 3)), identity=2)]
    skeleton = to_skeleton(stack({1: people}, 3, "coco17", None), {"file": "a"}, 10, (100, 100))
    assert skeleton.track_ids.tolist() == [1] and np.isfinite(skeleton.keypoints).all()
    assert np.flatnonzero(~skeleton.visible[0, 1]).tolist() == [0, 1, 2, 4] and skeleton.confidence[0, 1, 3] == 1
    np.testing.assert_allclose(skeleton.boxes[0, 1], [30, 40, 31, 41])


def small_file(format):
    """A good file of the format, as bytes, and its name."""
    joints = [value for v in range(17) for value in (10.5 + v, 20, 0.9)]
    if format == "pyskl":
        keypoint, score = np.ones((1, 2, 17, 2), np.float32), np.ones((1, 2, 17), np.float32)
        whole = {"frame_dir": "a", "total_frames": 2, "img_shape": (9, 9), "label": 1}
        return pickle.dumps([{**whole, "keypoint": keypoint, "keypoint_score": score}]), "a.pkl"
    if format == "bvh":
        return bvh_text(frames=2).encode(), "a.bvh"
    if format == "humanml3d":
        np.save(file := io.BytesIO(), np.ones((2, 22, 3), np.float32))
        return file.getvalue(), "a.npy"
    if format == "mmpose":  # read as coco
        one = {"keypoints": [[10.5 + v, 20] for v in range(17)], "keypoint_scores": [0.9] * 17, "bbox": [[1, 2, 3, 4]]}
        frames = [{"frame_id": 1, "instances": [{**one, "bbox_score": 0.5}]}, {"frame_id": 2, "instances": []}]
        meta = {"keypoint_id2name": dict(enumerate(get_layout("coco17").joints))}
        return json.dumps({"meta_info": meta, "instance_info": frames}).encode(), "a.json"
    if format == "ntu":
        body = ["7 0 1 1 1 1 0 -0.2 -0.4 2", "25", *["0.1 0.2 3 250 200 900 500 1 0 0 0 2"] * 25]
        return "\n".join(["2", "1", *body, "0", ""]).encode(), "a.skeleton"
    person = {"pose_keypoints_2d": joints, "person_id": [-1]}
    entry = {"image_id": 3, "keypoints": joints, "score": 0.5, "bbox": [1, 2, 3, 4], "track_id": 1}
    image = {"id": 3, "file_name": "a.jpg", "height": 9, "width": 9, "frame_id": 0, "video_id": 1}
    coco = {"images": [image], "annotations": [entry], "videos": [{"id": 1, "name": "b"}]}
    values = {
        "openpose": ({"people": [person]}, "v_0_keypoints.json"),
        "alphapose": ([{**entry, "image_id": "3.jpg", "box": [1, 2, 3, 4], "idx": [1.0]}], "a.json"),
        "coco": (coco, "a.json"),
    }
    value, name = values[format]
    return json.dumps(value).encode(), name


def first(found):
    """The only record of what a reader gives."""
    if isinstance(found, Skeleton):
        return found
    (clip,) = found
    return clip.skeleton


def told(skeleton):
    arrays = (skeleton.keypoints, skeleton.visible, skeleton.timestamps, skeleton.track_ids, skeleton.boxes)
    return [array.tolist() for array in arrays], skeleton.layout, skeleton.frame_size


@pytest.mark.parametrize("format", [format for format in FORMATS if format not in ("pyskl", "humanml3d")])
def test_a_byte_order_mark_is_no_content(tmp_path, format):
    whole, name = small_file(format)
    options = {} if format in OWN_RATE else {"fps": 5}
    options |= {"layout": "coco17", "frame_size": (9, 9)} if format in ("openpose", "alphapose") else {}
    skeletons = []
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / name).write_bytes(mark + whole)
        skeletons.append(first(read(tmp_path if format == "openpose" else tmp_path / name, format, **options)))
    assert told(skeletons[0]) == told(skeletons[1])


@pytest.mark.parametrize(
    ("format", "old", "new"),
    [
        ("openpose", b'"person_id": [-1]', b'"person_id": null, "pose_keypoints": null'),
        ("openpose", b'"pose_keypoints_2d": [', b'"pose_keypoints_2d": null, "pose_keypoints": ['),
        ("alphapose", b'"box": [1, 2, 3, 4]', b'"box": null'),
        ("alphapose", b'"idx": [1.0]', b'"idx": null'),
        ("coco", b'"video_id": 1', b'"video_id": null, "vid_id": null'),
        ("coco", b'"track_id": 1', b'"track_id": null'),
        ("coco", b'"frame_id": 0', b'"frame_id": null'),
        ("coco", b'"videos": [{"id": 1, "name": "b"}]', b'"videos": null, "categories": null'),
        ("coco", b'"bbox": [1, 2, 3, 4]', b'"bbox": null, "category_id": null'),
    ],
)
def test_null_is_absent(tmp_path, format, old, new):
    whole, name = small_file(format)
    assert whole.count(old) == 1
    options = {"fps": 5, "layout": "coco17", "frame_size": (9, 9)}
    (tmp_path / name).write_bytes(whole.replace(old, new))
    skeleton = first(read(tmp_path if format == "openpose" else tmp_path / name, format, **options))
    assert skeleton.num_persons == 1 and skeleton.visible.any(2).sum() == 1


@pytest.mark.parametrize("format", [*FORMATS, "mmpose"])
@pytest.mark.filterwarnings("ignore")
def test_damage_is_one_sentence(tmp_path, format):
    """Whatever is cut, put in or replaced in a file: a record, or an error of this package in one line."""
    whole, name = small_file(format)
    options = {} if format in OWN_RATE else {"fps": 5}
    options |= {"layout": "coco17", "frame_size": (9, 9)} if format in ("openpose", "alphapose") else {}
    options |= {"frame_size": (9, 9)} if format == "mmpose" else {}
    format = "coco" if format == "mmpose" else format
    path, rng, outcomes = tmp_path / name, random.Random(0), set()
    odd = [b"null", b"true", b"-1", b"1e400", b'"x"', b"[]", b"{}", b"NaN", b"9" * 30, b"9" * 400]
    for step in range(400):
        text, at = bytearray(whole), rng.randrange(len(whole))
        if step == 0:
            pass
        elif step % 4 == 0:
            del text[at:]
        elif step % 4 == 1:
            text[at] = rng.randrange(256)
        elif step % 4 == 2:
            del text[at : at + rng.randrange(1, 20)]
        else:
            value = rng.choice(list(re.finditer(rb'-?\d+\.?\d*|"[^"]*"', whole)))
            text[value.start() : value.end()] = rng.choice(odd)
        path.write_bytes(text)
        try:
            for _, load in clips(tmp_path if format == "openpose" else path, format, **options):
                load()
            outcomes.add("read")
        except SkeletonError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
        assert step or outcomes == {"read"}
    assert outcomes == {"read", "refused"}
