"""Several skeletons as one padded batch."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from skeleton.errors import LayoutError, SkeletonError
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton


@dataclass(frozen=True, eq=False)
class SkeletonBatch:
    """Padded skeletons of B samples.

    keypoints   [B, M, T, V, C] float32: pixels / frame height (C=2) or metres (C=3); 0 where not visible
    confidence  [B, M, T, V] float32; 0 where not visible
    visible     [B, M, T, V] bool
    times       [B, T] float32: seconds since the sample's start; padding repeats the last real time
    frames      [B, T] bool: a real row, not padding
    aspect      [B] float32: frame width / height
    layout      a name in skeleton.layouts.layout
    """

    keypoints: Tensor
    confidence: Tensor
    visible: Tensor
    times: Tensor
    frames: Tensor
    aspect: Tensor
    layout: str

    def __post_init__(self) -> None:
        """Raises SkeletonError where the shapes disagree."""
        batch, persons, frames, joints = self.visible.shape
        expected = {
            "keypoints": (batch, persons, frames, joints, self.keypoints.shape[-1]),
            "confidence": (batch, persons, frames, joints),
            "times": (batch, frames),
            "frames": (batch, frames),
            "aspect": (batch,),
        }
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise SkeletonError(f"{name} must be {shape} beside visible {tuple(self.visible.shape)}, found {found}")
        if joints != len(get_layout(self.layout).joints):
            raise LayoutError(f"layout {self.layout} has {len(get_layout(self.layout).joints)} joints, found {joints}")

    def to(self, device: torch.device | str) -> "SkeletonBatch":
        """The same batch on `device`."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "layout"}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})


def kept_persons(skeleton: Skeleton, max_persons: int) -> np.ndarray:
    """Rows [<= max_persons] of the persons with the most visible joints, in their order of old."""
    return np.sort(np.argsort(-skeleton.visible.sum((1, 2)), kind="stable")[:max_persons])


def collate(
    skeletons: list[Skeleton | None], start: list[float], max_persons: int, layout: str = "coco17"
) -> SkeletonBatch:
    """Pads B skeletons to the longest and the most crowded; `start` [B] is each sample's start in seconds.

    Keeps at most `max_persons` persons a sample: those with the most visible joints, in their order of old.
    None is a sample without a skeleton: no real frame, nothing visible. There is at least one slot and row.
    LayoutError for a skeleton of another layout, SkeletonError for pixels and metres in one batch.
    """
    if len(skeletons) != len(start) or not skeletons or max_persons < 1:
        raise SkeletonError(
            "expected a start for each of one or more skeletons and max_persons > 0, found "
            f"{len(skeletons)} skeletons, {len(start)} starts and {max_persons}"
        )
    present = [skeleton for skeleton in skeletons if skeleton is not None]
    for skeleton in present:
        if skeleton.layout != layout:
            raise LayoutError(
                f"expected skeletons of layout {layout}, found {skeleton.layout}; "
                "convert them with skeleton.layouts.conversion.convert"
            )
    dimensions = sorted({skeleton.keypoints.shape[-1] for skeleton in present if skeleton.num_persons}) or [2]
    if len(dimensions) > 1:
        raise SkeletonError("expected either pixels (C=2) or metres (C=3) in one batch, found both; batch them apart")
    coordinates, joints = dimensions[0], len(get_layout(layout).joints)
    persons = max([min(skeleton.num_persons, max_persons) for skeleton in present] + [1])
    frames = max([skeleton.num_frames for skeleton in present] + [1])
    size = len(skeletons)
    keypoints = np.zeros((size, persons, frames, joints, coordinates), dtype=np.float32)
    confidence = np.zeros((size, persons, frames, joints), dtype=np.float32)
    visible = np.zeros((size, persons, frames, joints), dtype=bool)
    times = np.zeros((size, frames), dtype=np.float32)
    real = np.zeros((size, frames), dtype=bool)
    aspect = np.ones(size, dtype=np.float32)
    for row, (skeleton, begin) in enumerate(zip(skeletons, start, strict=True)):
        if skeleton is None:
            continue
        length = skeleton.num_frames
        real[row, :length] = True
        times[row] = skeleton.timestamps[-1] - begin
        times[row, :length] = skeleton.timestamps - begin
        height, width = skeleton.frame_size
        aspect[row] = width / height
        if not skeleton.num_persons:
            continue
        kept = kept_persons(skeleton, max_persons)
        seen = skeleton.visible[kept]
        unit = height if coordinates == 2 else 1
        visible[row, : len(kept), :length] = seen
        confidence[row, : len(kept), :length] = np.where(seen, skeleton.confidence[kept], 0)
        keypoints[row, : len(kept), :length] = np.where(seen[..., None], skeleton.keypoints[kept] / unit, 0)
    arrays = (keypoints, confidence, visible, times, real, aspect)
    return SkeletonBatch(*map(torch.from_numpy, arrays), layout=layout)
