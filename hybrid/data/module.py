"""The Lightning data module: samples from JSONL files, batches for one model."""

from functools import partial

import numpy as np
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from fusion.batch import Batch
from hybrid.config.instruction import ORACLE, TrainConfig
from hybrid.data.clips import Clip, ClipReader, group_clips
from hybrid.data.collation import Collator
from hybrid.data.rows import EvalBatch, EvalRows, PretrainingRows, StepSampler, TrainingRows, ValidationRows
from hybrid.data.sample import Sample, read_samples
from hybrid.errors import ConfigError, DataError
from skeleton.events.limb_event import load_events


def load(paths: list[str], key: str) -> list[Sample]:
    """Samples of all files. Raises ConfigError when the key is empty, DataError for an id that is in two files."""
    if not paths:
        raise ConfigError(f"expected JSONL files in {key}, found none: give {key}=[FILE.jsonl]")
    samples: dict[str, tuple[str, Sample]] = {}
    for path in paths:
        for sample in read_samples(path):
            if sample.id in samples:
                raise DataError(
                    f"{path}: id: expected ids that no other file of {key} has, found {sample.id!r} in "
                    f"{samples[sample.id][0]} too; name each file once, or rename the ids of one"
                )
            samples[sample.id] = path, sample
    return [sample for _, sample in samples.values()]


def answered(clips: list[Clip]) -> list[Clip]:
    """The clips with a question whose answer is known."""
    return [clip for clip in clips if any(sample.kind != "hidden" for sample in clip.samples)]


def split_clips(clips: list[Clip], fraction: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """Train and validation clips; all clips of one video fall on one side."""
    videos = sorted({clip.video or clip.skeleton or "" for clip in clips})
    chosen = np.random.default_rng((seed, 1)).permutation(len(videos))[: round(fraction * len(videos))]
    held = {videos[i] for i in chosen}
    inside = [(clip.video or clip.skeleton or "") in held for clip in clips]
    return [c for c, val in zip(clips, inside, strict=True) if not val], [
        c for c, val in zip(clips, inside, strict=True) if val
    ]


def thin(clips: list[Clip], samples: int | None) -> list[Clip]:
    """Evenly spaced clips that hold about `samples` samples; all for None."""
    total = sum(len(clip.samples) for clip in clips)
    if samples is None or samples >= total:
        return clips
    count = max(1, round(len(clips) * samples / total))
    return [clips[i] for i in np.linspace(0, len(clips) - 1, count).round().astype(int)]


class ClipData(LightningDataModule):
    """Training batches keyed by step; validation and test batches of rows with all options."""

    def __init__(self, config: TrainConfig, collator: Collator):
        super().__init__()
        self.config, self.collator = config, collator
        self.reader = ClipReader(config.data, config.encoder.layout)
        self.start_step = 0
        if config.encoder.name == ORACLE:
            self.read_events()

    def read_events(self) -> None:
        """Let rows bring the events of their clips. Raises DataError for a clip that is in two files."""
        found: dict[str, str] = {}
        self.reader.events = {}
        for path in self.config.data.events:
            events = load_events(path)
            for clip in events:
                if clip in found:
                    raise DataError(
                        f"expected each clip in one file of data.events, found {clip!r} in {found[clip]} and in {path}: "
                        "make the events of both folders in one, or name one file"
                    )
            found |= dict.fromkeys(events, path)
            self.reader.events |= events

    def setup(self, stage: str) -> None:
        data = self.config.data
        if stage in ("fit", "validate"):
            clips = answered(group_clips(load(data.train, "data.train")))
            if data.val:
                self.train_clips, val = clips, answered(group_clips(load(data.val, "data.val")))
            else:
                self.train_clips, val = split_clips(clips, data.validation_fraction, self.config.seed)
            self.val_clips = thin(val, self.config.train.val_samples)
            if self.config.train.event_loss or self.config.train.look_loss:
                self.read_events()
            self.reader.check_events([*self.train_clips, *self.val_clips])

    def loader(self, dataset, collate, **options) -> DataLoader:
        workers = self.config.data.workers
        return DataLoader(
            dataset,
            collate_fn=collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=False,
            **options,
        )

    def train_dataloader(self) -> DataLoader:
        train, trainer, clips = self.config.train, self.trainer, len(self.train_clips)
        sampler = StepSampler(
            [self.reader.length(clip) for clip in self.train_clips] if self.config.data.group_lengths else [0] * clips,
            train.batch_size,
            train.steps * train.accumulate,
            self.config.seed,
            trainer.global_rank,
            trainer.world_size,
        )
        sampler.start = self.start_step * train.accumulate
        dataset = TrainingRows(self.train_clips, self.reader, self.config.fusion)
        return self.loader(dataset, self.collator, batch_sampler=sampler)

    def pretraining_loader(self) -> DataLoader:
        """Skeletons and events for train.pretrain_steps steps."""
        train = self.config.train
        lengths = [self.reader.length(clip) for clip in self.train_clips]
        sampler = StepSampler(lengths, train.pretrain_batch, train.pretrain_steps, self.config.seed)
        rows = PretrainingRows(self.train_clips, self.reader, self.config.fusion)
        return self.loader(rows, self.collator, batch_sampler=sampler)

    def val_dataloader(self) -> DataLoader | list:
        if not self.val_clips:
            return []
        rows = ValidationRows(self.val_clips, self.reader, self.config.test.batch_size)
        return self.loader(rows, partial(collate_eval, self.collator), batch_size=None)

    def eval_loader(self, clips: list[Clip], probe: str | None) -> DataLoader:
        """Batches (EvalBatch, Batch) of `clips` under a probe."""
        self.reader.check_events(clips)
        rows = EvalRows(clips, self.reader, self.config.test.batch_size, probe)
        return self.loader(rows, partial(collate_eval, self.collator), batch_size=None)

    def state_dict(self) -> dict[str, int]:
        return {"step": self.trainer.global_step}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.start_step = state_dict["step"]


def collate_eval(collator: Collator, batch: EvalBatch) -> tuple[EvalBatch, Batch]:
    """Generation pads on the left."""
    return batch, collator(batch.rows, left=batch.kind == "write")
