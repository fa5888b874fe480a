"""Labelled clips of skeletons for action recognition: reading, splits, and rows for a network.

An .npz holds `xyz` [rows, V, 3] of all clips one after the other, `offset` [clips + 1], `label`, `name` and `split`.
Its 2D clips have (x, y, visible) in pixels, and then `dimensions_hw_n` (height, width, rows): a joint that is annotated
although it is hidden is used with a confidence of 0.5, and one that is put into the corner was not annotated, as in Penn
Action, where these are two fifths of the hidden ones. A pickle is that of pyskl and mmaction2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from hybrid.config.recognition import ActionsConfig, RecognitionConfig
from hybrid.errors import DataError
from skeleton import formats
from skeleton.formats.common import Clip, choose_layout
from skeleton.inputs.batch import SkeletonBatch, kept_persons
from skeleton.record import Skeleton

HIDDEN = 0.5  # confidence of a joint that is annotated and hidden
CORNER = (
    2.0  # at most this are both pixels of a joint that is not annotated: it was put at (1, 1), and frames were resized
)
NPZ_LAYOUTS = {20: "kinect20", 13: "penn13"}


@dataclass(frozen=True)
class Actions:
    """Clips of one file; `classes[label]` is the name of a class."""

    train: list[Clip]
    val: list[Clip]
    test: list[Clip]
    classes: list[str]
    layout: str
    coordinates: int

    def copies(self) -> set[str]:
        """Names of the test clips whose joints are those of a clip to train on, number by number: who remembers that one knows
        the answer. In NW-UCLA they are a fifth of the test split."""
        known = {clip.skeleton.keypoints.tobytes() for clip in (*self.train, *self.val)}
        return {clip.name for clip in self.test if clip.skeleton.keypoints.tobytes() in known}


def load_actions(config: ActionsConfig, seed: int) -> Actions:
    """The splits of a file; what is held out of training depends on the seed alone. Raises DataError, FormatError."""
    path = Path(config.file).expanduser()
    if not path.is_file():
        raise DataError(f"expected labelled skeletons at {path}, found no such file: give data.file=PATH")
    clips, classes = _npz(path, config) if path.suffix == ".npz" else _pickle(path, config)
    splits = sorted({split for clip in clips for split in clip.splits})
    others = [split for split in splits if split != config.train_split]
    test_split = config.test_split or (others[0] if len(others) == 1 else None)
    if config.train_split not in splits or test_split not in splits:
        raise DataError(
            f"expected the splits {config.train_split} and {test_split or 'one other'} in {path}, found {', '.join(splits)}: "
            "set data.train_split and data.test_split"
        )
    train = [clip for clip in clips if config.train_split in clip.splits]
    train, val = _hold_out(train, config.val_share, seed)
    train = _hold_out(train, 1 - config.label_share, seed + 1)[0]
    first = clips[0].skeleton
    test = [clip for clip in clips if test_split in clip.splits]
    return Actions(train, val, test, classes, first.layout, first.keypoints.shape[-1])


def _hold_out(clips: list[Clip], share: float, seed: int) -> tuple[list[Clip], list[Clip]]:
    """(Kept, held out): a share of the clips of each class, at least one where the share is not 0; the order stays."""
    random, out = np.random.default_rng((seed, 7)), set()
    for label in sorted({clip.label for clip in clips}):
        places = [place for place, clip in enumerate(clips) if clip.label == label]
        count = min(max(round(share * len(places)), int(share > 0)), len(places) - 1)
        out |= set(random.permutation(places)[:count].tolist())
    return [c for i, c in enumerate(clips) if i not in out], [c for i, c in enumerate(clips) if i in out]


def _npz(path: Path, config: ActionsConfig) -> tuple[list[Clip], list[str]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        points, offset, labels, names, splits = (data[name] for name in ("xyz", "offset", "label", "name", "split"))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"expected xyz, offset, label, name and split in {path}, found none or broken: {error}"
        ) from error
    joints, sizes = points.shape[1], data.get("dimensions_hw_n")
    layout = choose_layout(joints, config.layout, path, NPZ_LAYOUTS)
    classes = sorted(np.unique(labels).tolist())
    numbers = {label: number for number, label in enumerate(classes)}
    clips = []
    for place in range(len(names)):
        rows = points[offset[place] : offset[place + 1]]
        size = (1, 1) if sizes is None else tuple(int(value) for value in sizes[place][:2])
        clip = _record(rows, layout, size, config.fps, sizes is not None)
        clips.append(Clip(str(names[place]), clip, numbers[labels[place].item()], (str(splits[place]),)))
    return clips, [str(label) for label in classes]


def _record(rows: np.ndarray, layout: str, size: tuple[int, int], fps: float, planar: bool) -> Skeleton:
    visible = np.isfinite(rows[..., :2]).all(-1) & (rows[..., :2] != 0).any(-1)
    if planar:
        visible &= (rows[..., 2] > 0) | (rows[..., :2] > CORNER).any(-1)
    confidence = np.where(rows[..., 2] > 0, 1.0, HIDDEN) if planar else np.ones(visible.shape)
    keypoints = rows[..., :2] if planar else rows
    return Skeleton(
        keypoints=np.where(visible[..., None], keypoints, 0)[None].astype(np.float32),
        confidence=(confidence * visible)[None].astype(np.float32),
        visible=visible[None],
        boxes=np.zeros((1, len(rows), 4), np.float32),
        timestamps=np.arange(len(rows)) / fps,
        track_ids=np.zeros(1, np.int64),
        layout=layout,
        frame_size=size,
        source={},
    )


def _pickle(path: Path, config: ActionsConfig) -> tuple[list[Clip], list[str]]:
    clips = [load() for _, load in formats.clips(path, "pyskl", fps=config.fps, layout=config.layout)]
    unlabelled = [clip.name for clip in clips if clip.label is None]
    if unlabelled:
        raise DataError(f"expected a label for every clip of {path}, found none for {unlabelled[0]}: leave it out")
    count = max(clip.label for clip in clips) + 1
    classes = config.classes or [str(number) for number in range(count)]
    if len(classes) < count:
        raise DataError(f"expected {count} names in data.classes for {path}, found {len(classes)}: name them all")
    return clips, classes


class ActionRows(Dataset):
    """Clip i as (keypoints [M, R, V, C], confidence, visible [M, R, V], times [R], aspect, label or -1), R rows of it.

    Coordinates are frame heights or metres. Rows are `rows` moments evenly spaced over the clip, or over a random part of it in
    training (`uneven`: random moments of it). They lie on straight lines between the rows of the clip where both are visible;
    else each is the nearer one.
    """

    def __init__(
        self, clips: Sequence[Clip], rows: int, max_persons: int, crop: float = 1.0, uneven: bool = False, seed: int = 0
    ):
        self.clips, self.rows, self.max_persons, self.crop, self.uneven, self.seed = (
            clips,
            rows,
            max_persons,
            crop,
            uneven,
            seed,
        )
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.clips)

    def moments(self, place: int) -> np.ndarray:
        """[R] ascending places between the rows of the clip: those of this epoch."""
        last = float(self.clips[place].skeleton.num_frames - 1)
        random = np.random.default_rng((self.seed, self.epoch, place))
        length = last if self.crop == 1 else random.uniform(self.crop, 1) * last
        begin = random.uniform(0, last - length)
        shares = np.sort(random.random(self.rows)) if self.uneven else np.linspace(0, 1, self.rows)
        return begin + length * shares

    def __getitem__(self, place: int) -> tuple[np.ndarray, ...]:
        clip = self.clips[place]
        record = clip.skeleton
        last = record.num_frames - 1
        moments = self.moments(place)
        before = np.minimum(moments.astype(np.int64), max(last - 1, 0))
        after = np.minimum(before + 1, last)
        share = (moments - before)[None, :, None]
        kept = kept_persons(record, self.max_persons)
        unit = record.frame_size[0] if record.keypoints.shape[-1] == 2 else 1
        points, confidence, visible = record.keypoints[kept] / unit, record.confidence[kept], record.visible[kept]
        one, other = visible[:, before], visible[:, after]
        both, nearer = one & other, share < 0.5
        weight = np.where(both, share, np.where(nearer, 0.0, 1.0))
        seen = both | np.where(nearer, one, other)
        mixed = points[:, before] * (1 - weight[..., None]) + points[:, after] * weight[..., None]
        sure = confidence[:, before] * (1 - weight) + confidence[:, after] * weight
        times = np.interp(moments, np.arange(last + 1), record.timestamps)
        height, width = record.frame_size
        arrays = (mixed * seen[..., None], sure * seen, seen, times - times[0], width / height)
        return (*arrays, -1 if clip.label is None else clip.label)


class Shuffled(Sampler):
    """Another order each epoch, by seed and epoch alone: nothing that is drawn depends on interruptions. Each of several
    processes takes its share of the order."""

    def __init__(self, rows: ActionRows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows) // _ranks()[1]

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls it before each epoch."""
        self.rows.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        random = torch.Generator().manual_seed(seed_of(self.rows.seed, self.rows.epoch))
        rank, ranks = _ranks()
        order = torch.randperm(len(self.rows), generator=random).tolist()
        return iter(order[rank : len(self) * ranks : ranks])


def _ranks() -> tuple[int, int]:
    """This process's number among those that train together, and how many there are."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def collate_rows(items: list[tuple], layout: str) -> tuple[SkeletonBatch, torch.Tensor]:
    """A batch of B items of `ActionRows` and their labels [B]; persons are padded to the most crowded."""
    persons = max(1, *(len(item[0]) for item in items))
    padded = []
    for which in range(3):
        arrays = [
            np.pad(item[which], ((0, persons - len(item[0])), *[(0, 0)] * (item[which].ndim - 1))) for item in items
        ]
        padded.append(torch.from_numpy(np.stack(arrays)))
    keypoints, confidence, visible = padded
    times = torch.from_numpy(np.stack([item[3] for item in items])).float()
    batch = SkeletonBatch(
        keypoints=keypoints.float(),
        confidence=confidence.float(),
        visible=visible,
        times=times,
        frames=torch.ones(times.shape, dtype=torch.bool),
        aspect=torch.tensor([float(item[4]) for item in items]),
        layout=layout,
    )
    return batch, torch.tensor([item[5] for item in items])


def seed_of(*numbers: int) -> int:
    """A seed for torch from several numbers, such as seed, epoch and step."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def loader_of(clips: list[Clip], config: RecognitionConfig, layout: str) -> DataLoader:
    """Whole clips in their order."""
    rows = ActionRows(clips, config.data.rows, config.data.max_persons)
    return DataLoader(rows, config.test.batch_size, collate_fn=partial(collate_rows, layout=layout))
