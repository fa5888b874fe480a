"""Persons with their joints in one step: MMPose's bottom-up networks that give boxes (RTMO, YOLOX-Pose).

Frames go through the config's own pipeline and the model's `test_step`, as in mmpose's `inference_bottomup`, which
takes them singly. The network sees the whole picture, so the work does not grow with the number of persons, and
there is nothing to detect every few frames only.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from skeleton.errors import ExtractionError
from skeleton.extraction.estimator import open_model
from skeleton.extraction.persons import Persons
from skeleton.extraction.streaming import Frame, Stages, blocks
from skeleton.extraction.zoo import load_config
from skeleton.openmmlab import prepare

_HEADS = ("RTMOHead", "YOLOXPoseHead")


class BottomUp:
    """A PersonSource; `layout` is the joint layout that the model fills."""

    def __init__(
        self,
        config: Path,
        checkpoint: Path,
        device: str | torch.device = "cpu",
        batch_size: int = 8,
        score: float = 0.3,
        half: bool = False,
        stages: Stages | None = None,
    ):
        """score: least score of a person; below the config's own `score_thr` the model finds none.

        ExtractionError for weights of another model, a head that gives no boxes, or joints of no layout.
        """
        prepare("mmengine", "mmcv", "mmpose")
        from mmengine.dataset import Compose

        settings = load_config(config)
        network = settings.get("model", {})
        kind, head = str(network.get("type", "")), str(network.get("head", {}).get("type", ""))
        if not kind.endswith("BottomupPoseEstimator") or not head.endswith(_HEADS):
            raise ExtractionError(
                f"one-stage config {config.name} must be a BottomupPoseEstimator with {' or '.join(_HEADS)}, found "
                f"{kind or 'none'} with {head or 'no head'}; take an rtmo config"
            )
        self.model, self.layout, self._order = open_model(settings, config, checkpoint, device)
        self.score, self._batch_size, self.stages = score, batch_size, stages or Stages()
        self._pipeline = Compose(settings.test_dataloader.dataset.pipeline)
        if half:
            _halve_features(self.model, str(torch.device(device).type))

    def persons(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Persons]]:
        """Yields each frame with its persons, best first, at most two batches after it came."""
        for block, _ in blocks(frames, self._batch_size):
            with self.stages.timed("estimate", len(block)):
                found = self([frame.image for frame in block])
            yield from zip(block, found, strict=True)

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Persons]:
        """RGB images uint8 [H, W, 3] -> the persons in each, best first."""
        if not images:
            return []
        prepared = [
            # MMPose takes BGR.
            self._pipeline({"img": cv2.cvtColor(image, cv2.COLOR_RGB2BGR), **self.model.dataset_meta})
            for image in images
        ]
        batch = {key: [item[key] for item in prepared] for key in ("inputs", "data_samples")}
        samples = self.model.test_step(batch)
        return [
            self._persons(sample.pred_instances, *image.shape[:2])
            for sample, image in zip(samples, images, strict=True)
        ]

    def _persons(self, found: object, height: int, width: int) -> Persons:
        boxes = np.clip(found.bboxes, 0, [width, height, width, height]).astype(np.float32)
        scores = np.asarray(found.bbox_scores, np.float32)
        keypoints = np.asarray(found.keypoints, np.float32)[:, self._order]
        confidence = np.clip(np.asarray(found.keypoint_scores, np.float32)[:, self._order], 0, 1)
        solid = (scores >= self.score) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        order = np.flatnonzero(solid)[np.argsort(-scores[solid], kind="stable")]
        return Persons(boxes, np.clip(scores, 0, 1), keypoints, confidence)[order]


def _halve_features(model: nn.Module, device: str) -> None:
    """Backbone and neck in half precision; not the head, in which 640 pixels would be half a pixel apart."""
    whole = model.extract_feat

    def extract_feat(inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(device, torch.float16):
            features = whole(inputs)
        return tuple(feature.float() for feature in features)

    model.extract_feat = extract_feat
