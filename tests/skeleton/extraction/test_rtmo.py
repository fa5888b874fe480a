"""One-stage extraction against mmpose's own inference, with random weights; what does not fit."""

import numpy as np
import pytest
import torch

from skeleton.errors import ExtractionError
from skeleton.extraction import zoo
from skeleton.extraction.rtmo import BottomUp
from skeleton.extraction.streaming import Frame, Stages
from skeleton.openmmlab import prepare

RTMO = "rtmo-t_8xb32-600e_body7-416x416"
YOLOX_POSE = "yoloxpose_tiny_4xb64-300e_coco-416"
ESTIMATOR = "rtmpose-t_8xb256-420e_body8-256x192"


def pictures():
    coarse = np.random.default_rng(1).integers(0, 255, (3, 12, 16, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((1, 20, 20, 1), np.uint8))


@pytest.fixture(scope="module")
def frames():
    return [Frame(number, number / 10, image) for number, image in enumerate(pictures())]


@torch.no_grad()
def randomized(model):
    """Random weights that find persons in a few of the places, as in real pictures."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, 0.0, parameter[0].numel() ** -0.5)
    batch = torch.from_numpy(pictures()).permute(0, 3, 1, 2).float()
    scores = model.eval().head(model.extract_feat(torch.nn.functional.interpolate(batch, (160, 192))))[0]
    for layer, logits in zip(model.head.head_module.out_cls, scores, strict=True):
        layer.bias.sub_(logits.quantile(0.97)).mul_(3 / logits.std())
        layer.weight.mul_(3 / logits.std())
    return model


@pytest.fixture(scope="module", params=[RTMO, YOLOX_POSE])
def files(request, tmp_path_factory):
    """A config, changed to smaller pictures, and weights."""
    prepare("mmpose")
    from mmengine.registry import DefaultScope
    from mmpose.models.builder import build_pose_estimator

    folder = tmp_path_factory.mktemp("weights")
    config = zoo.load_config(zoo.find_config(request.param))
    config.test_dataloader.dataset.pipeline[1].input_size = (192, 192)
    config.model.backbone.init_cfg = None
    config.dump(folder / "small.py")
    with DefaultScope.overwrite_default_scope("mmpose"):
        model = build_pose_estimator(config.model)
    torch.save({"state_dict": randomized(model).state_dict()}, folder / "small.pth")
    return folder / "small.py", folder / "small.pth"


@pytest.fixture(scope="module")
def source(files):
    return BottomUp(*files, batch_size=2, score=0.3)


def test_equals_inference_bottomup(source, frames):
    from mmpose.apis import inference_bottomup

    assert source.layout == "coco17"
    found = list(source.persons(iter(frames)))
    assert [frame.number for frame, _ in found] == [0, 1, 2]
    for frame, persons in found:
        expected = inference_bottomup(source.model, np.ascontiguousarray(frame.image[..., ::-1]))[0].pred_instances
        boxes = expected.bboxes.clip(0, [320, 240, 320, 240])
        keep = (expected.bbox_scores >= 0.3) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        assert 0 < len(persons) == keep.sum() < len(keep)
        np.testing.assert_allclose(persons.scores, expected.bbox_scores[keep], atol=1e-4)
        np.testing.assert_allclose(persons.boxes, boxes[keep], atol=0.05)
        np.testing.assert_allclose(persons.keypoints, expected.keypoints[keep], atol=0.05)
        np.testing.assert_allclose(persons.confidence, expected.keypoint_scores[keep], atol=1e-4)
        assert persons.keypoints.std() > 1
        assert {part.dtype for part in vars(persons).values()} == {np.dtype(np.float32)}
        assert (np.diff(persons.scores) <= 0).all()


def test_batches_equal_single_frames(source, frames):
    images = [frame.image for frame in frames]
    for persons, image in zip(source(images), images, strict=True):
        alone = source([image])[0]
        np.testing.assert_allclose(persons.scores, alone.scores, atol=1e-4)
        np.testing.assert_allclose(persons.keypoints, alone.keypoints, atol=0.05)


def test_nobody_is_an_empty_answer(source, frames, monkeypatch):
    monkeypatch.setattr(source, "score", 1.1)
    persons = source([frames[0].image])[0]
    assert persons.boxes.shape == (0, 4)
    assert persons.keypoints.shape == (0, 17, 2)
    assert persons.confidence.shape == (0, 17)
    monkeypatch.setitem(source.model.test_cfg, "score_thr", 1.1)
    assert source([frames[0].image])[0].keypoints.shape == (0, 17, 2)
    assert source([]) == []
    assert list(source.persons([])) == []


def test_time_is_counted_by_frames(source, frames, monkeypatch):
    monkeypatch.setattr(source, "stages", Stages())
    assert len(list(source.persons(frames))) == 3
    assert source.stages.counts["estimate"] == 3
    assert source.stages.seconds["estimate"] > 0


def test_half_precision_stays_near(source, files, frames):
    halved = BottomUp(*files, half=True)([frames[0].image])[0]
    whole = source([frames[0].image])[0]
    np.testing.assert_allclose(halved.scores[:3], whole.scores[:3], atol=0.05)
    np.testing.assert_allclose(halved.keypoints[0], whole.keypoints[0], atol=2)
    assert not np.array_equal(halved.keypoints[0], whole.keypoints[0])
    assert halved.keypoints.dtype == halved.boxes.dtype == np.float32


def test_what_does_not_fit_is_named(files):
    pattern = r"rtmpose-t.* must be a BottomupPoseEstimator with RTMOHead .* found TopdownPoseEstimator with RTMCCHead"
    with pytest.raises(ExtractionError, match=pattern):
        BottomUp(zoo.find_config(ESTIMATOR), files[1])
    with pytest.raises(ExtractionError, match=r"found BottomupPoseEstimator with DEKRHead; take an rtmo config"):
        BottomUp(zoo.find_config("dekr_hrnet-w32_8xb10-140e_coco-512x512"), files[1])
    with pytest.raises(ExtractionError, match=r"another shape .*give the checkpoint of this model"):
        BottomUp(zoo.find_config("rtmo-m_16xb16-600e_coco-640x640"), files[1])
