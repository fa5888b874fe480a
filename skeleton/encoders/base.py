"""What every skeleton encoder has in common: streams in, joint features out, absent persons left out.

A network in this package implements `encode` on the list of the P persons that are there; the base class
builds that list from the padded batch, so a batch of mostly single persons costs what its persons cost,
and scatters the result back. A batch without anybody runs the same modules on an empty list, so every
parameter still gets a (zero) gradient and all ranks of a distributed run have the same graph.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from skeleton.errors import LayoutError, SkeletonError
from skeleton.inputs.batch import SkeletonBatch
from skeleton.inputs.streams import stream_channels, streams
from skeleton.layouts.layout import get_layout


@dataclass(frozen=True, eq=False)
class JointFeatures:
    """What an encoder says about each joint in each time bin.

    features  [B, M, T', V, D]; exactly 0 where not visible
    times     [B, T'] float32: seconds since the sample's start, the mean of the bin's real rows
    visible   [B, M, T', V] bool: the joint is visible in at least one row of the bin
    frames    [B, T'] bool: the bin holds a real row, it is not all padding
    layout    a name in skeleton.layouts.layout
    """

    features: Tensor
    times: Tensor
    visible: Tensor
    frames: Tensor
    layout: str

    @property
    def persons(self) -> Tensor:
        """[B, M] bool: this person slot has at least one visible joint."""
        return self.visible.flatten(2).any(-1)


def pool_any(mask: Tensor, stride: int, dim: int) -> Tensor:
    """Bool `mask` with dimension `dim` cut to ceil(T / stride) bins: true where any row of the bin is."""
    bins = -(-mask.shape[dim] // stride)
    mask = mask.movedim(dim, -1)
    padded = functional.pad(mask, (0, bins * stride - mask.shape[-1]))
    return padded.unflatten(-1, (bins, stride)).any(-1).movedim(-1, dim)


class Encoder(nn.Module):
    """SkeletonBatch -> JointFeatures with D = `width` and T' = ceil(T / `stride`)."""

    def __init__(self, layout: str, width: int, stride: int, names: tuple[str, ...], coordinates: int = 2) -> None:
        super().__init__()
        self.num_joints = len(get_layout(layout).joints)
        self.layout, self.width, self.stride, self.names = layout, width, stride, tuple(names)
        self.coordinates, self.channels = coordinates, stream_channels(names, coordinates)

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """Inputs [P, T, V, C'] and visible [P, T, V] -> [P, T', V, D]; T is a multiple of the stride.

        visible is None where every joint of every person is visible, which may be computed faster. What is not visible is 0
        in the inputs, must not be read and is 0 in the features.
        """
        raise TypeError(f"{type(self).__name__} must define encode")

    def encode_persons(self, inputs: Tensor, visible: Tensor | None, sample: Tensor) -> Tensor:
        """`encode`, for networks in which the persons of one sample see each other: sample [P] int64, ascending."""
        return self.encode(inputs, visible)

    def forward(self, batch: SkeletonBatch) -> JointFeatures:
        """LayoutError for a batch of another layout, SkeletonError for another number of coordinates."""
        if batch.layout != self.layout:
            raise LayoutError(f"this encoder reads layout {self.layout}, found {batch.layout}; convert the skeletons")
        if batch.keypoints.shape[-1] != self.coordinates:
            found = batch.keypoints.shape[-1]
            raise SkeletonError(f"this encoder reads C={self.coordinates} coordinates, found C={found}; build it anew")
        size, persons = batch.visible.shape[:2]
        present = batch.visible.flatten(0, 1).flatten(1).any(-1).nonzero().squeeze(-1)
        # [P, T padded to whole bins, V, ...]
        extra = -batch.frames.shape[1] % self.stride
        inputs = streams(batch, self.names).flatten(0, 1)[present]
        seen = batch.visible.flatten(0, 1)[present]
        inputs = functional.pad(inputs, (0, 0, 0, 0, 0, extra))
        seen = functional.pad(seen, (0, 0, 0, extra))
        features = self.encode_persons(inputs, None if len(seen) and seen.all() else seen, present // persons)
        everyone = features.new_zeros(size * persons, *features.shape[1:]).index_copy(0, present, features)
        # Padding rows count only in bins that hold nothing else; their times repeat the last real time.
        weights = functional.pad(batch.frames.float(), (0, extra)).unflatten(-1, (-1, self.stride))
        times = functional.pad(batch.times[:, None], (0, extra), mode="replicate")[:, 0].unflatten(
            -1, (-1, self.stride)
        )
        weights = torch.where(weights.any(-1, keepdim=True), weights, 1.0)
        return JointFeatures(
            features=everyone.unflatten(0, (size, persons)),
            times=(times * weights).sum(-1) / weights.sum(-1),
            visible=pool_any(batch.visible, self.stride, dim=2),
            frames=pool_any(batch.frames, self.stride, dim=1),
            layout=batch.layout,
        )
