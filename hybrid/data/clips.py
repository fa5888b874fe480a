"""Clips behind samples: what is read from disk, and the rows that training and testing make of them.

Frames are decoded once into a cache folder (one .npy a clip) where data.cache is set. Skeletons are put on the
clip's own clock at data.pose_fps, denser than the frames. A missing file is an error, never an empty input.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset, Sampler

from fusion.batch import Branch, Row
from hybrid.config.instruction import DataConfig, FusionConfig
from hybrid.data.prompt import answer_text, option_texts, question_text
from hybrid.data.sample import Sample
from hybrid.errors import DataError
from skeleton.events import LimbEvent
from skeleton.layouts import get_layout
from skeleton.record import Skeleton
from skeleton.transforms import resample
from skeleton.video import Frames, sample_frames


@dataclass(frozen=True)
class Clip:
    """One stretch of a video and its skeleton, with all questions about it."""

    video: str | None
    skeleton: str | None
    start: float
    end: float
    samples: tuple[Sample, ...]

    @property
    def seconds(self) -> float:
        return self.end - self.start


def group_clips(samples: Sequence[Sample]) -> list[Clip]:
    """Samples of the same stretch of the same files become one clip; order of first appearance."""
    groups: dict[tuple, list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.video, sample.skeleton, sample.start, sample.end), []).append(sample)
    return [Clip(*key, tuple(members)) for key, members in groups.items()]


class ClipReader:
    """Reads the frames and the skeleton of a clip as the configuration wants them."""

    def __init__(self, data: DataConfig, layout: str):
        self.data = data
        self.layout = get_layout(layout)
        self.events: dict[str, list[LimbEvent]] = {}  # by the name of the skeleton's file, where they are used
        self.body = lru_cache(maxsize=4096)(self._body)

    def frames(self, clip: Clip) -> Frames | None:
        """data.frames RGB frames at the middles of equal parts of the clip, on its own clock; None without a video."""
        if clip.video is None:
            return None
        times = (np.arange(self.data.frames) + 0.5) * clip.seconds / self.data.frames
        if self.data.cache is None:
            return Frames(self._decoded(clip), times)
        stored = self._cached(clip)
        if not stored.is_file():
            images = self._decoded(clip)
            stored.parent.mkdir(parents=True, exist_ok=True)
            partial = stored.with_name(f".{stored.name}.{os.getpid()}.partial")
            try:
                with partial.open("wb") as file:
                    np.save(file, images)
                os.replace(partial, stored)
            finally:
                partial.unlink(missing_ok=True)
        return Frames(np.load(stored), times)

    def _decoded(self, clip: Clip) -> np.ndarray:
        size = self.data.size and (self.data.size, self.data.size)
        return sample_frames(clip.video, clip.start, clip.end, self.data.frames, size=size).images

    def _cached(self, clip: Clip) -> Path:
        path = Path(clip.video)
        if not path.is_file():
            raise DataError(f"expected the video {path}, found no such file: check the sample's path")
        facts = (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns)
        key = repr((facts, clip.start, clip.end, self.data.frames, self.data.size))
        return Path(self.data.cache) / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"

    def skeleton(self, clip: Clip, seconds: float | None = None) -> Skeleton | None:
        """The clip's skeleton on a clock from 0 at data.pose_fps, cut to `seconds`; None without one.

        Raises DataError when its layout is not the one that the encoder was built for.
        """
        if clip.skeleton is None:
            return None
        return self.body(clip.skeleton, clip.start, clip.start + min(clip.seconds, seconds or clip.seconds))

    def _body(self, path: str, start: float, end: float) -> Skeleton:
        skeleton = Skeleton.load(path)
        if skeleton.layout != self.layout.name:
            raise DataError(
                f"expected a skeleton of layout {self.layout.name} in {path}, found {skeleton.layout}: "
                "convert it with skeleton.layouts.convert or set encoder.layout"
            )
        skeleton = resample(skeleton, start, end, self.data.pose_fps)
        return replace(skeleton, timestamps=skeleton.timestamps - start)

    def length(self, clip: Clip) -> float:
        """A rough number of tokens of a training row: what differs between clips, persons and questions."""
        persons = 0 if clip.skeleton is None else self.skeleton(clip).num_persons
        questions = min(len(clip.samples), self.data.questions_per_sequence)
        return 12 * persons * clip.seconds + 15 * questions

    def known_events(self, clip: Clip) -> tuple[LimbEvent, ...] | None:
        """Events of the clip on its own clock; None where the files say nothing about it."""
        events = self.events.get(Path(clip.skeleton).stem) if clip.skeleton else None
        if events is None:
            return None
        inside = [event for event in events if event.start < clip.end and event.end > clip.start]
        return tuple(replace(e, start=e.start - clip.start, end=e.end - clip.start) for e in inside)

    def row(self, clip: Clip, branches: tuple[Branch, ...], pose_of: Clip | None = None) -> Row:
        """The clip with these questions, both modalities and all that is known; `pose_of`: with that clip's body."""
        body = pose_of or clip
        frames = self.frames(clip) if self.data.frames else None
        skeleton, events = self.skeleton(body, clip.seconds), self.known_events(body)
        looks = None if events is None else {s.person: s.meta["look"] for s in body.samples if "look" in s.meta}
        return Row(frames, skeleton, clip.seconds, branches, events, looks)


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


PROBES = ("none", "shuffle", "no_video", "text_only")


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
