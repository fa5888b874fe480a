"""Detector and estimator against mmdet's and mmpose's own inference, with random weights; what does not fit."""

import numpy as np
import pytest
import torch

from skeleton.errors import ExtractionError, SkeletonError
from skeleton.extraction import zoo
from skeleton.extraction.detector import PersonDetector
from skeleton.extraction.estimator import PoseEstimator, match_layout
from skeleton.layouts.layout import get_layout
from skeleton.openmmlab import prepare

DETECTOR = "rtmdet_nano_320-8xb32_coco-person"
ESTIMATOR = "rtmpose-t_8xb256-420e_body8-256x192"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoints of randomly initialised networks, spread so that scores and joints differ."""
    prepare("mmdet", "mmpose")
    from mmdet.registry import MODELS as DETECTORS
    from mmengine.registry import DefaultScope
    from mmpose.models.builder import build_pose_estimator

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, scope, build in (
        (DETECTOR, "mmdet", DETECTORS.build),
        (ESTIMATOR, "mmpose", build_pose_estimator),
    ):
        config = zoo.load_config(zoo.find_config(name))
        config.model.backbone.init_cfg = None
        with DefaultScope.overwrite_default_scope(scope):
            model = build(config.model)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, 0.05, 0.2)
        torch.save({"state_dict": model.state_dict()}, folder / f"{name}.pth")
    return {name: folder / f"{name}.pth" for name in (DETECTOR, ESTIMATOR)}


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 255, (3, 12, 16, 3), dtype=np.uint8)
    return list(np.kron(coarse, np.ones((1, 20, 20, 1), np.uint8)))


def test_estimator_equals_inference_topdown(weights, frames):
    from mmpose.apis import inference_topdown

    estimator = PoseEstimator(zoo.find_config(ESTIMATOR), weights[ESTIMATOR], batch_size=2)
    assert estimator.model.test_cfg["flip_test"] is True
    boxes = [np.array([[10, 20, 90, 200.0], [100, 30, 180, 220]], np.float32), np.zeros((0, 4), np.float32)]
    boxes.append(np.array([[200, 10, 300, 230.0]], np.float32))
    found = estimator(frames, boxes)
    assert [len(points) for points, _ in found] == [2, 0, 1]
    for frame, some, (points, scores) in zip(frames, boxes, found, strict=True):
        if len(some):
            bgr = np.ascontiguousarray(frame[..., ::-1])
            expected = [sample.pred_instances for sample in inference_topdown(estimator.model, bgr, some)]
            apart = np.abs(points - [one.keypoints[0] for one in expected]).max(-1)
            # random weights have a few joints with two equal maxima
            assert (apart < 0.5).mean() > 0.9
            wanted = np.clip([one.keypoint_scores[0] for one in expected], 0, 1)
            np.testing.assert_allclose(scores, wanted, atol=1e-3)
            assert points.std() > 1


def test_nobody_needs_no_forward_pass(weights, frames):
    estimator = PoseEstimator(zoo.find_config(ESTIMATOR), weights[ESTIMATOR])
    points, scores = estimator(frames[:1], [np.zeros((0, 4), np.float32)])[0]
    assert points.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


def test_detector_batch_equals_inference_detector(weights, frames):
    from mmdet.apis import inference_detector

    detector = PersonDetector(zoo.find_config(DETECTOR), weights[DETECTOR], score=0.0)
    found = detector(frames)
    for frame, one in zip(frames, found, strict=True):
        expected = inference_detector(detector.model, np.ascontiguousarray(frame[..., ::-1])).pred_instances
        assert len(one.boxes) > 0
        assert len(one.boxes) == len(expected.bboxes)
        np.testing.assert_allclose(one.scores, expected.scores.sort(descending=True).values, atol=1e-4)
        np.testing.assert_allclose(one.boxes.sum(0), expected.bboxes.sum(0), rtol=1e-3, atol=0.5)
    assert detector([]) == []


def test_weights_of_another_model(weights):
    with pytest.raises(ExtractionError, match=rf"must hold the \d+ weights of {DETECTOR}\.py, found .* missing"):
        PersonDetector(zoo.find_config(DETECTOR), weights[ESTIMATOR])
    with pytest.raises(ExtractionError, match=r"another shape \(backbone.*give the checkpoint of this model"):
        PoseEstimator(zoo.find_config("rtmpose-s_8xb256-420e_body8-256x192"), weights[ESTIMATOR])


def test_foreign_object_in_weights_never_runs(weights, tmp_path):
    class Intruder:
        def __reduce__(self):
            import os

            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"state_dict": {}, "meta": Intruder()}, tmp_path / "foreign.pth")
    for model, config in ((PersonDetector, DETECTOR), (PoseEstimator, ESTIMATOR)):
        with pytest.raises(SkeletonError, match="must hold only tensors and plain Python types"):
            model(zoo.find_config(config), tmp_path / "foreign.pth")
    assert not (tmp_path / "executed").exists()


def test_detector_without_persons(weights, tmp_path):
    content = torch.load(weights[DETECTOR], weights_only=True)
    content["meta"] = {"dataset_meta": {"classes": ("dog",)}}
    torch.save(content, tmp_path / "dog.pth")
    with pytest.raises(ExtractionError, match="must know the class person, found dog"):
        PersonDetector(zoo.find_config(DETECTOR), tmp_path / "dog.pth")


def test_detector_config_as_estimator(weights):
    with pytest.raises(ExtractionError, match="must be a TopdownPoseEstimator, found RTMDet"):
        PoseEstimator(zoo.find_config(DETECTOR), weights[DETECTOR])


def test_config_names_and_paths(tmp_path):
    assert zoo.find_config(ESTIMATOR) == zoo.find_config(f"{ESTIMATOR}.py")
    with pytest.raises(ExtractionError, match="found no rtmpose-m_8xb256-420e_body8-256x19; did you mean rtmpose-m"):
        zoo.find_config("rtmpose-m_8xb256-420e_body8-256x19")
    with pytest.raises(ExtractionError, match=r"expected a config file or a name .*found no .*none\.py"):
        zoo.find_config(str(tmp_path / "none.py"))


def test_custom_imports_beside_the_config(tmp_path):
    (tmp_path / "modules_of_this_test.py").write_text("LOADED = True\n")
    imports = "custom_imports = dict(imports=['modules_of_this_test'], allow_failed_imports=False)\nvalue = 3\n"
    (tmp_path / "config.py").write_text(imports)
    assert zoo.load_config(tmp_path / "config.py").value == 3
    (tmp_path / "broken.py").write_text(imports.replace("modules_of_this_test", "no_such_modules"))
    with pytest.raises(ExtractionError, match=r"custom_imports of .*broken\.py must import, found .*no_such_modules"):
        zoo.load_config(tmp_path / "broken.py")


def test_without_network_both_files_are_named(monkeypatch):
    def offline(url):
        raise OSError("no route to host")

    monkeypatch.setattr(zoo, "download", offline)
    wanted = {
        "detector.checkpoint": "https://zoo/a/det.pth",
        "estimator.checkpoint": "https://zoo/b/pose.pth",
    }
    pattern = (
        r"no route to host\); bring https://zoo/a/det\.pth and https://zoo/b/pose\.pth, then pass "
        r"detector\.checkpoint=PATH/det\.pth estimator\.checkpoint=PATH/pose\.pth$"
    )
    with pytest.raises(ExtractionError, match=pattern):
        zoo.fetch_weights(wanted)


def test_local_weights_must_exist(tmp_path):
    with pytest.raises(ExtractionError, match=r"expected a checkpoint file at detector\.checkpoint=.*x\.pth"):
        zoo.fetch_weights({"detector.checkpoint": str(tmp_path / "x.pth")})


def test_layout_is_matched_by_joint_name():
    joints = get_layout("coco17").joints
    name, order = match_layout(["left_big_toe", *reversed(joints)], "some model")
    assert name == "coco17"
    assert order == list(range(17, 0, -1))
    with pytest.raises(ExtractionError, match=r"the joints of a hand must cover a layout .* found thumb, index"):
        match_layout(["thumb", "index"], "a hand")
