"""A folder of videos and a CSV file, made into a data set: `tools/prepare.py folder`.

Videos stay where they are; samples name them relative to the data set. Only videos that the file names are
extracted. What cannot be used (a line without its video, a video without a record) is left out of the samples,
listed in failures.jsonl, and does not end the run. The same folder and file give the same bytes, and a second run
extracts only what is missing.

A label becomes a choice question. The right option stands in every place equally often, label by label, so that
neither a place nor a place given a label tells anything; the other options are drawn by the sample's id.
"""

import os
import shutil
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.config.datasets import FolderConfig
from hybrid.data.sample import Sample, clipped, write_samples
from hybrid.datasets.label_csv import SPLITS, Entry, assign_splits, read_labels
from hybrid.errors import ConfigError, DataError
from skeleton.errors import SkeletonError
from skeleton.files import sha256
from skeleton.jsonl import read_jsonl, write_json, write_jsonl
from skeleton.record import Skeleton
from skeleton.video import SUFFIXES, probe

VERSION = 1


@dataclass(frozen=True)
class Outcome:
    """What info.json says, and the lines left out: {"line", "video", "reason"}."""

    info: dict[str, Any]
    failures: list[dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """An entry that can be asked: its id, split, and the end of its clip in seconds."""

    id: str
    entry: Entry
    split: str
    end: float


def prepare_folder(config: FolderConfig) -> Outcome:
    """Extract, index, split and write; info.json is written last and marks a whole set.

    Raises ConfigError or DataError for a folder or file that cannot be used, and for one that leaves no sample.
    """
    videos, output = Path(config.videos).expanduser(), Path(config.output).expanduser()
    if not videos.is_dir():
        raise ConfigError(f"expected a folder at videos={config.videos}, found none; check the path")
    entries, found = read_labels(config.labels), find_videos(videos, output)
    reasons = {entry.video: _absent(videos, entry.video) for entry in entries if entry.video not in found}
    present = [entry for entry in entries if entry.video not in reasons]
    if not present:
        raise DataError(
            f"expected the videos of {config.labels} in {videos}, found none of {len(reasons)}, the first of them "
            f"{entries[0].video}; check videos= or the column video"
        )
    labels = sorted({entry.label for entry in present if entry.question is None})
    if len(labels) == 1:
        raise DataError(
            f"expected two labels or more in {config.labels}, found only {labels[0]!r}; ask a question instead"
        )
    named = {entry.video for entry in present}
    hashes = {video: sha256(videos / video) for video in sorted(named)}
    splits = assign_splits(present, config.val, config.test, config.seed, hashes)
    reasons |= extract(config, named, found)
    asked, failures = _checked(entries, splits, reasons, videos, output / "skeletons")
    if not asked:
        raise DataError(f"expected at least one line that can be used, found none; the first: {failures[0]['reason']}")
    samples = make_samples(config, asked, labels, videos, output / "skeletons")
    left_out = {"lines": len(failures), "videos_not_named": len(found - named)}
    outcome = Outcome(_info(config, asked, samples, left_out, hashes), failures)
    _write(output, samples, outcome)
    return outcome


def _write(output: Path, samples: Mapping[str, Sequence[Sample]], outcome: Outcome) -> None:
    """A split without samples has no file."""
    (output / "info.json").unlink(missing_ok=True)
    for split in SPLITS:
        if samples[split]:
            write_samples(output / f"{split}.jsonl", samples[split])
        else:
            (output / f"{split}.jsonl").unlink(missing_ok=True)
    if outcome.failures:
        write_jsonl(output / "failures.jsonl", outcome.failures)
    else:
        (output / "failures.jsonl").unlink(missing_ok=True)
    write_json(output / "info.json", outcome.info)


def find_videos(folder: Path, output: Path) -> set[str]:
    """The videos below a folder, relative to it, with /; those of the data set itself and drawn ones do not count."""
    inside = output.resolve()
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and not path.name.endswith(".overlay.mp4")
        and not path.resolve().is_relative_to(inside)
    }


def extract(config: FolderConfig, named: set[str], found: set[str]) -> dict[str, str]:
    """Records of the named videos in output/skeletons; {video: reason} of those that were set aside."""
    from hybrid.runs.extraction import extract_videos

    videos, output = Path(config.videos).expanduser(), Path(config.output).expanduser()
    place = videos
    if named != found:  # extraction takes whole folders
        place = output / ".videos"
        shutil.rmtree(place, ignore_errors=True)
        for video in sorted(named):
            (place / video).parent.mkdir(parents=True, exist_ok=True)
            (place / video).symlink_to((videos / video).resolve())
    try:
        summary = extract_videos(config.extraction(place))
    finally:
        if place != videos:
            shutil.rmtree(place, ignore_errors=True)
    (output / "skeletons" / "failures.jsonl").unlink(missing_ok=True)  # told in output/failures.jsonl
    return {
        Path(line["video"]).relative_to(place).as_posix(): line["reason"].replace(str(place), str(videos))
        for line in summary.failures
    }


def make_samples(
    config: FolderConfig, asked: Sequence[Asked], labels: Sequence[str], videos: Path, skeletons: Path
) -> dict[str, list[Sample]]:
    """The samples of each split, in the order of the file. labels: all labels of the file, sorted."""
    options = {item.id: _options(config, item, labels) for item in asked}
    moved = [item for item in asked if options[item.id] and (config.shuffle or item.entry.question is None)]
    places = _places(moved, options)
    samples: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for item in asked:
        entry, choices = item.entry, options[item.id]
        answer: Any = entry.answer
        if choices:
            right = entry.answer if entry.question else entry.label
            if item.id in places:
                choices = [text for text in choices if text != right]
                choices.insert(places[item.id], right)
            answer = choices.index(right)
        own = {"label": entry.label, "group": entry.group}
        samples[item.split].append(
            Sample(
                id=item.id, task=entry.task, question=entry.question or config.question, start=entry.start, end=item.end,
                video=str(videos / entry.video), skeleton=str(_record(skeletons, entry.video)), person=entry.person,
                options=tuple(choices) or None, answer=answer,
                meta={key: value for key, value in own.items() if value is not None} | entry.meta,
            )
        )  # fmt: skip
    return samples


def _options(config: FolderConfig, item: Asked, labels: Sequence[str]) -> list[str]:
    if item.entry.question is not None:
        return list(item.entry.options or ())
    others = [label for label in labels if label != item.entry.label]
    rng = np.random.default_rng((config.seed, zlib.crc32(item.id.encode())))
    return [item.entry.label, *(others[i] for i in rng.permutation(len(others))[: config.max_options - 1])]


def _places(asked: Sequence[Asked], options: Mapping[str, list[str]]) -> dict[str, int]:
    """{id: place of the right option}: equally often each, within a split, task and number of options."""
    groups: dict[tuple, list[tuple]] = defaultdict(list)
    for item in asked:
        right = item.entry.answer if item.entry.question else item.entry.label
        key = (item.split, item.entry.task, len(options[item.id]))
        groups[key].append((right, zlib.crc32(item.id.encode()), item.id))
    return {
        identity: number % key[2]
        for key, members in groups.items()
        for number, (*_, identity) in enumerate(sorted(members))
    }


def _checked(
    entries: Sequence[Entry], splits: Mapping[str, str], reasons: Mapping[str, str], videos: Path, skeletons: Path
) -> tuple[list[Asked], list[dict[str, Any]]]:
    """The entries that can be asked, and the lines that are left out."""
    index = {line["record"]: line for line in read_jsonl(skeletons / "index.jsonl")}
    numbers: Counter = Counter()
    asked, failures = [], []
    for entry in entries:
        record = _record(skeletons, entry.video)
        identity = f"{Path(entry.video).with_suffix('').as_posix()}_{numbers[entry.video]:02d}"
        numbers[entry.video] += 1  # lines left out count too: a video that is mended later renames nothing
        try:
            if entry.video in reasons:
                raise DataError(reasons[entry.video])
            line = index.get(record.relative_to(skeletons).as_posix())
            if line is None:
                raise DataError(f"expected a record at {record}, found none; run this again")
            if entry.person is not None:
                _check_person(entry.person, Skeleton.load(record))
            end = _end(entry, line, videos / entry.video)
            if isinstance(entry.answer, tuple):
                clipped(entry.answer, entry.start, end)
        except (DataError, SkeletonError) as error:
            failures.append({"line": entry.line, "video": entry.video, "reason": str(error)})
        else:
            asked.append(Asked(identity, entry, splits[entry.video], end))
    return asked, failures


def _end(entry: Entry, line: Mapping[str, Any], video: Path) -> float:
    """Where the clip ends. A record knows when its last frame begins; that frame lasts as long as the others."""
    rows = line["frames"]
    length = line["seconds"] * rows / (rows - 1) if rows > 1 else probe(video).duration
    end = length if entry.end is None else entry.end
    if entry.start >= length or end > length + 0.5:
        raise DataError(
            f"expected start and end within the {length:.2f} s of {entry.video}, found {entry.start:g} to {end:g}; mend them"
        )
    return round(end, 3)


def _check_person(person: int, skeleton: Skeleton) -> None:
    if person not in skeleton.track_ids:
        raise DataError(
            f"expected a track id of the record ({', '.join(map(str, skeleton.track_ids.tolist())) or 'it has nobody'}), "
            f"found person {person}; look at the overlay and mend it"
        )


def _record(skeletons: Path, video: str) -> Path:
    return (skeletons / video).with_suffix(".npz")


def _absent(videos: Path, video: str) -> str:
    path = videos / video
    if path.is_file():
        return f"expected a video ({' '.join(SUFFIXES)}) with an ordinary name, found {video}; convert or rename it"
    return f"expected a video at {path}, found none; check the column video"


def _info(
    config: FolderConfig,
    asked: Sequence[Asked],
    samples: Mapping[str, Sequence[Sample]],
    left_out: dict[str, int],
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    settings = asdict(config)
    for key in ("output", "overwrite", "device"):
        del settings[key]
    videos, output = Path(config.videos).expanduser(), Path(config.output).expanduser()
    settings |= {"videos": Path(os.path.relpath(videos, output)).as_posix(), "labels": Path(config.labels).name}
    for network in ("detector", "estimator"):
        settings[network]["checkpoint"] = Path(settings[network]["checkpoint"]).name
    classes: dict[str, Counter] = defaultdict(Counter)
    sides: dict[str, set[str]] = defaultdict(set)
    for item in asked:
        sides[hashes[item.entry.video]].add(item.split)
        if item.entry.label is not None:
            classes[item.entry.label][item.split] += 1
    return {
        "name": "folder",
        "version": VERSION,
        "settings": settings,
        "splits": {
            split: {
                "videos": len({sample.video for sample in samples[split]}),
                "questions": len(samples[split]),
                "tasks": dict(sorted(Counter(sample.task for sample in samples[split]).items())),
            }
            for split in SPLITS
        },
        "labels": {label: {split: counts[split] for split in SPLITS} for label, counts in sorted(classes.items())},
        "left_out": left_out,
        "files_in_two_splits": sum(len(splits) > 1 for splits in sides.values()),
    }


def told(outcome: Outcome, config: FolderConfig) -> list[str]:
    """How many questions each split has, what was left out, and where the reasons are."""
    lines = []
    for split, figures in outcome.info["splits"].items():
        tasks = ", ".join(f"{task} {count}" for task, count in figures["tasks"].items()) or "no file"
        lines.append(f"{split}: {figures['questions']} questions about {figures['videos']} videos ({tasks})")
    left, twice = outcome.info["left_out"], outcome.info["files_in_two_splits"]
    lines.append(
        f"{left['lines']} lines left out, {left['videos_not_named']} videos not named, {twice} files in two splits"
    )
    return [*lines, *([f"reasons in {Path(config.output) / 'failures.jsonl'}"] if outcome.failures else [])]
