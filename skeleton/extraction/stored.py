"""Persons from files that OpenPose, AlphaPose or a COCO-style tool wrote, in place of networks.

The video is still read: its clock, its size and the number of its frames are the record's. Linking, dropping and smoothing are
the same as for our own networks.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from skeleton.errors import ExtractionError
from skeleton.extraction.persons import Persons
from skeleton.extraction.streaming import Frame, Stages
from skeleton.formats import FRAMES
from skeleton.formats.frames import StoredFrames


class Stored:
    """A PersonSource over the file, or OpenPose's folder, of one video; frame n of the video is frame n of the file."""

    def __init__(self, path: Path, format: str, first_frame: int = 0):
        """FormatError for a file that is not of the format; ExtractionError for one with several clips."""
        if format not in FRAMES:
            raise ExtractionError(f"stored.format must be one of {', '.join(FRAMES)}, found {format!r}; choose one")
        frames = FRAMES[format](path, first_frame=first_frame)
        if not isinstance(frames, StoredFrames):
            if len(frames) != 1:
                raise ExtractionError(f"{path} must hold one clip, found {len(frames)}; split it by video")
            frames = next(iter(frames.values()))
        self._path, self._persons, self.layout = path, frames.persons, frames.layout
        self.stages = Stages()

    def persons(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Persons]]:
        """Yields each frame with its persons; ExtractionError where the file has more frames than the video."""
        shown = 0
        for frame in frames:
            shown += 1
            there = frame.number < len(self._persons)
            yield frame, self._persons[frame.number] if there else self._persons[-1][:0]
        if shown < len(self._persons):
            raise ExtractionError(
                f"{self._path} must be of this video, found {len(self._persons)} frames in it and {shown} in the video; "
                "give the file that was made from it"
            )


def stored_file(folder: Path, name: Path) -> Path:
    """Where the persons of the video `name` (relative to the videos' folder) lie: NAME, NAME.json; ExtractionError if not."""
    for place in (folder / name.with_suffix(""), folder / name.with_suffix(".json"), folder / f"{name}.json"):
        if place.exists():
            return place
    raise ExtractionError(
        f"expected the persons of {name} at {folder / name.with_suffix('')} or with .json, found neither; check stored.path"
    )
