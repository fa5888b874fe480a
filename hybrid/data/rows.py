"""Rows that loaders give: clips drawn for training in an order that survives interruptions, and clips to validate and test on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch.utils.data import Dataset, Sampler

from fusion.batch import Branch, Row
from hybrid.config.instruction import FusionConfig
from hybrid.data.clips import Clip, ClipReader
from hybrid.data.prompt import answer_text, option_texts, question_text
from hybrid.data.sample import Sample
from hybrid.errors import DataError

PROBES = ("none", "shuffle", "no_video", "text_only")


@dataclass(frozen=True)
class Draw:
    """A training example: which clip, and the seed of all that is drawn for it."""

    clip: int
    seed: tuple[int, ...]


class TrainingRows(Dataset):
    """Draws -> rows: some questions of the clip with their answers, either modality dropped at random."""

    def __init__(self, clips: list[Clip], reader: ClipReader, fusion: FusionConfig):
        self.clips, self.reader, self.fusion = clips, reader, fusion

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, draw: Draw) -> Row:
        rng = np.random.default_rng(draw.seed)
        clip, data = self.clips[draw.clip], self.reader.data
        known = [sample for sample in clip.samples if sample.kind != "hidden"]
        chosen = [known[i] for i in rng.permutation(len(known))[: data.questions_per_sequence]]
        form = data.answer_format
        branches = tuple(Branch(question_text(s, form), (answer_text(s, form),)) for s in chosen)
        chance = rng.random()
        if chance < self.fusion.dropout_pose:
            clip = replace(clip, skeleton=None)
        elif chance < self.fusion.dropout_pose + self.fusion.dropout_video:
            clip = replace(clip, video=None)
        return self.reader.row(clip, branches)


class PretrainingRows(TrainingRows):
    """Draws -> skeletons with their events: no video, no questions."""

    def __getitem__(self, draw: Draw) -> Row:
        clip = self.clips[draw.clip]
        return Row(None, self.reader.skeleton(clip), clip.seconds, (), self.reader.known_events(clip))


class StepSampler(Sampler[list[Draw]]):
    """Batches keyed by seed, epoch and step, so that training resumed at `start` draws what it would have drawn.

    `lengths` [clips] are rough numbers of tokens: the draws of `GROUP` steps are sorted by them before they are cut into
    batches, which saves padding. `rank` of `ranks` takes its share of every batch. The length is that of the whole training.
    """

    GROUP = 8

    def __init__(self, lengths: Sequence[float], batch_size: int, steps: int, seed: int, rank: int = 0, ranks: int = 1):
        if not len(lengths):
            raise DataError("expected at least one training clip with an answer, found none: check data.train")
        self.lengths, self.batch_size, self.steps, self.seed = np.asarray(lengths), batch_size, steps, seed
        self.rank, self.ranks = rank, ranks
        self.start = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Draw]]:
        group = -1
        for step in range(self.start, self.steps):
            if step // self.GROUP != group:
                group = step // self.GROUP
                batches = self.batches(group)
            yield batches[step % self.GROUP][self.rank :: self.ranks]

    def batches(self, group: int) -> list[list[Draw]]:
        """The batches of `GROUP` steps, over all ranks: every clip once an epoch, clips of like length together."""
        size, clips = self.batch_size * self.ranks, len(self.lengths)
        numbers = np.arange(group * self.GROUP * size, (group + 1) * self.GROUP * size)
        orders = {
            epoch: np.random.default_rng((self.seed, epoch)).permutation(clips) for epoch in set(numbers // clips)
        }
        drawn = np.array([orders[number // clips][number % clips] for number in numbers])
        by_length = np.argsort(self.lengths[drawn], kind="stable").reshape(self.GROUP, size)
        shuffled = np.random.default_rng((self.seed, group, 1)).permutation(self.GROUP)
        return [[Draw(int(drawn[i]), (self.seed, int(numbers[i]))) for i in by_length[b]] for b in shuffled]


@dataclass(frozen=True)
class EvalBatch:
    """Rows of one kind (`choose`: score the options; `write`: generate; `validate`: score options, or the truth where
    there are none) and the samples they hold, in order."""

    kind: str
    rows: list[Row]
    samples: list[Sample]


class ValidationRows(Dataset):
    """Validation batches: all questions of a clip in one row, with their options, or the truth where there are none."""

    def __init__(self, clips: list[Clip], reader: ClipReader, batch_size: int):
        self.clips, self.reader, self.batch_size = clips, reader, batch_size

    def __len__(self) -> int:
        return -(-len(self.clips) // self.batch_size)

    def __getitem__(self, index: int) -> EvalBatch:
        rows, asked, form = [], [], self.reader.data.answer_format
        for clip in self.clips[index * self.batch_size : (index + 1) * self.batch_size]:
            samples = [sample for sample in clip.samples if sample.kind != "hidden"]
            texts = [option_texts(s, form) or (answer_text(s, form),) for s in samples]
            branches = tuple(Branch(question_text(s, form), t) for s, t in zip(samples, texts, strict=True))
            rows.append(self.reader.row(clip, branches))
            asked += samples
        return EvalBatch("validate", rows, asked)


class EvalRows(Dataset):
    """Test batches: options of all multiple choices of a clip in one row, other questions a row each.

    `probe` withholds the pose (none), the video (no_video) or both (text_only), or gives each clip the pose of the
    clip half a list away, or of the next one with another skeleton (shuffle; raises DataError where there is none).
    """

    def __init__(self, clips: list[Clip], reader: ClipReader, batch_size: int, probe: str | None = None):
        self.clips, self.reader, self.probe = clips, reader, probe
        self.donors = [self.donor(number) for number in range(len(clips))] if probe == "shuffle" else clips
        choose, write = [], []
        for number, clip in enumerate(clips):
            choices = [sample for sample in clip.samples if sample.options is not None]
            choose += [(number, choices)] if choices else []
            write += [(number, [sample]) for sample in clip.samples if sample.options is None]
        self.batches = [
            (kind, parts[i : i + batch_size])
            for kind, parts in (("choose", choose), ("write", write))
            for i in range(0, len(parts), batch_size)
        ]

    def donor(self, number: int) -> Clip:
        """The clip whose pose clip `number` gets; itself when it has none to exchange."""
        own = self.clips[number]
        if own.skeleton is None:
            return own
        half = number + len(self.clips) // 2
        for place in range(half, half + len(self.clips)):
            other = self.clips[place % len(self.clips)]
            if other.skeleton not in (None, own.skeleton):
                return other
        raise DataError(
            f"expected clips of two or more skeletons for the probe shuffle, found only {own.skeleton}: "
            "test more clips or drop shuffle from test.probes"
        )

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> EvalBatch:
        kind, parts = self.batches[index]
        rows = [self.row(number, samples) for number, samples in parts]
        return EvalBatch(kind, rows, [sample for _, samples in parts for sample in samples])

    def row(self, number: int, samples: list[Sample]) -> Row:
        clip, form = self.clips[number], self.reader.data.answer_format
        branches = tuple(Branch(question_text(s, form), option_texts(s, form)) for s in samples)
        seen = self.probe not in ("no_video", "text_only")
        felt = self.probe not in ("none", "text_only")
        body = self.donors[number] if felt else replace(clip, skeleton=None)
        return self.reader.row(clip if seen else replace(clip, video=None), branches, pose_of=body)
