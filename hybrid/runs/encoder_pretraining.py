"""Pre-training of skeleton encoders: what tools/train.py does for `kind: pretraining`."""

from functools import partial

from lightning import seed_everything
from torch.utils.data import DataLoader

from hybrid.config.loading import config_hash
from hybrid.config.pretraining import PretrainingConfig
from hybrid.data.labelled_skeletons import Shuffled
from hybrid.data.skeleton_windows import WindowRows, collate_windows, find_events, load_windows, read_texts
from hybrid.models.recognizer import make_encoder
from hybrid.modules.encoder_pretraining import EVENTS, PretrainingModule
from hybrid.runs.checkpoints import resume_from
from hybrid.runs.run_folder import RunFolder, commit
from hybrid.runs.trainers import make_trainer


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
