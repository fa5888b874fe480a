"""Joints in boxes, by any MMPose top-down model: crops of several frames share a batch.

Crops, flip test and decoding are those of the config, through mmpose's own pipeline and codec, so the numbers
are those of mmpose's `inference_topdown`. A model of more joints (whole body) gives the layout's by name.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from skeleton.errors import ExtractionError
from skeleton.extraction.zoo import load_config, quiet_loading, require_weights
from skeleton.layouts import LAYOUTS
from skeleton.openmmlab import prepare


class PoseEstimator:
    """An MMPose top-down model; `layout` is the joint layout that it fills."""

    def __init__(
        self, config: Path, checkpoint: Path, device: str | torch.device = "cpu", batch_size: int = 8
    ):
        """ExtractionError for weights of another model, one that is not top-down, or joints of no layout."""
        prepare("mmengine", "mmcv", "mmpose")
        from mmengine.dataset import Compose, pseudo_collate
        from mmpose.apis import init_model

        settings = load_config(config)
        kind = str(settings.get("model", {}).get("type", ""))
        if not kind.endswith("TopdownPoseEstimator"):
            raise ExtractionError(
                f"pose config {config.name} must be a TopdownPoseEstimator, found {kind or 'none'}"
            )
        self.batch_size = batch_size
        with quiet_loading():
            self.model = init_model(settings, str(checkpoint), device=str(device))
        require_weights(self.model, checkpoint, config)
        names = self.model.dataset_meta["keypoint_id2name"]
        self._names = [names[index] for index in range(len(names))]
        self.layout, self._order = match_layout(self._names, config.name)
        self._pipeline = Compose(settings.test_dataloader.dataset.pipeline)
        self._collate = pseudo_collate

    def to(self, device: torch.device) -> None:
        """Moves the network."""
        self.model.to(device)

    @torch.inference_mode()
    def __call__(
        self, frames: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """RGB frames uint8 [H, W, 3], boxes [N, 4] in each -> keypoints [N, V, 2] px, confidence [N, V]."""
        # MMPose takes BGR.
        images = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames]
        crops = [(image, box) for image, found in zip(images, boxes, strict=True) for box in found]
        points = np.zeros((len(crops), len(self._order), 2), np.float32)
        scores = np.zeros((len(crops), len(self._order)), np.float32)
        for begin in range(0, len(crops), self.batch_size):
            part = crops[begin : begin + self.batch_size]
            batch = self._collate([self._prepared(image, box) for image, box in part])
            for row, sample in enumerate(self.model.test_step(batch), start=begin):
                points[row], scores[row] = self._joints(sample.pred_instances)
        ends = np.cumsum([len(found) for found in boxes])[:-1]
        return list(zip(np.split(points, ends), np.split(scores, ends), strict=True))

    def _prepared(self, image: np.ndarray, box: np.ndarray) -> dict:
        sample = {"img": image, "bbox": box[None].astype(np.float32), "bbox_score": np.ones(1, np.float32)}
        return self._pipeline({**sample, **self.model.dataset_meta})

    def _joints(self, found: object) -> tuple[np.ndarray, np.ndarray]:
        keypoints, scores = found.keypoints[0], found.keypoint_scores[0]
        if len(keypoints) != len(self._names):
            raise ExtractionError(
                f"the pose model must give its dataset's {len(self._names)} joints, found {len(keypoints)}; "
                "drop output_keypoint_indices from the config or correct its dataset metainfo"
            )
        return keypoints[self._order], np.clip(scores[self._order], 0, 1)


def match_layout(names: Sequence[str], model: str) -> tuple[str, list[int]]:
    """The largest layout among the joints `names`, and where its joints stand; ExtractionError if none."""
    fitting = [layout for layout in LAYOUTS.values() if set(layout.joints) <= set(names)]
    if not fitting:
        raise ExtractionError(
            f"the joints of {model} must cover a layout ({', '.join(LAYOUTS)}), found "
            f"{', '.join(names[:6])}, ...; add its layout to skeleton/layout_tables.py"
        )
    layout = max(fitting, key=lambda candidate: len(candidate.joints))
    return layout.name, [list(names).index(joint) for joint in layout.joints]
