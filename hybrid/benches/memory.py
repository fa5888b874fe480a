"""Peak memory against the length of a video: the same frames over and over, each length in a process of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hybrid.benches.runs import alone, ours, require_files
from hybrid.config.loading import field
from hybrid.errors import ConfigError
from skeleton.extraction.pipeline import Settings
from skeleton.video import read_frames, write_video


@dataclass
class MemoryBench:
    """What `tools/bench.py memory` measures."""

    video: str = field("the video that is repeated")
    weights: str = field("folder with onnx/ as in ../shared/data/weights")
    output: str = field("file for the figures")
    frames: list[int] = field("lengths in frames", [500, 10_000])

    def check(self) -> None:
        if len(self.frames) < 2 or min(self.frames) < 1:
            raise ConfigError(f"frames must be two lengths or more, found {self.frames}; give counts")


def measure(config: MemoryBench) -> dict[str, Any]:
    """Peak megabytes at each length, and the last over the first."""
    require_files(config.video, config.weights)
    peaks = {}
    with TemporaryDirectory() as folder:
        for frames in config.frames:
            video = Path(folder) / f"{frames}.mp4"
            write_video(video, repeated(config.video, frames), fps=25)
            peaks[frames] = alone(ours, str(video), config.weights, "onnx", Settings(every=4, rate=24))[
                "peak_memory_mb"
            ]
    return {"growth": peaks[config.frames[-1]] / peaks[config.frames[0]], "peak_memory_mb": peaks}


def repeated(video: str, frames: int) -> Iterator[np.ndarray]:
    """The pictures of a video from its beginning again and again, `frames` in all."""
    left = frames
    while True:
        for _, image in read_frames(video):
            if not left:
                return
            left -= 1
            yield image
