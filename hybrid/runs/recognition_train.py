"""Training and testing of action recognition: what tools/train.py and tools/test.py do for `kind: recognition`."""

from functools import partial
from pathlib import Path

import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from hybrid.config.loading import config_hash
from hybrid.config.recognition import RecognitionConfig
from hybrid.data.labelled_skeletons import ActionRows, Actions, Shuffled, collate_rows, load_actions, loader_of
from hybrid.models.recognizer import Recognizer, make_encoder
from hybrid.modules.recognition import RecognitionModule
from hybrid.runs.checkpoints import resume_from, take_encoder
from hybrid.runs.run_folder import RunFolder, commit
from hybrid.runs.trainers import make_trainer


def make_module(config: RecognitionConfig, actions: Actions) -> RecognitionModule:
    """The network that a configuration asks for, with the weights of train.start."""
    torch.manual_seed(config.seed)
    encoder = make_encoder(config, actions.layout, actions.coordinates)
    module = RecognitionModule(Recognizer(encoder, len(actions.classes), config.train.dropout), config)
    if config.train.start not in (None, "random"):
        take_encoder(encoder, Path(config.train.start))
    return module


def train(config: RecognitionConfig) -> RunFolder:
    """Train one run, or go on with it; returns its folder."""
    seed_everything(config.seed, verbose=False)
    folder = RunFolder.create(config.output, config.name)
    checkpoint, step = resume_from(config.train.resume, folder)
    actions = load_actions(config.data, config.seed)
    module = make_module(config, actions)
    size = sum(parameter.numel() for parameter in module.recognizer.encoder.parameters())
    print(
        f"run {config.name}: configuration {config_hash(config)}, commit {commit() or 'unknown'}\n"
        f"{len(actions.train)} training clips, {len(actions.val)} held out to choose the checkpoint; "
        f"{len(actions.classes)} classes\n"
        f"{config.encoder.name} over {actions.layout}, stream {config.stream}: {size:,} parameters",
        flush=True,
    )
    folder.describe(config)
    settings = config.train
    rows = ActionRows(
        actions.train,
        config.data.rows,
        config.data.max_persons,
        config.augment.crop,
        config.augment.uneven,
        config.seed,
    )
    loader = DataLoader(
        rows, settings.batch_size, sampler=Shuffled(rows), drop_last=len(rows) >= settings.batch_size,
        collate_fn=partial(collate_rows, layout=actions.layout),
    )  # fmt: skip
    averaging = [WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(settings.average))] if settings.average else []
    trainer = make_trainer(
        config, folder, step, len(loader), bool(actions.val), averaging, check_val_every_n_epoch=settings.val_every
    )
    trainer.fit(module, loader, loader_of(actions.val, config, actions.layout), ckpt_path=checkpoint, weights_only=True)
    if not actions.val:
        trainer.save_checkpoint(folder.checkpoint("best"), weights_only=False)
    return folder
