"""Persons and joints by networks of Hugging Face transformers: any object detector that knows `person`, and ViTPose.

A checkpoint is a name on the hub or a folder with the same files, read by `from_pretrained`. The numbers are those of
transformers' own processors, one picture at a time. Of ViTPose++ the expert of COCO answers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from skeleton.errors import ExtractionError
from skeleton.extraction.persons import Detections
from skeleton.extraction.unbiased import UnbiasedCrops, decode_unbiased

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, BatchFeature, PreTrainedModel

_FILES = "config.json, preprocessor_config.json and model.safetensors"
_JOINTS = 17  # those of COCO, in its order
_COCO_EXPERT = 0  # ViTPose++ has one expert for each data set that it was trained on


class HubDetector:
    """A transformers object detector (RT-DETR, RT-DETRv2, D-FINE, ...) that answers with the boxes of `person`."""

    def __init__(self, checkpoint: str, device: str | torch.device = "cpu", score: float = 0.3, half: bool = False):
        """score: least score of a box. ExtractionError for what is no detector, or one without the class person."""
        self.model, self._processor = load_pretrained("detector", checkpoint, "AutoModelForObjectDetection", device)
        self.score, self._half = score, half
        labels = {str(label).casefold(): index for index, label in self.model.config.id2label.items()}
        if "person" not in labels:
            found = ", ".join(list(labels)[:5])
            raise ExtractionError(f"detector {checkpoint} must know the class person, found {found}; take another")
        self._person = labels["person"]

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """RGB images uint8 [H, W, 3] -> the persons in each, best first."""
        if not images:
            return []
        inputs = _prepared(self.model, self._processor, images)
        with torch.autocast(self.model.device.type, torch.float16, enabled=self._half):
            outputs = self.model(**inputs)
        outputs.logits, outputs.pred_boxes = outputs.logits.float(), outputs.pred_boxes.float()
        sizes = [image.shape[:2] for image in images]
        found = self._processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=sizes)
        return [self._persons(one, *size) for one, size in zip(found, sizes, strict=True)]

    def _persons(self, found: dict, height: int, width: int) -> Detections:
        keep = (found["labels"] == self._person) & (found["scores"] >= self.score)
        order = torch.argsort(found["scores"][keep], descending=True, stable=True)
        boxes = found["boxes"][keep][order].cpu().numpy().clip(0, [width, height, width, height]).astype(np.float32)
        scores = found["scores"][keep][order].cpu().numpy().clip(0, 1)
        solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections(boxes[solid], scores[solid])


class HubEstimator:
    """A ViTPose or ViTPose++ of COCO's 17 joints."""

    layout = "coco17"

    def __init__(self, checkpoint: str, device: str | torch.device = "cpu", batch_size: int = 8, half: bool = False):
        """ExtractionError for another model than ViTPose, and for one of other joints."""
        self.model, self._processor = load_pretrained("estimator", checkpoint, "VitPoseForPoseEstimation", device)
        joints = self.model.config.num_labels
        if joints != _JOINTS:
            raise ExtractionError(
                f"estimator {checkpoint} must give COCO's {_JOINTS} joints, found {joints}; take another"
            )
        self._size = (self._processor.size["width"], self._processor.size["height"])
        self._batch_size, self._half = batch_size, half
        self._experts = self.model.config.backbone_config.num_experts > 1

    @torch.inference_mode()
    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """RGB images uint8 [H, W, 3], boxes [N, 4] in each -> keypoints [N, V, 2] px, confidence [N, V]."""
        counts = [len(found) for found in boxes]
        owner = np.repeat(np.arange(len(boxes)), counts)
        every = np.concatenate([*boxes, np.zeros((0, 4))]).astype(np.float32)
        points, scores = np.zeros((len(owner), _JOINTS, 2), np.float32), np.zeros((len(owner), _JOINTS), np.float32)
        for begin in range(0, len(owner), self._batch_size):
            part = slice(begin, begin + self._batch_size)
            points[part], scores[part] = self._estimated([images[index] for index in owner[part]], every[part])
        ends = np.cumsum(counts)[:-1]
        return list(zip(np.split(points, ends), np.split(np.clip(scores, 0, 1), ends), strict=True))

    def _estimated(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One image and box [4] for each crop -> keypoints [N, 17, 2] in image pixels, scores [N, 17]."""
        crops = UnbiasedCrops.around(boxes, self._size)
        cut = [crops.cut(image, index) for index, image in enumerate(images)]
        inputs = _prepared(self.model, self._processor, cut, boxes=None, do_affine_transform=False)
        if self._experts:
            inputs["dataset_index"] = torch.full((len(cut),), _COCO_EXPERT, device=self.model.device)
        with torch.autocast(self.model.device.type, torch.float16, enabled=self._half):
            heatmaps = self.model(**inputs).heatmaps
        points, scores = decode_unbiased(heatmaps.float().cpu().numpy(), self._size)
        return crops.to_image(points), scores


def _prepared(
    model: "PreTrainedModel", processor: "BaseImageProcessor", images: Sequence[np.ndarray], **options: Any
) -> "BatchFeature":
    # The axes are named because a picture of three rows looks like one of three channels.
    return processor(
        list(images), input_data_format="channels_last", return_tensors="pt", device=model.device, **options
    ).to(model.device)


def load_pretrained(
    role: str, checkpoint: str, kind: str, device: str | torch.device
) -> tuple["PreTrainedModel", "BaseImageProcessor"]:
    """The network of transformers' class `kind`, in float32, and its image processor.

    Raises ExtractionError, which names the files to bring and the override `role`.checkpoint that passes them, where
    they cannot be had or do not fit: a network with some random weights would go on finding bodies.
    """
    try:
        import transformers

        model_class = getattr(transformers, kind)
    except (ImportError, AttributeError) as error:
        raise ExtractionError(
            f"{role}.config=transformers needs {kind} of the package transformers, found none; "
            "run `pip install 'transformers>=5.17,<6'`"
        ) from error
    checkpoint = str(Path(checkpoint).expanduser()) if checkpoint.startswith("~") else checkpoint
    options = {"trust_remote_code": False}  # code that lies beside foreign weights never runs
    with _in_one_sentence(role, checkpoint):
        config = transformers.AutoConfig.from_pretrained(checkpoint, **options)
        wanted = getattr(model_class, "config_class", None)
        fits = wanted is None or isinstance(config, wanted)
        if fits:
            processor = transformers.AutoImageProcessor.from_pretrained(checkpoint, **options)
            model, report = model_class.from_pretrained(
                checkpoint, config=config, dtype=torch.float32, output_loading_info=True, **options
            )
    if not fits:
        raise ExtractionError(
            f"{role} {checkpoint} must be a {wanted.model_type}, found a {config.model_type}; take another"
        )
    lacking = sorted(set(report["missing_keys"]) & {name for name, _ in model.named_parameters()})
    if lacking:
        raise ExtractionError(
            f"{role} {checkpoint} must hold all weights of its {config.model_type}, found {len(lacking)} missing "
            f"({lacking[0]}); bring the model.safetensors of this model"
        )
    return model.to(device).eval(), processor


@contextmanager
def _in_one_sentence(role: str, checkpoint: str) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, ImportError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExtractionError(
            f"{role}.checkpoint={checkpoint} must be a model on the Hugging Face hub or a folder of one that "
            f"transformers can read, found neither ({reason}); bring a folder with {_FILES}, then pass "
            f"{role}.checkpoint=FOLDER"
        ) from error
