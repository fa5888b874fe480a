"""Hub models against transformers itself, image by image, with tiny random networks; what does not fit."""

import json
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save

from skeleton.errors import ExtractionError
from skeleton.extraction.hub_models import HubDetector, HubEstimator
from skeleton.extraction.unbiased import UnbiasedCrops, decode_unbiased

DETECTORS = ("RTDetr", "RTDetrV2")
LABELS = {0: "cat", 1: "person", 2: "bicycle"}


def pictures():
    coarse = np.random.default_rng(1).integers(0, 255, (3, 12, 16, 3), dtype=np.uint8)
    return [cv2.resize(image, (160, 120), interpolation=cv2.INTER_CUBIC) for image in coarse]


def randomized(model):
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, 0.0, 1.5 / parameter[0].numel() ** 0.5)
    return model.eval()


def saved(model, processor, folder):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def balanced(model, processor):
    """The detector with every class as likely as the others, so that persons stand among the rest."""
    logits = model(**processor(pictures(), return_tensors="pt")).logits
    last = model.model.decoder.class_embed[-1]
    last.bias.sub_(logits.mean((0, 1))).div_(logits.std((0, 1)))
    last.weight.div_(logits.std((0, 1))[:, None])
    return model


def tiny_detector(kind, folder, labels=LABELS):
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
    )
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=backbone,
        encoder_in_channels=[16, 16, 32],
        encoder_hidden_dim=32,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        d_model=32,
        num_queries=252,  # every place of the picture, so that a small difference chooses no other queries
        decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=32,
        decoder_layers=2,
        decoder_attention_heads=2,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )
    processor = transformers.RTDetrImageProcessor(size={"height": 96, "width": 128})
    model = randomized(getattr(transformers, f"{kind}ForObjectDetection")(config))
    return saved(balanced(model, processor), processor, folder)


def tiny_estimator(folder, joints=17, experts=1):
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[64, 48],
        patch_size=[8, 8],
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_experts=experts,
        part_features=8,
        out_indices=[2],
    )
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=joints, use_simple_decoder=False)
    processor = transformers.VitPoseImageProcessor(size={"height": 64, "width": 48})
    return saved(randomized(transformers.VitPoseForPoseEstimation(config)), processor, folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    made = {kind: tiny_detector(kind, root / kind) for kind in DETECTORS}
    for experts in (1, 3):
        made[experts] = tiny_estimator(root / f"vitpose{experts}", experts=experts)
    return made


@pytest.fixture(scope="module")
def frames():
    return pictures()


# With their surroundings inside the picture: at its edge OpenCV fades to black within a pixel, and scipy does not.
BOXES = [
    np.array([[40, 20, 80, 90], [60.5, 40, 110, 80]], np.float32),
    np.zeros((0, 4), np.float32),
    np.array([[100, 25, 140, 70]], np.float32),
]


@pytest.mark.parametrize("kind", DETECTORS)
def test_detector_equals_transformers_image_by_image(folders, frames, kind):
    score = 0.7
    found = HubDetector(folders[kind], score=score)(frames)
    everybody = HubDetector(folders[kind], score=0.0)(frames)
    processor = transformers.AutoImageProcessor.from_pretrained(folders[kind])
    model = transformers.AutoModelForObjectDetection.from_pretrained(folders[kind]).eval()
    for frame, one, unsure in zip(frames, found, everybody, strict=True):
        with torch.inference_mode():
            outputs = model(**processor(frame, return_tensors="pt"))
        expected = processor.post_process_object_detection(outputs, threshold=score, target_sizes=[frame.shape[:2]])[0]
        person = expected["labels"] == 1
        boxes = expected["boxes"][person].numpy().clip(0, [160, 120, 160, 120])
        np.testing.assert_allclose(one.scores, expected["scores"][person], atol=1e-4)
        np.testing.assert_allclose(one.boxes, boxes, atol=0.05)
        assert one.boxes.dtype == one.scores.dtype == np.float32
        assert (np.diff(one.scores) <= 0).all()
        assert 0 < len(one.boxes) < len(expected["labels"]), "some are left out for their label"
        assert len(one.boxes) < len(unsure.boxes) < 252, "and some for their score"
    assert HubDetector(folders[kind], score=1.1)(frames)[0].boxes.shape == (0, 4)


def test_detector_without_frames(folders):
    assert HubDetector(folders["RTDetr"])([]) == []


def coco_boxes(boxes):
    return [[x, y, right - x, bottom - y] for x, y, right, bottom in boxes.tolist()]


@pytest.mark.parametrize("experts", [1, 3])
def test_estimator_equals_transformers_image_by_image(folders, frames, experts):
    found = HubEstimator(folders[experts], batch_size=2)(frames, BOXES)
    processor = transformers.VitPoseImageProcessor.from_pretrained(folders[experts])
    model = transformers.VitPoseForPoseEstimation.from_pretrained(folders[experts]).eval()
    assert [points.shape for points, _ in found] == [(2, 17, 2), (0, 17, 2), (1, 17, 2)]
    for frame, boxes, (points, scores) in zip(frames, BOXES, found, strict=True):
        assert points.dtype == scores.dtype == np.float32
        if not len(boxes):
            continue
        coco = coco_boxes(boxes)
        options = {"dataset_index": torch.zeros(len(coco), dtype=torch.long)} if experts > 1 else {}
        with torch.inference_mode():
            outputs = model(**processor(frame, boxes=[coco], return_tensors="pt"), **options)
        expected = processor.post_process_pose_estimation(outputs, boxes=[coco])[0]
        np.testing.assert_allclose(scores, np.clip([one["scores"] for one in expected], 0, 1), atol=1e-2)
        distances = np.linalg.norm(points - np.stack([one["keypoints"] for one in expected]), axis=-1)
        # Random heatmaps have several maxima that are nearly as high: a few joints may jump between two of them.
        assert np.quantile(distances, 0.8) < 0.1
        assert points.std() > 5


def test_batches_equal_single_crops(folders, frames):
    together = HubEstimator(folders[1], batch_size=8)(frames, BOXES)
    single = HubEstimator(folders[1], batch_size=1)(frames, BOXES)
    for (points, scores), (others, confidence) in zip(together, single, strict=True):
        np.testing.assert_allclose(scores, confidence, atol=1e-4)
        np.testing.assert_allclose(points[scores > 0], others[scores > 0], atol=0.05)


def test_nobody_needs_no_forward_pass(folders, frames):
    points, scores = HubEstimator(folders[1])(frames[:1], [BOXES[1]])[0]
    assert points.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


def test_crops_are_those_of_the_processor(folders, frames):
    processor = transformers.VitPoseImageProcessor.from_pretrained(folders[1])
    plain = {"do_rescale": False, "do_normalize": False, "return_tensors": "np"}
    beyond = np.array([[10, 60, 70, 130], [-20, -5, 30, 60]], np.float32)
    for boxes, mean, edge in ((BOXES[0], 0.2, 1), (beyond, 2.0, 150)):
        crops = UnbiasedCrops.around(boxes, (48, 64))
        theirs = processor(frames[0], boxes=[coco_boxes(boxes)], **plain)["pixel_values"]
        for index, expected in enumerate(theirs):
            difference = np.abs(crops.cut(frames[0], index).astype(float) - expected.transpose(1, 2, 0))
            assert difference.mean() < mean
            assert (difference > edge).mean() < 0.01


def test_heatmaps_are_read_as_by_the_processor(folders):
    processor = transformers.VitPoseImageProcessor.from_pretrained(folders[1])
    rng = np.random.default_rng(2)
    heatmaps = rng.uniform(-0.2, 0.2, (3, 17, 16, 12)).astype(np.float32)
    peaks = rng.uniform([0, 0], [12, 16], (3, 17, 2))  # some of them in the first and last rows and columns
    y, x = np.mgrid[:16, :12]
    heatmaps += np.exp(-((x - peaks[..., :1, None]) ** 2 + (y - peaks[..., 1:, None]) ** 2) / 3)
    heatmaps[1, 4] = 0.7  # flat
    heatmaps[2, 5] = -1
    boxes = BOXES[0][[0, 1, 0]]
    coco = coco_boxes(boxes)
    outputs = types.SimpleNamespace(heatmaps=torch.from_numpy(heatmaps))
    expected = processor.post_process_pose_estimation(outputs, boxes=[coco])[0]
    points, scores = decode_unbiased(heatmaps, (48, 64))
    points = UnbiasedCrops.around(boxes, (48, 64)).to_image(points)
    np.testing.assert_array_equal(scores, [one["scores"] for one in expected])
    warm = scores > 0
    assert warm.sum() == 3 * 17 - 1
    np.testing.assert_allclose(points[warm], np.stack([one["keypoints"] for one in expected])[warm], atol=1e-2)


def test_half_precision_stays_near(folders, frames):
    whole, halved = (HubEstimator(folders[1], half=half)(frames, BOXES) for half in (False, True))
    np.testing.assert_allclose(halved[0][1], whole[0][1], atol=0.02)
    assert not np.array_equal(halved[0][1], whole[0][1])
    whole, halved = (HubDetector(folders["RTDetr"], half=half)(frames)[0] for half in (False, True))
    np.testing.assert_allclose(halved.scores[:10], whole.scores[:10], atol=0.02)
    assert not np.array_equal(halved.scores[:10], whole.scores[:10])
    assert halved.boxes.dtype == halved.scores.dtype == np.float32


def test_models_that_do_not_fit(folders, tmp_path):
    with pytest.raises(ExtractionError, match=r"must know the class person, found cat, dog; take another"):
        HubDetector(tiny_detector("RTDetr", tmp_path / "dog", {0: "cat", 1: "dog"}))
    with pytest.raises(ExtractionError, match=r"must give COCO's 17 joints, found 5; take another"):
        HubEstimator(tiny_estimator(tmp_path / "five", joints=5))
    with pytest.raises(ExtractionError, match=r"must be a vitpose, found a rt_detr; take another"):
        HubEstimator(folders["RTDetr"])
    with pytest.raises(ExtractionError, match=r"found neither \(Unrecognized configuration class.*bring a folder with"):
        HubDetector(folders[1])


def copied(folder, target, **changes):
    """The files of a folder, some with other content (None: without the file)."""
    target.mkdir()
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        content = changes.get(name.partition(".")[0], (folder / name).read_bytes())
        if content is not None:
            (target / name).write_bytes(content)
    return str(target)


@pytest.mark.parametrize(
    "changes", [{"config": None}, {"preprocessor_config": None}, {"model": None}, {"model": b"cut"}, {"config": b"{"}]
)
def test_broken_folders_name_the_files_to_bring(folders, tmp_path, changes):
    pattern = (
        r"^estimator\.checkpoint=.*copy must be a model on the Hugging Face hub or a folder .*; bring a folder with "
        r"config\.json, preprocessor_config\.json and model\.safetensors, then pass estimator\.checkpoint=FOLDER$"
    )
    with pytest.raises(ExtractionError, match=pattern):
        HubEstimator(copied(Path(folders[1]), tmp_path / "copy", **changes))


def test_missing_weights_are_not_made_up(folders, tmp_path):
    weights = load_file(Path(folders[1], "model.safetensors"))
    lost = next(name for name in sorted(weights) if name.startswith("head"))
    del weights[lost]
    folder = copied(Path(folders[1]), tmp_path / "copy", model=save(weights, {"format": "pt"}))
    with pytest.raises(ExtractionError, match=rf"must hold all weights of its vitpose, found 1 missing \({lost}\)"):
        HubEstimator(folder)


def test_code_beside_the_weights_never_runs(folders, tmp_path):
    settings = json.loads(Path(folders["RTDetr"], "config.json").read_text())
    settings |= {"model_type": "unknown_here", "auto_map": {"AutoConfig": "intruder.Config"}}
    folder = copied(Path(folders["RTDetr"]), tmp_path / "copy", config=json.dumps(settings).encode())
    Path(folder, "intruder.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    with pytest.raises(ExtractionError, match=r"found neither \("):
        HubDetector(folder)
    assert not (tmp_path / "executed").exists()


def test_without_network_the_folder_is_asked_for(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    pattern = r"^detector\.checkpoint=nobody/nothing must be .* bring a folder with config\.json"
    with pytest.raises(ExtractionError, match=pattern):
        HubDetector("nobody/nothing")


def test_without_transformers(monkeypatch, folders):
    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))
    with pytest.raises(
        ExtractionError, match=r"needs VitPoseForPoseEstimation of the package transformers, found none"
    ):
        HubEstimator(folders[1])
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ExtractionError, match=r"detector\.config=transformers needs .* run `pip install"):
        HubDetector(folders["RTDetr"])
