"""Lightning trainers and the checkpoints that they keep."""

from collections.abc import Sequence
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar

from hybrid.runs.loggers import make_loggers
from hybrid.runs.run_folder import RunFolder


def make_trainer(
    config: Any,
    folder: RunFolder,
    step: int,
    steps: int,
    validates: bool,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Trainer:
    """A Trainer that goes by epochs; it keeps the last one, and the one of the least validation loss. steps: of an epoch.

    The accuracy of a hundred clips is too coarse to choose by: on Penn Action it stood at 100 % after 12 epochs of 60.
    """
    kept = {"dirpath": folder.checkpoints, "enable_version_counter": False}
    saved = [ModelCheckpoint(filename="last", save_on_train_epoch_end=True, **kept)]
    if validates:
        saved.append(ModelCheckpoint(filename="best", monitor="val/loss", mode="min", **kept))
    return Trainer(
        default_root_dir=folder.path,
        precision=config.train.precision,
        devices=config.train.devices,
        logger=make_loggers(folder, step),
        callbacks=[*callbacks, *saved, LearningRateMonitor("step"), TQDMProgressBar(refresh_rate=10)],
        max_epochs=config.train.epochs,
        gradient_clip_val=config.train.grad_clip or None,
        limit_val_batches=1.0 if validates else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, steps),
        enable_model_summary=False,
        use_distributed_sampler=False,
        **options,
    )


def checkpoints(folder: RunFolder, every: int, validates: bool) -> list[ModelCheckpoint]:
    """`best` by validation loss and `last` at each validation; both every `every` steps where none validates."""
    options = {"dirpath": folder.checkpoints, "enable_version_counter": False, "save_on_train_epoch_end": False}
    if validates:  # two, because save_last passes over validations that were not the best
        best = ModelCheckpoint(filename="best", monitor="val/loss", **options)
        return [best, ModelCheckpoint(filename="last", **options)]
    return [ModelCheckpoint(filename="best", save_last=True, every_n_train_steps=every, **options)]
