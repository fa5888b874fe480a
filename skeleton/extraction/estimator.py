"""Joints in boxes, by any MMPose top-down model: crops of several frames share a batch.

The numbers are those of mmpose's `inference_topdown`. Where the config's pipeline and codec are the usual ones
(`TopdownAffine`, `MSRAHeatmap` or `SimCCLabel`, flip test or not), crops and decoding are our own, for many boxes at
once; any other config goes through mmpose's, crop by crop. A model of more joints (whole body) gives the layout's
by name.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from skeleton.errors import ExtractionError
from skeleton.extraction.codecs import Crops, decode_heatmaps, decode_simcc
from skeleton.extraction.cores import Cores
from skeleton.extraction.zoo import load_config, quiet_loading, require_weights
from skeleton.layouts.layout import LAYOUTS
from skeleton.layouts.tables import ALIASES
from skeleton.openmmlab import prepare

if TYPE_CHECKING:
    from mmengine.config import Config

_USUAL_STEPS = ["LoadImage", "GetBBoxCenterScale", "TopdownAffine", "PackPoseInputs"]


class PoseEstimator:
    """An MMPose top-down model; `layout` is the joint layout that it fills."""

    def __init__(
        self,
        config: Path,
        checkpoint: Path,
        device: str | torch.device = "cpu",
        batch_size: int = 8,
        half: bool = False,
        compile: bool = False,
    ):
        """ExtractionError for weights of another model, one that is not top-down, or joints of no layout."""
        prepare("mmengine", "mmcv", "mmpose")
        settings = load_config(config)
        kind = str(settings.get("model", {}).get("type", ""))
        if not kind.endswith("TopdownPoseEstimator"):
            raise ExtractionError(f"pose config {config.name} must be a TopdownPoseEstimator, found {kind or 'none'}")
        self.model, self.layout, self._order = open_model(settings, config, checkpoint, device)
        self._joints, self._batch_size = len(self.model.dataset_meta["keypoint_id2name"]), batch_size
        self._cores = Cores(device)
        steps = list(settings.test_dataloader.dataset.pipeline)
        usual = is_usual(self.model, steps)
        self._run = Fast(self.model, steps, half, compile) if usual else MMPosePipeline(self.model, steps)

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """RGB images uint8 [H, W, 3], boxes [N, 4] in each -> keypoints [N, V, 2] px, confidence [N, V]."""
        owner = np.repeat(np.arange(len(boxes)), [len(found) for found in boxes])
        every = np.concatenate([*boxes, np.zeros((0, 4), np.float32)]).astype(np.float32)
        points = np.zeros((len(owner), len(self._order), 2), np.float32)
        scores = np.zeros((len(owner), len(self._order)), np.float32)

        def look(part: slice) -> None:
            with torch.inference_mode():
                found, confidence = self._run([images[index] for index in owner[part]], every[part])
            if found.shape[1] != self._joints:
                raise ExtractionError(
                    f"the pose model must give its dataset's {self._joints} joints, found {found.shape[1]}; "
                    "drop output_keypoint_indices from the config or correct its dataset metainfo"
                )
            points[part], scores[part] = found[:, self._order], confidence[:, self._order]

        self._cores.each(look, self._cores.split(len(owner), self._batch_size))
        ends = np.cumsum([len(found) for found in boxes])[:-1]
        return list(zip(np.split(points, ends), np.split(np.clip(scores, 0, 1), ends), strict=True))


def open_model(
    settings: "Config", config: Path, checkpoint: Path, device: str | torch.device
) -> tuple[nn.Module, str, list[int]]:
    """An MMPose model with its weights, the layout that it fills, and where the layout's joints stand among its own.

    settings: what the file `config` holds. ExtractionError for weights of another model or joints of no layout.
    """
    from mmcv.cnn import fuse_conv_bn
    from mmpose.apis import init_model

    with quiet_loading():
        model = init_model(settings, str(checkpoint), device=str(device))
    require_weights(model, checkpoint, config)
    model = fuse_conv_bn(model).to(memory_format=torch.channels_last)
    by_index = model.dataset_meta["keypoint_id2name"]
    return model, *match_layout([by_index[index] for index in range(len(by_index))], config.name)


class MMPosePipeline:
    """A model run as mmpose runs it, for configs that `Fast` does not know."""

    def __init__(self, model: nn.Module, steps: list):
        from mmengine.dataset import Compose, pseudo_collate

        self._model, self._pipeline, self._collate = model, Compose(steps), pseudo_collate

    def __call__(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One image and box [4] for each crop -> keypoints [N, K, 2] in image pixels, scores [N, K]."""
        samples = [
            {
                "img": cv2.cvtColor(image, cv2.COLOR_RGB2BGR),  # MMPose takes BGR
                "bbox": box[None],
                "bbox_score": np.ones(1, np.float32),
                **self._model.dataset_meta,
            }
            for image, box in zip(images, boxes, strict=True)
        ]
        found = self._model.test_step(self._collate([self._pipeline(sample) for sample in samples]))
        instances = [sample.pred_instances for sample in found]
        return np.stack([one.keypoints[0] for one in instances]), np.stack(
            [one.keypoint_scores[0] for one in instances]
        )


def is_usual(model: nn.Module, steps: list) -> bool:
    """Whether `Fast` gives what mmpose would: the usual steps and codec, and nothing else asked for."""
    codec = getattr(model.head, "decoder", None)
    plain = {
        "MSRAHeatmap": lambda: not codec.unbiased,
        "SimCCLabel": lambda: not codec.use_dark and not getattr(codec, "decode_visibility", False),
    }.get(type(codec).__name__)
    return (
        [step["type"] for step in steps] == _USUAL_STEPS
        and not steps[2].get("use_udp", False)
        and type(model.data_preprocessor).__name__ == "PoseDataPreprocessor"
        and model.test_cfg.get("output_keypoint_indices") is None
        and plain is not None
        and plain()
    )


class Fast:
    """Crops, network and decoding for a whole batch, without a Python object for each person."""

    def __init__(self, model: nn.Module, steps: list, half: bool, compile: bool):
        self._model = model
        self._padding = steps[1].get("padding", 1.25)
        self._size = tuple(steps[2]["input_size"])
        self._simcc = type(model.head.decoder).__name__ == "SimCCLabel"
        self._flips = bool(model.test_cfg.get("flip_test", False))
        self._half = half
        preprocessor = model.data_preprocessor
        self._mean, self._std = preprocessor.mean.flatten(), preprocessor.std.flatten()
        # Crops are RGB here; a network without bgr_to_rgb was trained on BGR.
        self._reversed = not getattr(preprocessor, "_channel_conversion", False)
        network = nn.Sequential(model.backbone, *([model.neck] if model.with_neck else []), model.head)
        self._network = torch.compile(network.eval()) if compile else network.eval()

    def __call__(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One image and box [4] for each crop -> keypoints [N, K, 2] in image pixels, scores [N, K]."""
        crops = Crops.around(boxes, self._size, self._padding)
        batch = torch.from_numpy(np.stack([crops.cut(image, k) for k, image in enumerate(images)]))
        batch = batch.to(self._mean.device).flip(-1) if self._reversed else batch.to(self._mean.device)
        # [N, H, W, 3] seen as [N, 3, H, W]: the memory stays in channels-last order, in which convolutions are fast
        values = ((batch - self._mean) / self._std).permute(0, 3, 1, 2)
        with torch.autocast(values.device.type, torch.float16, enabled=self._half):
            outputs = self._predicted(values)
        arrays = [output.float().cpu().numpy() for output in outputs]
        if self._simcc:
            points, scores = decode_simcc(*arrays, self._model.head.decoder.simcc_split_ratio)
        else:
            points, scores = decode_heatmaps(arrays[0], self._size)
        return crops.to_image(points), scores

    def _predicted(self, values: Tensor) -> list[Tensor]:
        outputs = self._outputs(values)
        if not self._flips:
            return outputs
        from mmpose.models.utils.tta import flip_heatmaps, flip_vectors

        swapped = list(self._model.dataset_meta["flip_indices"])
        mirrored = self._outputs(values.flip(-1))
        if self._simcc:
            mirrored = flip_vectors(*mirrored, flip_indices=swapped)
        else:
            config = self._model.test_cfg
            mirrored = [
                flip_heatmaps(
                    mirrored[0],
                    flip_mode=config.get("flip_mode", "heatmap"),
                    flip_indices=swapped,
                    shift_heatmap=config.get("shift_heatmap", False),
                )
            ]
        return [(one + other) * 0.5 for one, other in zip(outputs, mirrored, strict=True)]

    def _outputs(self, values: Tensor) -> list[Tensor]:
        outputs = self._network(values)
        return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def match_layout(names: Sequence[str], model: str) -> tuple[str, list[int]]:
    """The largest layout among the joints `names`, and where its joints stand; ExtractionError if none."""
    orders = {}
    for layout in LAYOUTS.values():
        ours = [ALIASES.get(layout.name, {}).get(name, name) for name in names]
        if set(layout.joints) <= set(ours):
            orders[layout.name] = [ours.index(joint) for joint in layout.joints]
    if not orders:
        raise ExtractionError(
            f"the joints of {model} must cover a layout ({', '.join(LAYOUTS)}), found "
            f"{', '.join(names[:6])}, ...; add its layout to skeleton/layouts/tables.py"
        )
    return max(orders.items(), key=lambda found: len(found[1]))
