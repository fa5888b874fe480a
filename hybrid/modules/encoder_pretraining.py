"""Lightning module that pre-trains an encoder without labels."""

from functools import cache
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from fusion.losses import POSITIVE_WEIGHT
from hybrid.config.pretraining import PretrainingConfig
from hybrid.data.labelled_skeletons import seed_of
from hybrid.modules.optimizers import make_optimizer, scheduled, warm_cosine
from hybrid.modules.recognition import augment, ready
from skeleton.encoders import Encoder, JointFeatures
from skeleton.events.targets import columns
from skeleton.inputs.batch import SkeletonBatch
from skeleton.layouts.layout import LIMBS, get_layout
from skeleton.pretraining import build_objective

EVENTS = "events"


class Events(nn.Module):
    """Event prediction: what each limb does in each bin, from the mean of its joints' features; targets are computed events."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        limb = torch.as_tensor(get_layout(encoder.layout).limb_index.copy())
        self.register_buffer("members", functional.one_hot(limb, len(LIMBS)).float(), persistent=False)  # [V, G]
        self.head = nn.Linear(encoder.width, len(columns()))

    def forward(self, found: JointFeatures, targets: Tensor) -> Tensor:
        """Cross entropies of columns plus the squared error of repetitions; mean over limbs that are visible."""
        seen = found.visible.to(found.features)
        counts = torch.einsum("bmkv,vg->bmkg", seen, self.members)
        limbs = torch.einsum("bmkvd,vg->bmkgd", found.features, self.members) / counts.clamp(min=1)[..., None]
        told, known = self.head(limbs), counts > 0
        words = functional.binary_cross_entropy_with_logits(
            told[..., :-1], targets[..., :-1], reduction="none", pos_weight=told.new_tensor(POSITIVE_WEIGHT)
        )
        losses = words.sum(-1) + (told[..., -1] - targets[..., -1]).square()
        return (losses * known).sum() / known.sum().clamp(min=1)


class PretrainingModule(LightningModule):
    """Trains an encoder on the sum of its objectives."""

    def __init__(self, encoder: Encoder, config: PretrainingConfig, text_width: int):
        super().__init__()
        self.encoder, self.config, self.objectives = encoder, config, nn.ModuleDict()
        for name in config.objectives:
            options = dict(config.options.get(name, {}))
            if name == "alignment":
                options.setdefault("text_width", text_width)
            self.objectives[name] = Events(encoder) if name == EVENTS else build_objective(name, encoder, **options)

    def training_step(self, item: tuple[SkeletonBatch, Tensor, Tensor], index: int) -> Tensor:
        batch, targets, texts = item
        random = torch.Generator().manual_seed(seed_of(self.config.seed, self.current_epoch, index, self.global_rank))
        batch = augment(ready(batch, self.config), self.config.augment, random)
        batch, total = batch.to(self.device), torch.zeros((), device=self.device)
        clean = cache(lambda: self.encoder(batch))
        for name, weight in self.config.objectives.items():
            objective = self.objectives[name]
            if name == EVENTS:
                loss = objective(clean(), targets.to(self.device))
            else:
                objective.texts = texts.to(self.device)
                loss = objective(self.encoder, batch, clean, random)
            self.log(f"train/{name}", loss, prog_bar=True, batch_size=len(texts))
            total = total + weight * loss
        self.log("train/loss", total, batch_size=len(texts))
        return total

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # augmentation comes first

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with a cosine after a linear warm-up; norms and biases are not decayed."""
        train, steps = self.config.train, self.trainer.estimated_stepping_batches
        optimizer = make_optimizer("adamw", self, train.weight_decay, train.lr)
        return scheduled(optimizer, lambda step: warm_cosine(step, max(1, round(train.warmup * steps)), steps))
