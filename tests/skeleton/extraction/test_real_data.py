"""Real weights on real pictures: two stable persons in the handshake, and the published pose accuracy."""

import json

import cv2
import numpy as np
import pytest

from skeleton.extraction.build import Network, Runtime, build_extractor
from skeleton.extraction.estimator import PoseEstimator
from skeleton.extraction.pipeline import Settings
from skeleton.layouts import get_layout


@pytest.fixture(scope="module")
def extractor(shared):
    folder = shared / "data/weights"
    detector = Network.find("rtmdet_nano_320-8xb32_coco-person", folder / "rtmdet_nano_coco_person.pth")
    estimator = Network.find(str(folder / "simplepose_nano.py"), folder / "simplepose_nano_coco17.pth")
    return build_extractor(detector, estimator, Settings(fps=5), Runtime())


@pytest.fixture(scope="module")
def people(shared):
    """The annotated persons of keypoints/coco: image, box x1 y1 x2 y2, joints [17, 2], labelled [17], area."""
    folder = shared / "data/keypoints/coco"
    content = json.loads((folder / "test_coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    found = []
    for entry in content["annotations"]:
        if entry.get("num_keypoints", 0) and not entry.get("iscrowd"):
            image = cv2.cvtColor(cv2.imread(str(folder / names[entry["image_id"]])), cv2.COLOR_BGR2RGB)
            x, y, width, height = entry["bbox"]
            joints = np.array(entry["keypoints"], np.float64).reshape(17, 3)
            box = np.array([[x, y, x + width, y + height]], np.float32)
            found.append((image, box, joints[:, :2], joints[:, 2] > 0, entry["area"]))
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


def test_joints_equal_mmpose(people, extractor):
    from mmpose.apis import inference_topdown

    estimator: PoseEstimator = extractor.persons.estimator
    poses = estimator([image for image, *_ in people], [box for _, box, *_ in people])
    for (points, scores), (image, box, *_) in zip(poses, people, strict=True):
        expected = inference_topdown(estimator.model, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), box)[
            0
        ].pred_instances
        np.testing.assert_allclose(points, expected.keypoints, atol=0.5)
        np.testing.assert_allclose(scores, expected.keypoint_scores, atol=1e-3)
