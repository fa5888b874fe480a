"""Persons in frames, by any MMDet detector: batched, persons only, nothing where nobody is found.

The config's pipeline prepares the frames, as in mmdet's `inference_detector`, which takes them singly.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import torch

from skeleton.errors import ExtractionError
from skeleton.extraction.cores import Cores
from skeleton.extraction.persons import Detections
from skeleton.extraction.zoo import load_config, quiet_loading, require_weights
from skeleton.openmmlab import prepare

_MOST = 4  # frames in one forward pass on a CPU


class PersonDetector:
    """An MMDet model that answers with the boxes of its class `person`."""

    def __init__(
        self,
        config: Path,
        checkpoint: Path,
        device: str | torch.device = "cpu",
        score: float = 0.3,
        half: bool = False,
    ):
        """score: least score of a box. ExtractionError for weights of another model or no class person."""
        prepare("mmengine", "mmcv", "mmdet")
        from mmcv.cnn import fuse_conv_bn
        from mmdet.apis import init_detector
        from mmdet.utils import get_test_pipeline_cfg
        from mmengine.dataset import Compose

        settings = load_config(config)
        self.score, self._half, self._cores = score, half, Cores(device)
        with quiet_loading():
            self.model = init_detector(settings, str(checkpoint), device=str(device))
        require_weights(self.model, checkpoint, config)
        self.model = fuse_conv_bn(self.model).to(memory_format=torch.channels_last)
        classes = list(self.model.dataset_meta.get("classes") or ())
        if "person" not in classes:
            found = ", ".join(map(str, classes[:5])) or "no class names"
            raise ExtractionError(f"detector {config.name} must know the class person, found {found}; take another")
        self._person = classes.index("person")
        steps = get_test_pipeline_cfg(settings.copy())
        steps[0].type = "mmdet.LoadImageFromNDArray"
        self._pipeline = Compose(steps)

    def __call__(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        """RGB frames uint8 [H, W, 3] of one size -> the persons in each."""
        parts = self._cores.split(len(frames), len(frames) if self._cores.count == 1 else _MOST)
        return list(chain.from_iterable(self._cores.each(lambda part: self._find(frames[part]), parts)))

    @torch.inference_mode()
    def _find(self, frames: Sequence[np.ndarray]) -> list[Detections]:
        # MMDet takes BGR.
        images = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in frames]
        prepared = [self._pipeline({"img": image, "img_id": 0}) for image in images]
        batch = {key: [item[key] for item in prepared] for key in ("inputs", "data_samples")}
        with torch.autocast(next(self.model.parameters()).device.type, torch.float16, enabled=self._half):
            found = self.model.test_step(batch)
        return [self._persons(sample.pred_instances) for sample in found]

    def _persons(self, found: object) -> Detections:
        keep = (found.labels == self._person) & (found.scores >= self.score)
        order = torch.argsort(found.scores[keep], descending=True)
        boxes = found.bboxes[keep][order].float().cpu().numpy()
        scores = found.scores[keep][order].float().cpu().numpy()
        solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections(boxes[solid], scores[solid])
