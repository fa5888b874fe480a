"""ONNX detectors and estimators: small models made on the spot, and the real exports against their torch twins."""

import sys

import numpy as np
import pytest

from skeleton.errors import ExtractionError
from skeleton.extraction.codecs import Crops
from skeleton.extraction.onnx_models import OnnxDetector, OnnxEstimator
from skeleton.extraction.persons import suppress
from tests.skeleton.extraction.tiny_onnx import constant_model, heatmap_model, simcc_model

SIZE = (48, 64)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)


def written(folder, content):
    (folder / "model.onnx").write_bytes(content)
    return folder / "model.onnx"


def test_heatmap_export_finds_the_brightest_place_of_each_crop(tmp_path):
    weights = np.tile(np.linspace(0.5, 1.0, 17)[:, None, None, None], (1, 3, 4, 4))
    estimator = OnnxEstimator(written(tmp_path, heatmap_model(weights, SIZE)))
    images = [np.zeros((120, 200, 3), np.uint8) for _ in range(3)]
    images[0][40:48, 50:58] = 255
    images[2][90:98, 150:158] = 255
    boxes = [np.array([[30, 20, 80, 70.0]], np.float32), np.zeros((0, 4), np.float32)]
    boxes.append(np.array([[130, 70, 180, 118], [120, 80, 170, 119.0]], np.float32))
    found = estimator(images, boxes)
    assert estimator.layout == "coco17"
    assert [points.shape for points, _ in found] == [(1, 17, 2), (0, 17, 2), (2, 17, 2)]
    np.testing.assert_allclose(found[0][0], np.full((1, 17, 2), [54, 44]), atol=4)
    np.testing.assert_allclose(found[2][0], np.full((2, 17, 2), [154, 94]), atol=4)
    assert (found[2][1] == 1).all(), "confidence ends at 1"


def test_simcc_export_equals_the_same_sums_in_numpy(tmp_path, image):
    weights = np.random.default_rng(1).normal(size=(17, 3, 1, 1))
    estimator = OnnxEstimator(written(tmp_path, simcc_model(weights, SIZE)))
    box = np.array([[20, 10, 120, 110.0]], np.float32)
    crop = Crops.around(box, SIZE).cut(image, 0)
    values = (crop - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    maps = np.einsum("hwc,vc->vhw", values, weights[:, :, 0, 0])
    points, _ = estimator([image], [box])[0]
    expected = np.stack([maps.max(1).argmax(-1), maps.max(2).argmax(-1)], -1)
    np.testing.assert_allclose(points[0], Crops.around(box, SIZE).to_image(expected[None])[0], atol=1e-3)


def test_exported_boxes_come_back_in_the_picture(tmp_path, image):
    dets = np.array([[[0, 0, 16, 32, 0.6], [8, 8, 30, 30, 0.9], [1, 1, 9, 9, 0.2], [2, 2, 20, 20, 0.9]]], np.float32)
    labels = np.array([[0, 0, 0, 1]])
    path = written(tmp_path, constant_model({"dets": dets, "labels": labels}, (1, 3, 50, 50)))
    found = OnnxDetector(path, "rtmdet", score=0.3)([image])[0]
    np.testing.assert_allclose(found.scores, [0.9, 0.6])
    # 200 x 120 pixels fit into 50 x 50 at a quarter
    np.testing.assert_allclose(found.boxes, [[32, 32, 120, 120], [0, 0, 64, 120]], atol=0.01)


def test_raw_yolox_output_is_read_on_its_grids(tmp_path, image):
    raw = np.zeros((1, 84, 7), np.float32)  # 64 / 8, 64 / 16 and 64 / 32 cells a side; two classes
    raw[0, 10] = [0.5, 0.5, np.log(2), np.log(3), 0.9, 0.9, 0.1]  # cell (2, 1) of stride 8
    raw[0, 11] = [-0.5, 0.5, np.log(2), np.log(3), 0.9, 0.8, 0.1]  # the same box from the next cell
    raw[0, 80] = [0.5, 0.5, 0.0, 0.0, 0.9, 0.1, 0.9]  # another class
    path = written(tmp_path, constant_model({"output": raw}, (1, 3, 64, 64)))
    found = OnnxDetector(path, "yolox", score=0.3)([image])[0]
    assert len(found.boxes) == 1
    scale = 64 / 200  # center (20, 12), sides 16 and 24 in the input
    expected = np.array([12, 0, 28, 24]) / scale
    np.testing.assert_allclose(found.boxes[0], np.clip(expected, 0, [200, 120, 200, 120]), atol=1.0)
    with pytest.raises(ExtractionError, match=r"must have 84 rows, found shape \[9, 7\]"):
        path = written(tmp_path, constant_model({"output": raw[:, :9]}, (1, 3, 64, 64)))
        OnnxDetector(path, "yolox")([image])


def test_the_better_of_two_overlapping_boxes_stays():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10.0]])
    assert suppress(boxes, np.array([0.5, 0.9, 0.4]), 0.65) == [1, 2]


def test_what_does_not_fit_is_named(tmp_path, monkeypatch):
    odd = written(tmp_path, heatmap_model(np.ones((5, 3, 4, 4)), SIZE))
    with pytest.raises(ExtractionError, match="gives 5 joints, which is no layout with sigmas"):
        OnnxEstimator(odd)
    with pytest.raises(ExtractionError, match=r"must be one of rtmdet, yolox, found 'detr'"):
        OnnxDetector(odd, "detr")
    with pytest.raises(ExtractionError, match="must give heatmaps"):
        OnnxEstimator(written(tmp_path, constant_model({"a": np.zeros((1, 2), np.float32)}, (1, 3, 8, 8))))
    opened = constant_model(
        {"dets": np.zeros((1, 0, 5), np.float32), "labels": np.zeros((1, 0), np.int64)}, (1, 3, "h", "w")
    )
    with pytest.raises(ExtractionError, match=r"leaves its input size open; pass detector\.size=320"):
        OnnxDetector(written(tmp_path, opened), "rtmdet")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ExtractionError, match=r"text\.onnx is not an ONNX model that onnxruntime can read"):
        OnnxEstimator(tmp_path / "text.onnx")
    with pytest.raises(ExtractionError, match="needs onnxruntime-gpu, found the CPU build"):
        OnnxEstimator(odd, device="cuda")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        ExtractionError, match="needs onnxruntime, found no such package; run `pip install onnxruntime`"
    ):
        OnnxEstimator(odd)


def test_real_exports_equal_their_torch_twins(shared):
    from skeleton.extraction.build import Network, Runtime, build_detector, build_estimator
    from skeleton.video import sample_frames

    folder = shared / "data/weights"
    images = list(sample_frames(shared / "data/videos/street_five_frames.mp4", 0, 0.2, 2).images)
    torch_detector = Network.find("rtmdet_nano_320-8xb32_coco-person", folder / "rtmdet_nano_coco_person.pth")
    onnx_detector = Network.find("rtmdet", folder / "onnx/rtmdet_nano_coco_person_320.onnx", 320)
    ours, theirs = (build_detector(one, 0.4, Runtime())(images) for one in (onnx_detector, torch_detector))
    for one, other in zip(ours, theirs, strict=True):
        assert len(one.boxes) == len(other.boxes) > 3
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1.5)
    torch_estimator = Network.find(str(folder / "simplepose_nano.py"), folder / "simplepose_nano_coco17.pth")
    onnx_estimator = Network.find("", folder / "onnx/simplepose_nano_coco17.onnx")
    boxes = [one.boxes for one in theirs]
    ours, theirs = (build_estimator(one, Runtime())(images, boxes) for one in (onnx_estimator, torch_estimator))
    for (points, scores), (expected, confidence) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(scores, confidence, atol=1e-3)
        assert np.median(np.abs(points - expected)) < 0.1
