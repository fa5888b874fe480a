"""What `tools/summarize.py` reads: which records and samples a place holds, and which video a record shows."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hybrid.data.sample import Sample, from_json
from hybrid.datasets.label_csv import SPLITS
from hybrid.errors import ConfigError, DataError
from skeleton.jsonl import numbered_jsonl
from skeleton.record import Skeleton
from skeleton.video import SUFFIXES


@dataclass
class SampleFigures:
    """Counts over sample files. classes: {class: {file: n}}; videos: {record: its video}, absolute paths."""

    tasks: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    classes: dict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    videos: dict[str, str | None] = field(default_factory=dict)
    failures: list[dict] = field(default_factory=list)


@dataclass(frozen=True)
class Inputs:
    """folder: where summary/ goes; root: what names of records are relative to; records: absolute paths."""

    folder: Path
    root: Path
    records: tuple[str, ...]
    samples: SampleFigures

    def name(self, record: str) -> str:
        """A record's name for people: its path below the root, without .npz."""
        path = Path(record)
        path = path.relative_to(self.root) if path.is_relative_to(self.root) else Path(path.name)
        return path.with_suffix("").as_posix()

    def video(self, record: str, skeleton: Skeleton, videos: str | None) -> Path | None:
        """The file that a record was made from, below `videos` or as the samples say; None where there is none."""
        inner, own = Path(self.name(record)), str(skeleton.source.get("video") or "")
        names = [inner.parent / own, Path(own)] if own else []
        names += [inner.with_name(inner.name + suffix) for suffix in SUFFIXES]
        paths = [Path(videos).expanduser() / name for name in names] if videos is not None else []
        paths.append(Path(self.samples.videos.get(record) or ""))
        return next((path for path in paths if path.is_file()), None)


def find_inputs(place: str) -> Inputs:
    """Records of a folder, of the `skeletons` folder of a data set, or of a .jsonl file.

    Samples come from the .jsonl files there, else from those of the folder above that ask about these records.
    Raises ConfigError for a place that holds neither records nor samples.
    """
    path = Path(os.path.abspath(Path(place).expanduser()))
    if path.is_file() and path.suffix == ".jsonl":
        samples = read_sample_files([path])
        return Inputs(path.parent, path.parent, tuple(samples.videos), samples)
    if not path.is_dir():
        raise ConfigError(f"expected a folder or a .jsonl file at {place}, found none; check the path")
    root = path / "skeletons" if (path / "skeletons").is_dir() else path
    records = tuple(str(file) for file in sorted(root.rglob("*.npz")) if not file.name.startswith("."))
    files = _sample_files(path)
    samples = read_sample_files(files) if files else read_sample_files(_sample_files(path.parent), set(records))
    records = records or tuple(samples.videos)
    if not records:
        raise ConfigError(
            f"expected skeleton records (.npz) or samples (.jsonl) in {place}, found none; check the path"
        )
    known = set(records)
    for record in samples.videos:
        if record not in known and not Path(record).is_file():
            samples.failures.append(
                {"file": record, "reason": "expected the record that samples name, found none; extract it"}
            )
    return Inputs(path, root, records, samples)


def read_sample_files(files: Sequence[Path], only: set[str] | None = None) -> SampleFigures:
    """Counts line by line, of those samples whose record is in `only`; bad lines are listed, the first of each file."""
    figures = SampleFigures()
    for file in files:
        bad = []
        try:
            for number, line in numbered_jsonl(file):
                try:
                    sample = from_json(line, file.parent)
                except DataError as error:
                    bad.append(f"line {number}: {error}")
                    continue
                if only is None or sample.skeleton in only:
                    _count(figures, sample, file.stem)
        except DataError as error:
            bad.append(str(error))
        if bad:
            more = f" ({len(bad)} bad lines)" if len(bad) > 1 else ""
            figures.failures.append({"file": str(file), "reason": bad[0] + more})
    return figures


def _count(figures: SampleFigures, sample: Sample, file: str) -> None:
    figures.tasks[sample.task][file] += 1
    label = sample.meta.get("label")
    if label is None and sample.kind in ("choice", "count"):
        label = sample.answer_text
    if label is not None:
        figures.classes[str(label)][file] += 1
    if sample.skeleton is not None:
        figures.videos[sample.skeleton] = sample.video or figures.videos.get(sample.skeleton)


def _sample_files(folder: Path) -> list[Path]:
    """The .jsonl files of a folder whose first line looks like a sample; indices and lists of failures do not."""
    found = []
    for file in sorted(folder.glob("*.jsonl")):
        try:
            _, first = next(numbered_jsonl(file), (0, None))
        except DataError:
            continue
        if isinstance(first, dict) and "question" in first and "id" in first:
            found.append(file)
    return sorted(found, key=lambda file: (SPLITS.index(file.stem) if file.stem in SPLITS else len(SPLITS), file.stem))
