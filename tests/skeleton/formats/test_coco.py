"""COCO's keypoints: labels and results, clips by video, frames in order, joints by the file's own names."""

import json

import numpy as np
import pytest

from skeleton.errors import FormatError
from skeleton.formats import FRAMES, clips, read
from skeleton.formats.frames import to_skeleton
from skeleton.layouts.layout import get_layout

COCO = list(get_layout("coco17").joints)


def keypoints(x, joints=17, last=2):
    return [value for v in range(joints) for value in (x + 4 * (v % 2), 20 + 4 * v, last)]


def write(path, value):
    path.write_text(json.dumps(value))
    return path


def images(names, **extra):
    return [{"id": 100 + i, "file_name": name, "height": 240, "width": 320, **extra} for i, name in enumerate(names)]


def test_labels_in_the_order_of_file_names(tmp_path):
    """Ids are in another order than names; a label with v = 0 is missing, one with 1 is there."""
    body = keypoints(50)
    body[2], body[5] = 0, 1
    value = {"images": images(["f10.jpg", "f2.jpg", "f1.jpg"]), "categories": [{"id": 1, "keypoints": COCO}]}
    value["annotations"] = [
        {"image_id": 100, "category_id": 1, "keypoints": keypoints(70), "track_id": 4, "bbox": [60, 10, 30, 90]},
        {"image_id": 102, "category_id": 1, "keypoints": body, "track_id": 4},
        {"image_id": 101, "category_id": 3, "bbox": [0, 0, 5, 5]},
    ]
    (clip,) = read(write(tmp_path / "walk.json", value), "coco", fps=10)
    skeleton = clip.skeleton
    assert (clip.name, skeleton.layout, skeleton.frame_size) == ("walk", "coco17", (240, 320))
    assert skeleton.track_ids.tolist() == [4] and skeleton.visible.any(2).tolist() == [[True, False, True]]
    assert skeleton.visible[0, 0].tolist() == [False] + [True] * 16 and (skeleton.confidence[0, 2] == 1).all()
    np.testing.assert_allclose(skeleton.boxes[0, 2], [60, 10, 90, 100])
    np.testing.assert_allclose(skeleton.keypoints[0, 2, 0], [70, 20])


def test_videos_with_frame_numbers(tmp_path):
    """Two videos in one file; the second lacks its middle frame, which is a row all the same."""
    pictures = images(["x.jpg", "y.jpg", "z.jpg", "w.jpg"])
    for picture, (video, frame) in zip(pictures, [(1, 7), (2, 0), (2, 2), (1, 8)], strict=True):
        picture |= {"video_id": video, "frame_id": frame}
    posed = [{"image_id": 100 + i, "category_id": 1, "keypoints": keypoints(50), "track_id": 1} for i in range(4)]
    value = {
        "images": pictures,
        "annotations": posed,
        "videos": [{"id": 1, "name": "front"}, {"id": 2, "name": "side"}],
    }
    first, second = read(write(tmp_path / "a.json", value), "coco", fps=10)
    assert (first.name, first.skeleton.num_frames, first.skeleton.visible.all()) == ("front", 2, True)
    assert (second.name, second.skeleton.visible.any(2).tolist()) == ("side", [[True, False, True]])
    assert [name for name, _ in clips(tmp_path / "a.json", "coco", fps=10)] == ["front", "side"]


def test_results(tmp_path):
    """A bare list: confidences instead of flags, numbers with gaps, no ids, no picture size."""
    value = [
        {"image_id": t, "category_id": 1, "keypoints": keypoints(x, last=0.1 * t), "score": 0.5}
        for t in (4, 5, 8)
        for x in (50, 200)
    ]
    path = write(tmp_path / "a.json", value)
    (clip,) = read(path, "coco", fps=10, frame_size=(240, 320))
    np.testing.assert_allclose(clip.skeleton.confidence[0].max(1), [0.4, 0.5, 0, 0, 0.8], rtol=1e-6)
    assert clip.skeleton.visible.all(2).tolist() == [[True, True, False, False, True]] * 2
    assert clip.skeleton.source["identities"] == "tracker"
    (all_frames,) = read(path, "coco", fps=10, frame_size=(240, 320), first_frame=0, frames=12)
    assert all_frames.skeleton.num_frames == 12 and all_frames.skeleton.visible[:, 4].all()
    (stored,) = FRAMES["coco"](path).values()
    np.testing.assert_allclose(stored.persons[0].scores, 0.5)


def test_joint_names_decide(tmp_path):
    """Halpe's own names for crown and pelvis are known; joints in an order of no layout are refused."""
    halpe = [
        "head" if joint == "head_top" else "hip" if joint == "pelvis" else joint
        for joint in get_layout("halpe26").joints
    ]
    posed = [{"image_id": 100, "keypoints": keypoints(50, 26)}]
    value = {"images": images(["a.jpg"]), "annotations": posed, "categories": [{"id": 1, "keypoints": halpe}]}
    (clip,) = read(write(tmp_path / "a.json", value), "coco", fps=1)
    assert clip.skeleton.layout == "halpe26"
    value["categories"][0]["keypoints"] = COCO[::-1]
    value["annotations"][0]["keypoints"] = keypoints(50)
    path = write(tmp_path / "b.json", value)
    with pytest.raises(FormatError, match="expected the joints of a layout .*found right_ankle, left_ankle"):
        read(path, "coco", fps=1)
    (clip,) = read(path, "coco", fps=1, layout="coco17")
    assert clip.skeleton.layout == "coco17"


DOG = ["left_eye", "right_eye", "nose", "neck", "root_of_tail"] + [
    f"{side}_{part}" for side in ("l", "r") for part in ("shoulder", "elbow", "f_paw", "hip", "knee", "b_paw")
]


def zoo(person, dog, *kinds):
    """A file of one picture, two categories, and an annotation of each of `kinds` (category numbers)."""
    posed = [
        {"image_id": 100, "category_id": kind, "keypoints": keypoints(50 + 80 * i)} for i, kind in enumerate(kinds)
    ]
    return {"images": images(["a.jpg"]), "categories": [{"id": 1, **person}, {"id": 2, **dog}], "annotations": posed}


@pytest.mark.parametrize(
    ("person", "dog"),
    [
        ({"name": "person", "keypoints": COCO}, {"name": "dog", "keypoints": DOG}),
        ({"name": "Person"}, {"name": "dog", "keypoints": DOG}),
        ({"name": "person", "keypoints": COCO}, {"name": "macaque", "keypoints": COCO}),
        ({"name": "climber", "keypoints": COCO}, {"name": "dog", "keypoints": DOG}),
        ({"name": "climber", "keypoints": None}, {"name": "dog", "keypoints": DOG}),
    ],
)
def test_other_categories_are_left_out_and_counted(tmp_path, person, dog):
    (clip,) = read(write(tmp_path / "a.json", zoo(person, dog, 2, 1, 2)), "coco", fps=1)
    assert clip.skeleton.num_persons == 1 and clip.skeleton.layout == "coco17"
    assert clip.skeleton.keypoints[0, 0, 0].tolist() == [130, 20]
    assert clip.skeleton.source["left_out"] == {dog["name"]: 2}


def test_categories_that_give_no_person(tmp_path):
    person, dog = {"name": "person", "keypoints": COCO}, {"name": "dog", "keypoints": DOG}
    (clip,) = read(write(tmp_path / "a.json", zoo(person, dog, 2)), "coco", fps=1)
    assert (clip.skeleton.num_persons, clip.skeleton.layout) == (0, "coco17")

    def refused(value, message):
        with pytest.raises(FormatError, match=message):
            list(read(write(tmp_path / "a.json", value), "coco", fps=1))

    refused(
        zoo({"name": "cat", "keypoints": DOG}, dog, 2), "expected the joints of a layout .*found left_eye, right_eye"
    )
    refused(zoo(person, dog, 3), r"a\.json: keypoints belong to category 3, which the file lacks; add it")
    refused(zoo({"name": "person"}, dog, 2), "shows no person, so the layout is unknown; give layout=coco17")
    h36m = {"name": "human", "keypoints": list(get_layout("h36m17").joints)}
    refused(zoo(person, h36m, 1, 2), "expected persons of one category, found some with other joints; part the file")


def instance(x, joints=17, **more):
    """One person as `mmpose.structures.split_instances` gives it, whose box is a list of one."""
    points = [[x + 4 * (v % 2), 20 + 4 * v] for v in range(joints)]
    scores = [0.9] * (joints - 1) + [0.1]
    return {"keypoints": points, "keypoint_scores": scores, "bbox": [[x, 5, x + 20, 99]], "bbox_score": 0.5} | more


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("demo", [True, False])
def test_predictions_of_mmpose_for_a_video(tmp_path, first, demo):
    """The inferencer counts frames from 0 and writes a list, the demos count from 1 and add what they know of joints."""
    value = [
        {"frame_id": first + t, "instances": people} for t, people in enumerate([[instance(50)], [], [instance(54)]])
    ]
    if demo:
        names = {str(number): joint for number, joint in enumerate(COCO)}
        value = {"meta_info": {"dataset_name": "coco", "keypoint_id2name": names}, "instance_info": value}
    path = write(tmp_path / "walk.json", value)
    ((name, load),) = clips(path, "coco", fps=10, frame_size=(240, 320))
    skeleton = load().skeleton
    assert (name, skeleton.layout, skeleton.num_persons, skeleton.num_frames) == ("walk", "coco17", 1, 3)
    assert skeleton.visible[0].sum(-1).tolist() == [16, 0, 16]
    np.testing.assert_allclose(skeleton.keypoints[0, 2, 5], [58, 40])
    np.testing.assert_allclose(skeleton.boxes[0, 0], [50, 5, 70, 99])
    np.testing.assert_allclose(skeleton.confidence[0, 0, [0, 16]], [0.9, 0.1])
    (stored,) = FRAMES["coco"](path, first_frame=first, frames=9).values()
    assert len(stored.persons) == 9 and stored.persons[0].scores.tolist() == [0.5]


def test_predictions_of_mmpose_for_a_picture(tmp_path):
    for value in ([instance(50), instance(90)], {"meta_info": None, "instance_info": [instance(50), instance(90)]}):
        (clip,) = read(write(tmp_path / "a.json", value), "coco", fps=1, frame_size=(240, 320))
        assert (clip.skeleton.num_persons, clip.skeleton.num_frames) == (2, 1)


def test_predictions_as_mmpose_splits_them(tmp_path):
    from skeleton.openmmlab import prepare

    prepare("mmengine", "mmcv", "mmpose")
    from mmengine.structures import InstanceData
    from mmpose.structures import split_instances

    points = np.random.default_rng(0).uniform(0, 90, (2, 17, 2)).astype(np.float32)
    found = InstanceData(keypoints=points, keypoint_scores=np.full((2, 17), 0.75, np.float32))
    found.bboxes, found.bbox_scores = np.float32([[0, 0, 90, 90]] * 2), np.float32([0.5, 0.25])
    value = [{"frame_id": 0, "instances": split_instances(found)}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value, default=float))
    (stored,) = FRAMES["coco"](path).values()
    np.testing.assert_allclose(stored.persons[0].keypoints, points)
    np.testing.assert_allclose(stored.persons[0].boxes, [[0, 0, 90, 90]] * 2)
    assert stored.persons[0].scores.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"instance_info": 3}, r"must be MMPose's JSON of predictions with a list of instance_info"),
        ([{"frame_id": 0, "instances": [3]}], "with a list of instances, found none"),
        ([{"frame_id": "a", "instances": []}], r"expected frame_id, a number, in each frame, found \['a'\]"),
        ([{"frame_id": 1, "instances": []}] * 2, "expected each frame_id once, found one twice"),
        ([{"frame_id": 0, "instances": []}], "shows nobody, so the layout is unknown; give layout=coco17"),
        ([instance(5, 14)], "frame 0, instance 0: expected 13 .* joints, found 14"),
        ([instance(5, keypoints=[[1, 2, 3]] * 17)], r"found \[17, 3\] and \[17\]; give the predictions of a 2D model"),
        ([instance(5, keypoint_scores=["x"])], "expected numbers in keypoint_scores, found could not convert"),
        ([instance(5, bbox_score="high")], "expected bbox_score, a number, found 'high'"),
        (
            {"meta_info": {"keypoint_id2name": dict(enumerate(DOG))}, "instance_info": [instance(5)]},
            "expected the joints of a layout .*found left_eye, right_eye, nose",
        ),
    ],
)
def test_bad_predictions_of_mmpose(tmp_path, value, message):
    with pytest.raises(FormatError, match=r"a\.json.*" + message):
        read(write(tmp_path / "a.json", value), "coco", fps=1, frame_size=(9, 9))


def test_real_files(shared):
    """COCO's sample and its whole-body form; four pictures of four sizes are no clip, PoseTrack's joints no layout."""
    folder = shared / "data/keypoints"
    (stored,) = FRAMES["coco"](folder / "coco/test_coco.json").values()
    assert (stored.layout, len(stored.persons), stored.frame_size) == ("coco17", 4, None)
    (whole,) = FRAMES["coco"](folder / "coco/test_coco_wholebody.json").values()
    assert whole.layout == "wholebody133"
    (part,) = FRAMES["coco"](folder / "coco/test_coco_wholebody.json", layout="coco17").values()
    entries = json.loads((folder / "coco/test_coco_wholebody.json").read_text())["annotations"]
    entry = next(one for one in entries if one["righthand_valid"] and one["foot_valid"])
    row = [785, 40083, 196141, 197388].index(entry["image_id"])
    expected = np.array(entry["righthand_kpts"]).reshape(-1, 3)
    persons = whole.persons[row]
    near = [
        i
        for i in range(len(persons))
        if np.allclose(persons.keypoints[i, -21:], expected[:, :2] * (expected[:, 2:] > 0))
    ]
    assert len(near) == 1
    toe = np.array(entry["foot_kpts"])[:3]
    joint = get_layout("wholebody133").index("left_big_toe")
    np.testing.assert_allclose(persons.keypoints[near[0], joint], toe[:2])
    assert sum(len(persons) for persons in part.persons) <= sum(len(persons) for persons in whole.persons)
    with pytest.raises(FormatError, match="no picture size that all frames share"):
        to_skeleton(stored, {"file": "test_coco.json"}, 1)
    with pytest.raises(FormatError, match="found nose, head_bottom, head_top"):
        FRAMES["coco"](folder / "posetrack18/annotations/val/003418_mpii_test.json")
    with pytest.raises(FormatError, match="annotations with keypoints, found none of"):
        FRAMES["coco"](folder / "coco/test_coco_det_AP_H_56.json")


def test_bad_files(tmp_path):
    good = {"images": images(["a.jpg", "b.jpg"]), "annotations": [{"image_id": 100, "keypoints": keypoints(50)}]}

    def refused(value, message, **options):
        write(tmp_path / "a.json", value)
        with pytest.raises(FormatError, match=message):
            list(read(tmp_path / "a.json", "coco", **{"fps": 10, **options}))

    refused({"people": []}, "must be COCO's JSON of keypoints with a list of annotations, found none")
    refused({**good, "images": []}, "expected at least one image")
    refused({**good, "images": images(["a.jpg"]) * 2}, "each image once, found an id twice")
    refused({**good, "images": images(["a.jpg", "b.jpg"], frame_id=3)}, "each frame_id once, found one twice")
    refused(
        {**good, "annotations": [{"image_id": 5, "keypoints": keypoints(1)}]}, "belong to image 5, which the file lacks"
    )
    refused({**good, "annotations": [{"keypoints": keypoints(1)}]}, "expected image_id, a number or name, found None")
    refused({**good, "annotations": []}, "annotations with keypoints, found none of 0")
    refused({**good, "annotations": [{"image_id": 100, "keypoints": [1, 2]}]}, "a flat list x, y, score")
    refused({**good, "annotations": [{"image_id": 100, "keypoints": keypoints(1, 14)}]}, "joints, found 14")
    refused(good, "no fps either", fps=None)
    refused(good, "leaves no first_frame or frames to be given", frames=9)
    refused([{"image_id": "a", "keypoints": keypoints(1)}], "expected a frame number in each name, found 'a'")
    refused([{"image_id": 1, "keypoints": keypoints(1), "score": "x"}], "expected a score, found 'x'")
    (tmp_path / "a.json").write_bytes(json.dumps(good).encode()[:-20])
    with pytest.raises(FormatError, match="found no whole JSON"):
        read(tmp_path / "a.json", "coco", fps=10)
