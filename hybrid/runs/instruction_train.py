"""Training of one run: build, fit, leave checkpoints and curves in the run folder."""

from pathlib import Path

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import LearningRateMonitor, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import config_hash
from hybrid.data.module import ClipData, load
from hybrid.modules.event_pretraining import EventPretraining
from hybrid.modules.instruction import InstructionModule
from hybrid.runs.build import build
from hybrid.runs.checkpoints import resume_from, save_weights, start_from
from hybrid.runs.loggers import make_loggers
from hybrid.runs.run_folder import RunFolder, commit
from hybrid.runs.trainers import checkpoints


def make_trainer(config: TrainConfig, folder: RunFolder, step: int, callbacks: list, **options) -> Trainer:
    """A Trainer with this run's precision, devices and loggers."""
    return Trainer(
        default_root_dir=folder.path,
        precision=config.train.precision,
        devices=config.train.devices,
        accelerator="auto",
        logger=make_loggers(folder, step),
        callbacks=[*callbacks, TQDMProgressBar(refresh_rate=10)],
        enable_model_summary=False,
        **options,
    )


def describe(config: TrainConfig, model: torch.nn.Module, data: ClipData) -> str:
    """What runs: version, sizes, tokens of a clip, parameters."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    rows = [data.reader.row(clip, ()) for clip in data.train_clips[:8]]
    batch = data.collator(rows)
    count, kind = data.collator.mode.tokens(rows, batch)
    return "\n".join(
        [
            f"run {config.name}: configuration {config_hash(config)}, commit {commit() or 'unknown'}",
            f"{len(data.train_clips)} training clips, {sum(len(c.samples) for c in data.train_clips)} questions; "
            f"{len(data.val_clips)} validation clips",
            f"{trainable:,} of {total:,} parameters train; a prompt has about {batch.prompt.input_ids.shape[1]} tokens "
            f"before the question, {count:.0f} of them {kind}",
        ]
    )


def pretrain(config: TrainConfig, folder: RunFolder, module: InstructionModule, data: ClipData) -> None:
    """Event pre-training of the joint branch, in place; its curve is pretraining/metrics.csv in the run folder."""
    train = config.train
    trainer = Trainer(
        precision=train.precision,
        devices=1,
        max_steps=train.pretrain_steps,
        gradient_clip_val=train.grad_clip or None,
        logger=CSVLogger(folder.path, name="pretraining", version="", flush_logs_every_n_steps=1),
        log_every_n_steps=min(10, train.pretrain_steps),
        callbacks=[TQDMProgressBar(refresh_rate=10)],
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    joints = module.model.joints
    learner = EventPretraining(joints, train)
    trainer.fit(learner, data.pretraining_loader())


def train(config: TrainConfig) -> RunFolder:
    """Train one run, or go on with it; returns its folder. With train.steps=0 it ends behind event pre-training."""
    seed_everything(config.seed, verbose=False)
    folder = RunFolder.create(config.output, config.name)
    checkpoint, step = resume_from(config.train.resume if config.train.steps else None, folder)
    model, collator = build(config, load(config.data.train, "data.train"))
    module, data = InstructionModule(model, config.train), ClipData(config, collator)
    data.setup("fit")
    print(describe(config, model, data), flush=True)
    folder.describe(config)
    for path in config.train.start if checkpoint is None else []:
        print(f"{start_from(module, Path(path))} weights from {path}", flush=True)
    if config.train.pretrain_steps and checkpoint is None:
        print(f"event pre-training of the encoder: {config.train.pretrain_steps} steps", flush=True)
        pretrain(config, folder, module, data)
    if config.train.steps:
        fit(config, folder, module, data, checkpoint, step)
    else:
        save_weights(module, folder.checkpoint("last"))
    return folder


def fit(
    config: TrainConfig, folder: RunFolder, module: InstructionModule, data: ClipData, checkpoint: str | None, step: int
) -> None:
    """Instruction tuning, from the first step or from `checkpoint`, written at `step`."""
    every = min(config.train.val_every or config.train.steps, config.train.steps)
    validates = bool(data.val_clips) and config.train.val_every > 0
    trainer = make_trainer(
        config,
        folder,
        step,
        [*checkpoints(folder, every, validates), LearningRateMonitor("step")],
        max_steps=config.train.steps,
        max_epochs=-1,
        accumulate_grad_batches=config.train.accumulate,
        gradient_clip_val=config.train.grad_clip or None,
        val_check_interval=every * config.train.accumulate if validates else None,
        limit_val_batches=1.0 if validates else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        use_distributed_sampler=False,
    )
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    if config.train.steps % every:  # steps behind the last validation
        for name in ["last"] if validates else ["last", "best"]:
            trainer.save_checkpoint(folder.checkpoint(name), weights_only=False)
