"""Skeleton files of other programs made into a folder of records, and a folder of records into pyskl's pickle.

An import goes on where it was stopped: a clip is done when its record is there. A clip that cannot be read is set
aside in failures.jsonl and ends nothing. Class labels and splits of a file are kept in each record's source, where
the export finds them again.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from hybrid.config.loading import field
from hybrid.data.video_jobs import write_index
from hybrid.errors import ConfigError, DataError
from skeleton.errors import SkeletonError
from skeleton.formats import FORMATS, Clip, clips, write_pyskl
from skeleton.jsonl import write_json, write_jsonl
from skeleton.layouts.layout import LAYOUTS
from skeleton.record import Skeleton

_NOTHING = (None, [])


@dataclass
class ImportConfig:
    """What `tools/prepare.py import` reads, and where the records go."""

    input: str = field("file of the format, or a folder that is searched to the bottom")
    format: str = field("what the files are", choices=list(FORMATS))
    output: str = field("folder of the records; made when it is missing")
    fps: float | None = field("frames a second; null: the format's own (ntu 30, humanml3d 20, bvh its own)", None)
    layout: str | None = field("joint layout; null: by the file's joint names or number of joints", None)
    frame_size: list[int] = field("[height, width] in pixels, where the files do not say; needed for openpose", [])
    confidence_threshold: float | None = field("a joint is visible from here on; null: 0.3", None)
    first_frame: int | None = field("number of the first frame; null: 0, for a coco list its first number", None)
    frames: int | None = field("frames of each clip; null: up to the last that has persons", None)
    space: str | None = field("ntu only: camera (metres) or colour (pixels); null: camera", None)
    metres_per_unit: float | None = field("bvh only: metres of one unit of the file; null: guessed from the legs", None)

    def check(self) -> None:
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise ConfigError(f"expected fps above 0, found {self.fps}: give the frame rate of the videos")
        if self.frame_size and (len(self.frame_size) != 2 or min(self.frame_size) < 1):
            raise ConfigError(f"expected frame_size=[height, width] in pixels, found {self.frame_size}: mend it")
        if self.layout is not None and self.layout not in LAYOUTS:
            raise ConfigError(f"expected a layout among {', '.join(LAYOUTS)}, found {self.layout}: choose one")

    @property
    def options(self) -> dict:
        """The options of the reader that were given."""
        given = {key: value for key, value in asdict(self).items() if value not in _NOTHING}
        return {key: value for key, value in given.items() if key not in ("input", "format", "output")}


def import_skeletons(config: ImportConfig, on_clip: Callable[[int, int], object] = lambda done, total: None) -> int:
    """Writes one record for each clip into output, and index.jsonl; returns how many were written now.

    `on_clip(done, total)` is called after each clip. Raises ConfigError where output holds records of other
    settings, FormatError where input or options are unusable as a whole, and, at the end, DataError if clips were
    set aside.
    """
    output = Path(config.output).expanduser()
    listed = clips(config.input, config.format, **config.options)
    records = _records(output, [name for name, _ in listed])
    _claim(output, config)
    written, failures = 0, []
    for done, (record, (name, load)) in enumerate(zip(records, listed, strict=True), 1):
        if not record.is_file():
            try:
                _with_class(load()).save(record)
                written += 1
            except SkeletonError as error:
                failures.append({"clip": name, "reason": str(error)})
        on_clip(done, len(listed))
    write_index(output)
    path = output / "failures.jsonl"
    path.unlink(missing_ok=True)
    if failures:
        write_jsonl(path, failures)
        raise DataError(
            f"expected every clip of {config.input} to be readable, found {len(failures)} of {len(listed)} that are not "
            f"(first: {failures[0]['reason']}); the others are in {output}, all reasons in {path}"
        )
    return written


def _records(output: Path, names: list[str]) -> list[Path]:
    """Where each clip goes: below output, whatever its name; DataError where two would go to one place."""
    taken: dict[Path, str] = {}
    for name in names:
        parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
        record = output.joinpath(*parts[:-1], f"{parts[-1] if parts else 'clip'}.npz")
        if record in taken:
            raise DataError(f"clips {taken[record]!r} and {name!r} would both write {record}: rename one of them")
        taken[record] = name
    return list(taken)


def _claim(output: Path, config: ImportConfig) -> None:
    """Writes import.json, or compares it: a folder holds what one import made."""
    path = output / "import.json"
    settings = {"input": Path(config.input).name, "format": config.format, **config.options}
    if not path.is_file():
        if any(output.rglob("*.npz")):
            raise ConfigError(f"expected {output} to hold nothing or an import, found records: choose another output")
        write_json(path, settings)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"expected JSON in {path}, found {error}: remove the folder and import again") from error
    if found != settings:
        raise ConfigError(f"expected {output} to hold an import of {settings}, found {found}: choose another output")


def _with_class(clip: Clip) -> Skeleton:
    known = {"label": clip.label, "splits": list(clip.splits), "clip": clip.name}
    extra = {key: value for key, value in known.items() if value not in _NOTHING}
    return replace(clip.skeleton, source={**clip.skeleton.source, **extra})


def export_pyskl(folder: str | Path, output: str | Path, labels: Mapping[str, int] | None = None) -> int:
    """Writes the records below `folder` as one pickle of pyskl and mmaction2; returns how many there were.

    labels: class numbers by clip name, before those that an import has kept. A clip's name is the one that an
    import has kept, else the record's path below the folder. Raises DataError where there are no records or labels
    are of other clips, RecordError for a damaged record.
    """
    folder, labels = Path(folder).expanduser(), dict(labels or {})
    records = sorted(path for path in folder.rglob("*.npz") if not path.name.startswith("."))
    if not records:
        raise DataError(f"expected records (.npz) in {folder}, found none: extract or import them first")
    unused = set(labels)

    def exported() -> Iterator[Clip]:
        for path in records:
            skeleton = Skeleton.load(path)
            name = skeleton.source.get("clip", path.relative_to(folder).with_suffix("").as_posix())
            unused.discard(name)
            label = labels.get(name, skeleton.source.get("label"))
            yield Clip(name, skeleton, label, tuple(skeleton.source.get("splits", ())))
        if unused:
            shown = ", ".join(sorted(unused)[:3])
            raise DataError(f"expected labels of clips in {folder}, found some of others ({shown}): correct the names")

    return write_pyskl(output, exported())
