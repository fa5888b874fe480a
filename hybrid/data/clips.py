"""Clips behind samples: what is read from disk, and the rows that training and testing make of them.

Frames are decoded once into a cache folder (one .npy a clip) where data.cache is set. Skeletons are put on the
clip's own clock at data.pose_fps, denser than the frames. A missing file is an error, never an empty input.
"""

import hashlib
import os
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from fusion.batch import Branch, Row
from hybrid.config.instruction import DataConfig
from hybrid.data.sample import Sample
from hybrid.errors import DataError
from skeleton.events.limb_event import LimbEvent
from skeleton.inputs.resampling import resample
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
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


def name_in(names: Container[str], skeleton: str) -> str | None:
    """The longest end of a record's path, without .npz, that is among `names`: a/walk before walk. None where none is."""
    parts = Path(skeleton).with_suffix("").parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in names), None)


class ClipReader:
    """Reads the frames and the skeleton of a clip as the configuration wants them."""

    def __init__(self, data: DataConfig, layout: str):
        self.data = data
        self.layout = get_layout(layout)
        self.events: dict[str, list[LimbEvent]] = {}  # by the end of the record's path (`name_in`), where they are used
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
                "convert it with skeleton.layouts.conversion.convert or set encoder.layout"
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
        name = name_in(self.events, clip.skeleton) if clip.skeleton else None
        if name is None:
            return None
        events = self.events[name]
        inside = [event for event in events if event.start < clip.end and event.end > clip.start]
        return tuple(replace(e, start=e.start - clip.start, end=e.end - clip.start) for e in inside)

    def check_events(self, clips: Iterable[Clip]) -> None:
        """Raises DataError where two records would share the events of one."""
        owners: dict[str, str] = {}
        for skeleton in sorted({clip.skeleton for clip in clips if clip.skeleton}):
            name = name_in(self.events, skeleton)
            if name is not None and owners.setdefault(name, skeleton) != skeleton:
                raise DataError(
                    f"expected one record called {name!r} in data.events, found {owners[name]} and {skeleton}: make the "
                    "events again from the folder that holds both, with tools/prepare.py events"
                )

    def row(self, clip: Clip, branches: tuple[Branch, ...], pose_of: Clip | None = None) -> Row:
        """The clip with these questions, both modalities and all that is known; `pose_of`: with that clip's body."""
        body = pose_of or clip
        frames = self.frames(clip) if self.data.frames else None
        skeleton, events = self.skeleton(body, clip.seconds), self.known_events(body)
        looks = None if events is None else {s.person: s.meta["look"] for s in body.samples if "look" in s.meta}
        return Row(frames, skeleton, clip.seconds, branches, events, looks)
