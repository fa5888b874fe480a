"""Action recognition from skeletons: an encoder, a mean over persons, rows and visible joints, and one layer."""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import functional

from hybrid.config.recognition import AugmentConfig, RecognitionConfig
from hybrid.data.labelled_skeletons import seed_of
from hybrid.models.recognizer import Recognizer
from hybrid.modules.optimizers import make_optimizer, scheduled, warm_cosine
from skeleton.inputs import augmentation
from skeleton.inputs.batch import SkeletonBatch


def ready(batch: SkeletonBatch, config: Any) -> SkeletonBatch:
    """Clips as a network reads them, before augmentation; the configuration is one of recognition or pre-training."""
    return augmentation.face(batch) if config.data.face else batch


def augment(batch: SkeletonBatch, config: AugmentConfig, random: torch.Generator) -> SkeletonBatch:
    """The batch with what training changes about it."""
    if config.turn or config.tilt:
        batch = augmentation.turn(batch, config.turn, config.tilt, random)
    if config.scale:
        batch = augmentation.scale(batch, config.scale, random)
    if config.mirror:
        batch = augmentation.mirror(batch, config.mirror, random)
    if config.behind:
        batch = augmentation.behind(batch, config.behind, random)
    if config.jitter:
        batch = augmentation.jitter(batch, config.jitter, random)
    for spoil, most in ((augmentation.miss_joints, config.miss_joints), (augmentation.drop_frames, config.drop_frames)):
        if most:
            batch = spoil(batch, most * torch.rand((), generator=random).item(), random)
    return batch


class RecognitionModule(LightningModule):
    """Trains a Recognizer; with train.freeze its last layer alone."""

    def __init__(self, recognizer: Recognizer, config: RecognitionConfig):
        super().__init__()
        self.recognizer, self.config = recognizer, config
        recognizer.encoder.requires_grad_(not config.train.freeze)
        self.train()

    def train(self, mode: bool = True) -> "RecognitionModule":
        """A frozen encoder stays in evaluation: its batch norms would go on."""
        super().train(mode)
        if self.config.train.freeze:
            self.recognizer.encoder.eval()
        return self

    def training_step(self, pair: tuple[SkeletonBatch, Tensor], index: int) -> Tensor:
        batch, labels = pair
        random = torch.Generator().manual_seed(seed_of(self.config.seed, self.current_epoch, index, self.global_rank))
        scores = self.recognizer(augment(ready(batch, self.config), self.config.augment, random).to(self.device))
        loss = functional.cross_entropy(
            scores, labels.to(self.device), label_smoothing=self.config.train.label_smoothing
        )
        self.log("train/loss", loss, prog_bar=True, batch_size=len(labels))
        return loss

    def validation_step(self, pair: tuple[SkeletonBatch, Tensor], _index: int) -> None:
        batch, labels = pair
        scores, labels = self.recognizer(ready(batch, self.config).to(self.device)), labels.to(self.device)
        shared = {"prog_bar": True, "batch_size": len(labels), "sync_dist": True}
        self.log("val/loss", functional.cross_entropy(scores, labels), **shared)
        self.log("val/accuracy", (scores.argmax(1) == labels).float().mean(), **shared)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # augmentation comes first; the steps move what is left

    def configure_optimizers(self) -> dict[str, Any]:
        train, steps = self.config.train, self.trainer.estimated_stepping_batches
        optimizer = make_optimizer(train.optimizer, self.recognizer, train.weight_decay, train.lr)
        return scheduled(optimizer, lambda step: warm_cosine(step, max(1, round(train.warmup * steps)), steps))
