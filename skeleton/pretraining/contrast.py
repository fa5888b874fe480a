"""Contrast with growing augmentation, after HiCLR (Zhang et al. 2023, arXiv 2211.13466).

Views of a clip grow stronger: cropped and scaled; then also turned (or jittered, in pixels); then also without many
joints and rows. Each is compared with a momentum encoder's view of the same clip against those of others, now and
lately (MoCo, He et al. 2020); what a stronger view finds alike shall be what the weaker one found (the growing
constraint), without pulling the weaker one along.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder, JointFeatures
from skeleton.inputs import augmentation
from skeleton.inputs.batch import SkeletonBatch

WEAK = 0.1  # share by which the weakest view is scaled


class Contrast(nn.Module):
    """InfoNCE of each view, plus `growing` times the divergence of each view from the weaker one before it.

    crop: least share of a clip's time that a view takes.
    """

    def __init__(
        self,
        encoder: Encoder,
        width: int = 128,
        queue: int = 2048,
        temperature: float = 0.07,
        momentum: float = 0.99,
        growing: float = 0.5,
        crop: float = 0.5,
    ):
        super().__init__()
        self.temperature, self.momentum, self.growing, self.crop = temperature, momentum, growing, crop
        self.head = nn.Sequential(nn.Linear(encoder.width, encoder.width), nn.ReLU(), nn.Linear(encoder.width, width))
        self.teacher = deepcopy(nn.ModuleList((encoder, self.head))).requires_grad_(False)
        self.register_buffer("queue", functional.normalize(torch.randn(queue, width), dim=1))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def forward(
        self, encoder: Encoder, batch: SkeletonBatch, clean: Callable[[], JointFeatures], random: Generator
    ) -> Tensor:
        """The loss; in training the momentum encoder and the queue go on."""
        if self.training:
            self.follow(encoder)
        with torch.no_grad():
            seen = self.teacher[0](weakly(batch, self.crop, random))
            keys = functional.normalize(self.teacher[1](pooled(seen)), dim=1)
        others = torch.cat((keys, self.queue[: int(self.filled)]))
        loss, weaker = keys.new_zeros(()), None
        for view in views(batch, self.crop, random):
            query = functional.normalize(self.head(pooled(encoder(view))), dim=1)
            scores = query @ others.T / self.temperature
            loss = loss + functional.cross_entropy(scores, torch.arange(len(keys), device=scores.device))
            likely = scores.log_softmax(1)
            if weaker is not None:
                loss = loss + self.growing * functional.kl_div(likely, weaker, reduction="batchmean", log_target=True)
            weaker = likely.detach()
        if self.training:
            self.remember(keys)
        return loss

    @torch.no_grad()
    def follow(self, encoder: Encoder) -> None:
        """The momentum encoder's weights move towards those of the encoder."""
        for own, other in zip(self.teacher.parameters(), nn.ModuleList((encoder, self.head)).parameters(), strict=True):
            own.lerp_(other, 1 - self.momentum)

    @torch.no_grad()
    def remember(self, keys: Tensor) -> None:
        """The newest keys first."""
        self.queue.copy_(torch.cat((keys, self.queue))[: len(self.queue)])
        self.filled.fill_(min(int(self.filled) + len(keys), len(self.queue)))


def weakly(batch: SkeletonBatch, least: float, random: Generator) -> SkeletonBatch:
    """Cropped and scaled."""
    return augmentation.scale(augmentation.crop(batch, least, random), WEAK, random)


def views(batch: SkeletonBatch, least: float, random: Generator) -> list[SkeletonBatch]:
    """Three views of a batch, each stronger than the one before; of one part in time, of at least the share `least`."""
    weak = weakly(batch, least, random)
    if batch.keypoints.shape[-1] == 3:
        normal = augmentation.turn(weak, 90.0, 15.0, random)
    else:
        normal = augmentation.jitter(augmentation.scale(weak, 0.2, random), 0.01, random)
    strong = augmentation.drop_frames(augmentation.miss_joints(normal, 0.4, random), 0.3, random)
    return [weak, normal, strong]


def pooled(found: JointFeatures) -> Tensor:
    """[B, D]: mean over visible joints, bins and persons."""
    counts = found.visible.flatten(1).sum(1).clamp(min=1)
    return found.features.flatten(1, 3).sum(1) / counts[:, None]
