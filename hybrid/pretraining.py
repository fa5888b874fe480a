"""Pre-training of skeleton encoders: what tools/train.py does for `kind: pretraining`."""

from functools import cache, partial
from typing import Any

import torch
from lightning import LightningModule, seed_everything
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from fusion.losses import RARE
from hybrid.config.loading import config_hash
from hybrid.config.pretraining import PretrainingConfig
from hybrid.data.event_targets import columns
from hybrid.data.labelled_skeletons import Shuffled, seed_of
from hybrid.data.skeleton_windows import WindowRows, collate_windows, find_events, load_windows, read_texts
from hybrid.models.recognizer import make_encoder
from hybrid.modules.recognition import augment, ready
from hybrid.optim import make_optimizer, scheduled, warm_cosine
from hybrid.recognition import make_trainer
from hybrid.run_folder import RunFolder, commit
from hybrid.training import resume_from
from skeleton.encoders import Encoder, JointFeatures
from skeleton.layouts import LIMBS, get_layout
from skeleton.pretraining import build_objective
from skeleton.transforms import SkeletonBatch

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
            told[..., :-1], targets[..., :-1], reduction="none", pos_weight=told.new_tensor(RARE)
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


def train(config: PretrainingConfig) -> RunFolder:
    """Pre-train one encoder, or go on with it; returns its folder."""
    seed_everything(config.seed, verbose=False)
    folder = RunFolder.create(config.output, config.name)
    checkpoint, step = resume_from(config.train.resume, folder)
    clips = load_windows(config.data)
    events = find_events(clips) if EVENTS in config.objectives else None
    texts = None if config.data.texts is None else read_texts(config.data.texts, clips)
    record = clips[0].skeleton
    encoder = make_encoder(config, record.layout, record.keypoints.shape[-1])
    module = PretrainingModule(encoder, config, 0 if texts is None else texts.shape[-1])
    print(
        f"run {config.name}: configuration {config_hash(config)}, commit {commit() or 'unknown'}\n"
        f"{len(clips)} windows of {record.layout}; {config.encoder.name}, stream {config.stream}: "
        f"{sum(parameter.numel() for parameter in encoder.parameters()):,} parameters",
        flush=True,
    )
    folder.describe(config)
    rows = WindowRows(
        clips, config.data.rows, config.data.max_persons, config.augment.crop, config.augment.uneven, config.seed,
        stride=encoder.stride, events=events, texts=texts,
    )  # fmt: skip
    loader = DataLoader(
        rows, config.train.batch_size, sampler=Shuffled(rows), drop_last=len(rows) >= config.train.batch_size,
        collate_fn=partial(collate_windows, layout=record.layout),
    )  # fmt: skip
    trainer = make_trainer(config, folder, step, len(loader), validates=False)
    trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    return folder
