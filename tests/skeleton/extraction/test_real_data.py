"""Real weights on real pictures: two stable persons in the handshake, and the published pose accuracy."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from skeleton.extraction.build import Network, Runtime, build_extractor
from skeleton.extraction.pipeline import Settings
from skeleton.extraction.places import matched
from skeleton.extraction.streaming import Frame
from skeleton.extraction.zoo import find_config, load_config, quiet_loading
from skeleton.layouts.layout import get_layout
from skeleton.openmmlab import prepare


@pytest.fixture(scope="module")
def extractor(shared):
    folder = shared / "data/weights"
    detector = Network.find("rtmdet_nano_320-8xb32_coco-person", folder / "rtmdet_nano_coco_person.pth")
    estimator = Network.find(str(folder / "simplepose_nano.py"), folder / "simplepose_nano_coco17.pth")
    return build_extractor(detector, estimator, Settings(every=4, rate=24), Runtime())


@pytest.fixture(scope="module")
def mmpose_models(shared):
    """The same networks as mmdet and mmpose load them."""
    prepare("mmdet", "mmpose")
    from mmdet.apis import init_detector
    from mmpose.apis import init_model

    folder = shared / "data/weights"
    with quiet_loading():
        detector = init_detector(
            load_config(find_config("rtmdet_nano_320-8xb32_coco-person")),
            str(folder / "rtmdet_nano_coco_person.pth"),
            device="cpu",
        )
        estimator = init_model(
            load_config(folder / "simplepose_nano.py"), str(folder / "simplepose_nano_coco17.pth"), device="cpu"
        )
    return detector, estimator


@pytest.fixture(scope="module")
def people(shared):
    """The annotated persons of keypoints/coco: image, box x1 y1 x2 y2, joints [17, 2], labelled [17], area."""
    folder = shared / "data/keypoints/coco"
    content = json.loads((folder / "test_coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    images, found = {}, []
    for entry in content["annotations"]:
        if entry.get("num_keypoints", 0) and not entry.get("iscrowd"):
            name = names[entry["image_id"]]
            if name not in images:
                images[name] = cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB)
            x, y, width, height = entry["bbox"]
            joints = np.array(entry["keypoints"], np.float64).reshape(17, 3)
            box = np.array([[x, y, x + width, y + height]], np.float32)
            found.append((images[name], box, joints[:, :2], joints[:, 2] > 0, entry["area"]))
    return found


def test_handshake_has_two_stable_persons(shared, extractor):
    skeleton = extractor.extract(shared / "data/videos/handshake_two_people.mp4")
    both = skeleton.visible.any(-1).sum(0) == 2
    assert skeleton.num_persons == 2
    assert both.mean() >= 0.95
    centres = skeleton.boxes[:, :, [0, 2]].mean(-1)
    assert (centres[0] > centres[1]).all() or (centres[0] < centres[1]).all(), "they never change places"
    assert skeleton.confidence[skeleton.visible].mean() > 0.6


def test_nobody_is_found_in_noise(extractor, tmp_path):
    from skeleton.video import write_video

    rng = np.random.default_rng(0)
    write_video(tmp_path / "noise.mp4", list(rng.integers(0, 255, (3, 120, 160, 3), dtype=np.uint8)), fps=5)
    skeleton = extractor.extract(tmp_path / "noise.mp4")
    assert (skeleton.num_persons, skeleton.num_frames) == (0, 3)


def test_oks_with_true_boxes(people, extractor):
    estimator = extractor.persons.estimator
    assert len(people) == 12
    sigmas, found = np.array(get_layout("coco17").sigmas), []
    poses = estimator([image for image, *_ in people], [box for _, box, *_ in people])
    for (points, _), (_, _, truth, labelled, area) in zip(poses, people, strict=True):
        squared = ((points[0] - truth) ** 2).sum(-1)
        found.append(np.exp(-squared / (2 * (2 * sigmas) ** 2 * area))[labelled].mean())
    assert np.mean(found) == pytest.approx(0.79, abs=0.01)


def test_everybody_is_found_and_stands_where_mmpose_says(people, extractor, mmpose_models):
    from mmdet.apis import inference_detector
    from mmengine.registry import DefaultScope
    from mmpose.apis import inference_topdown

    detector, estimator = mmpose_models
    source = replace(extractor.persons, start_score=0.3)  # the score that the weights' notes are about
    found_people = 0
    for image in {id(image): image for image, *_ in people}.values():
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        ((_, persons),) = source.persons([Frame(0, 0.0, image)])
        truth = np.concatenate([box for other, box, *_ in people if other is image])
        found_people += len(matched(truth, persons.boxes, 0.5)[0])
        with DefaultScope.overwrite_default_scope("mmdet"):
            detected = inference_detector(detector, bgr).pred_instances
        theirs = detected.bboxes[(detected.labels == 0) & (detected.scores >= 0.3)].numpy()
        rows, columns = matched(persons.boxes, theirs, 0.999)
        assert len(rows) == len(persons.boxes) > 0
        expected = [sample.pred_instances for sample in inference_topdown(estimator, bgr, theirs[columns])]
        np.testing.assert_allclose(persons.keypoints[rows], [one.keypoints[0] for one in expected], atol=0.5)
        # boxes 1e-4 pixels apart may move a crop by a step of OpenCV's warp, a 32nd of a pixel
        np.testing.assert_allclose(persons.confidence[rows], [one.keypoint_scores[0] for one in expected], atol=5e-3)
    assert found_people == len(people) == 12


def test_joints_in_true_boxes_equal_mmpose(people, extractor, mmpose_models):
    from mmpose.apis import inference_topdown

    poses = extractor.persons.estimator([image for image, *_ in people], [box for _, box, *_ in people])
    for (points, scores), (image, box, *_) in zip(poses, people, strict=True):
        expected = inference_topdown(mmpose_models[1], cv2.cvtColor(image, cv2.COLOR_RGB2BGR), box)[0].pred_instances
        np.testing.assert_allclose(points, expected.keypoints, atol=0.5)
        np.testing.assert_allclose(scores, expected.keypoint_scores, atol=1e-3)
