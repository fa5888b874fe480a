"""Skeletons without labels: records cut into windows, what their limbs do in them, and what is said of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from hybrid.config.pretraining import RecordsConfig
from hybrid.config.recognition import ActionsConfig
from hybrid.data.labelled_skeletons import ActionRows, collate_rows, load_actions
from hybrid.data.records import list_records
from hybrid.errors import DataError
from skeleton.errors import SkeletonError
from skeleton.events.detectors import detect_events
from skeleton.events.limb_event import LimbEvent
from skeleton.events.targets import columns, event_targets
from skeleton.formats.common import Clip
from skeleton.inputs.batch import SkeletonBatch, kept_persons
from skeleton.layouts.conversion import convert
from skeleton.layouts.layout import LIMBS
from skeleton.record import Skeleton

FAR = 10_000  # rows before the first and after the last one that a clock is asked about
LEAST_ROWS = 4  # of a window: shorter ends of records are left out


def load_windows(config: RecordsConfig) -> list[Clip]:
    """Windows of all records of a folder, or the training clips of a labelled file. Raises DataError."""
    if Path(config.skeletons).expanduser().is_file():
        file = ActionsConfig(file=config.skeletons, layout=config.layout, fps=config.fps, val_share=0.0)
        return load_actions(file, seed=0).train
    found: list[Clip] = []
    for path in tqdm(list_records(config.skeletons)[0], desc="records"):
        try:
            record = Skeleton.load(path)
            layout = config.layout or (found[0].skeleton.layout if found else record.layout)
            found += windows_of(
                path.stem, record if record.layout == layout else convert(record, layout), config.seconds
            )
        except SkeletonError as error:
            raise DataError(
                f"expected records that can be used in {config.skeletons}, found {path.name}: {error}"
            ) from error
    dimensions = {clip.skeleton.keypoints.shape[-1] for clip in found}
    if len(dimensions) != 1:
        what = "both pixels and metres" if dimensions else "nobody in any window"
        raise DataError(f"expected windows with people, in pixels or in metres, in {config.skeletons}, found {what}")
    return found


def windows_of(name: str, record: Skeleton, seconds: float) -> list[Clip]:
    """Windows one after the other in which somebody is visible; each one's time begins at 0."""
    starts = np.arange(record.timestamps[0], record.timestamps[-1], seconds)
    clips = []
    for number, start in enumerate(starts):
        rows = slice(*np.searchsorted(record.timestamps, (start, start + seconds)))
        if rows.stop - rows.start < LEAST_ROWS or not record.visible[:, rows].any():
            continue
        part = replace(
            record,
            keypoints=record.keypoints[:, rows],
            confidence=record.confidence[:, rows],
            visible=record.visible[:, rows],
            boxes=record.boxes[:, rows],
            timestamps=record.timestamps[rows] - record.timestamps[rows.start],
        )
        clips.append(Clip(f"{name}:{number}", part))
    return clips


class WindowRows(ActionRows):
    """Clips as `ActionRows` gives them, with targets [M, K, G, F] of their limb events and texts [1 + limbs, E] behind.

    events: of each clip, as `skeleton.events.detectors` finds them; None leaves the targets out. bins of `stride` rows.
    """

    def __init__(
        self, *arguments, stride: int, events: list[list[LimbEvent]] | None, texts: np.ndarray | None, **options
    ):
        super().__init__(*arguments, **options)
        self.stride, self.events, self.texts = stride, events, texts

    def __getitem__(self, place: int) -> tuple[np.ndarray, ...]:
        item = super().__getitem__(place)
        targets = np.zeros((len(item[0]), 0, len(LIMBS), len(columns())), np.float32)
        if self.events is not None:
            targets = self.targets(place)
        texts = np.zeros((0, 0), np.float32) if self.texts is None else self.texts[place]
        return (*item, targets, texts)

    def targets(self, place: int) -> np.ndarray:
        """[M, K, G, F]: what each limb does in each bin of the part that is taken this epoch."""
        record = self.clips[place].skeleton
        times = np.interp(self.moments(place), np.arange(record.num_frames), record.timestamps)
        step = max(times[-1] - times[0], 1e-6) / max(self.rows - 1, 1)
        # Seconds to rows; before the first row and after the last one the clock goes on at their mean rate.
        seconds, rows = (
            [times[0] - FAR * step, *times, times[-1] + FAR * step],
            [-FAR, *range(self.rows), self.rows - 1 + FAR],
        )
        placed = [
            replace(event, start=np.interp(event.start, seconds, rows), end=np.interp(event.end, seconds, rows))
            for event in self.events[place]
        ]
        tracks = record.track_ids[kept_persons(record, self.max_persons)].tolist()
        return event_targets(placed, tracks, -(-self.rows // self.stride), self.stride)


def collate_windows(items: list[tuple], layout: str) -> tuple[SkeletonBatch, torch.Tensor, torch.Tensor]:
    """(batch, targets [B, M, K, G, F], texts [B, 1 + limbs, E]); K or E is 0 where there are none."""
    batch, _ = collate_rows([item[:6] for item in items], layout)
    persons = batch.visible.shape[1]
    targets = [np.pad(item[6], ((0, persons - len(item[6])), *[(0, 0)] * 3)) for item in items]
    return batch, torch.from_numpy(np.stack(targets)), torch.from_numpy(np.stack([item[7] for item in items]))


def find_events(clips: list[Clip]) -> list[list[LimbEvent]]:
    """The limb events of each clip; one whose joints do not suffice has none."""
    return [detect_events(clip.skeleton) for clip in tqdm(clips, desc="events")]


def read_texts(path: str, clips: list[Clip]) -> np.ndarray:
    """Embeddings [clips, 1 + limbs, E] by clip name, or by record name for its windows. Raises DataError."""
    try:
        with np.load(Path(path).expanduser(), allow_pickle=False) as file:
            names, embeddings = file["name"].tolist(), file["embedding"].astype(np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"expected name and embedding in data.texts={path}, found none or broken: {error}") from error
    if embeddings.ndim != 3 or embeddings.shape[:2] != (len(names), 1 + len(LIMBS)):
        raise DataError(
            f"expected embedding [{len(names)}, {1 + len(LIMBS)}, E] in {path}, found {list(embeddings.shape)}"
        )
    known = dict(zip(names, embeddings, strict=True))
    nothing = np.full(embeddings.shape[1:], np.nan, np.float32)
    return np.stack([known.get(clip.name, known.get(clip.name.rpartition(":")[0], nothing)) for clip in clips])
