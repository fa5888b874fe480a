"""PoseC3D (Duan et al. 2022, arXiv 2104.13586): mmaction2's 3D networks over volumes of joint heatmaps.

A person is one heatmap for each joint and row, within the square around the whole clip (section 3.2). The
networks know pixels, not joints: the features of a joint are what lies at its place, read bilinearly. What differs:

- The mask is that of rows: in rows without any visible joint, batch norm counts nothing and hidden maps are 0. In the
  other rows an invisible joint is an empty heatmap, which is how the published network sees it.
- Time keeps its rate and the visible rows of each bin are averaged at the end; the published third stage halves time
  (options {"temporal_strides": (1, 1, 2)}).
- Peaks are not cut off at three sigma, and the square's corners need not be whole pixels: no steps for the gradient.

Only the `position` stream (else `joint`) is drawn, seen along the third axis; a peak is as high as the confidence.
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from skeleton.encoders.base import Encoder, pool_any
from skeleton.encoders.mmaction import build, masked, published
from skeleton.errors import SkeletonError

# of mmaction2's config slowonly_r50_8xb16-u48-240e_ntu60-xsub-keypoint, and of a fourth stage as in ResNet-50
BLOCKS, INFLATED = (4, 6, 3, 3), (0, 1, 1, 1)


class PoseC3D(Encoder):
    """`depth` stages, up to 4; each doubles the width, up to `width` (published: width 512, depth 3).

    backbone  ResNet3dSlowOnly or another ResNet3d of mmaction2, options: further keyword arguments of it
    size      pixels of a heatmap's side, sigma: of its peak in pixels, margin: of the square, as a share of the person
    """

    def __init__(
        self,
        layout: str = "coco17",
        width: int = 512,
        depth: int = 3,
        stride: int = 4,
        streams: tuple[str, ...] = ("position",),
        coordinates: int = 2,
        backbone: str = "ResNet3dSlowOnly",
        options: dict | None = None,
        size: int = 56,
        sigma: float = 0.6,
        margin: float = 0.25,
    ) -> None:
        super().__init__(layout, width, stride, streams, coordinates)
        network, options = published(backbone, options)
        drawn = next((name for name in ("position", "joint") if name in self.names), None)
        if drawn is None:
            raise SkeletonError(f"expected the stream position or joint, found {list(self.names)}; add one")
        self.first = self.names.index(drawn) * coordinates
        self.size, self.sigma, self.margin = size, sigma, margin
        from mmaction.models.backbones import ResNet3d

        if not issubclass(network, ResNet3d):
            raise SkeletonError(f"expected a ResNet3d of mmaction2, found {backbone}; choose ResNet3dSlowOnly")
        layers = options.get("depth", 50)
        if layers not in network.arch_settings or not 1 <= depth <= 4:
            raise SkeletonError(
                f"expected 1 to 4 stages and one of {list(network.arch_settings)} layers, found {depth} and {layers}"
            )
        unit = network.arch_settings[layers][0].expansion << (depth - 1)
        if width % unit:
            raise SkeletonError(f"expected a width that is a multiple of {unit} at depth {depth}, found {width}")
        sizes = {"in_channels": self.num_joints, "base_channels": width // unit, "num_stages": depth}
        ones, halves = (1,) * depth, (2,) * depth
        defaults = {"stage_blocks": BLOCKS[:depth], "inflate": INFLATED[:depth], "spatial_strides": halves}
        defaults |= {"temporal_strides": ones, "dilations": ones, "conv1_stride_s": 1, "pool1_stride_s": 1}
        self.backbone = build(network, defaults | sizes | {"out_indices": (depth - 1,)} | options)

    def encode(self, inputs: Tensor, visible: Tensor | None) -> Tensor:
        """[P, T, V, C'] and [P, T, V] or None -> [P, T', V, D]."""
        if not len(inputs):  # 3D networks refuse an empty batch, but can read somebody of whom nothing is seen
            nobody = inputs.new_zeros(1, *inputs.shape[1:])
            return self.encode(nobody, torch.zeros_like(nobody[..., 0], dtype=torch.bool))[:0]
        seen = torch.ones_like(inputs[..., 0], dtype=torch.bool) if visible is None else visible
        pixels = to_pixels(inputs[..., self.first : self.first + 2], seen, self.size, self.margin)
        volume = draw(pixels, inputs[..., -1] * seen, self.size, self.sigma)
        mask = None if visible is None else rearrange(seen.any(-1), "p t -> p 1 t 1").to(inputs.dtype)
        with masked(self.backbone, mask):
            maps = self.backbone(volume)
        rows, bins = maps.shape[2], inputs.shape[1] // self.stride
        if rows % bins:
            raise SkeletonError(
                f"expected temporal_strides that divide the stride {self.stride}, found {rows} rows for {bins} bins"
            )
        places, seen = average(pixels, seen, inputs.shape[1] // rows), pool_any(seen, inputs.shape[1] // rows, dim=1)
        return average(read(maps, places, self.size), seen, rows // bins)


def to_pixels(points: Tensor, seen: Tensor, size: int, margin: float) -> Tensor:
    """[P, T, V, 2] in heatmap pixels: the square around all that is seen of a person, widened by `margin`.

    Somebody smaller than a fiftieth (of the frame's height, or of a torso) is not enlarged any more.
    """
    some, places = seen.flatten(1)[..., None], points.detach().flatten(1, 2)
    lowest = places.masked_fill(~some, torch.inf).amin(1)
    highest = places.masked_fill(~some, -torch.inf).amax(1)
    lowest, highest = (torch.where(some.any(1), edge, 0)[:, None, None] for edge in (lowest, highest))
    side = ((highest - lowest).amax(-1, keepdim=True) * (1 + margin)).clamp(min=0.02)
    return ((points - (lowest + highest) / 2) / side + 0.5) * size


def draw(pixels: Tensor, heights: Tensor, size: int, sigma: float) -> Tensor:
    """[P, T, V, 2] and [P, T, V] -> [P, V, T, H, W]: Gaussians of these heights (equation 1); pixel i is at i."""
    grid = torch.arange(size, device=pixels.device, dtype=pixels.dtype)
    across, down = ((grid - pixels[..., None]).square() / (-2 * sigma**2)).exp().unbind(-2)
    return torch.einsum("ptvy,ptvx->pvtyx", down * heights[..., None], across)


def read(maps: Tensor, pixels: Tensor, size: int) -> Tensor:
    """Features [P, D, T, H', W'] at heatmap pixels [P, T, V, 2], bilinearly -> [P, T, V, D].

    With odd kernels, feature i of a halved map looks at pixel 2 i (not 2 i + 1/2): in general, at pixel i H / H'.
    """
    sides = torch.tensor([maps.shape[-1], maps.shape[-2]], device=maps.device, dtype=maps.dtype)
    places = rearrange(2 * pixels / size + 1 / sides - 1, "p t v xy -> (p t) v 1 xy")  # 1 is the outer edge of the last
    found = functional.grid_sample(
        rearrange(maps, "p d t h w -> (p t) d h w"), places, padding_mode="border", align_corners=False
    )
    return rearrange(found, "(p t) d v 1 -> p t v d", p=len(maps))


def average(values: Tensor, seen: Tensor, rows: int) -> Tensor:
    """Mean [P, T / rows, V, C] of the visible ones of each `rows` rows of [P, T, V, C]; 0 where there are none."""
    seen = rearrange(seen, "p (t r) v -> p t r v 1", r=rows)
    total = (rearrange(values, "p (t r) v c -> p t r v c", r=rows) * seen).sum(2)
    return total / seen.sum(2).clamp(min=1)


ENCODER = PoseC3D
