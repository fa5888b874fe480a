"""The CSV file of a folder of videos, and the split of its lines.

A line is one question about one video, or one label of it. What is wrong in the file is found before any video is
opened and told with its line. A video, and all videos of one `group` (a subject, a scene), fall on one side; so do
videos that are the same file. Columns that are not ours go into a sample's meta.
"""

import csv
import difflib
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid.data.sample import Answer, Sample
from hybrid.errors import DataError

SPLITS = ("train", "val", "test")
COLUMNS = ("video", "label", "question", "answer", "options", "start", "end", "task", "split", "group", "person")


@dataclass(frozen=True)
class Entry:
    """One line of the file. Either `label`, or `question` with its answer (the text, also where there are options)."""

    line: int
    video: str  # relative to the videos' folder, with /
    label: str | None
    question: str | None
    answer: Answer
    options: tuple[str, ...] | None
    start: float
    end: float | None  # None: the video's end
    task: str
    split: str | None
    group: str | None
    person: int | None
    meta: dict[str, str]

    @property
    def stratum(self) -> str:
        """What the splits share out evenly."""
        return self.label if self.label is not None else self.task


def read_labels(path: str | Path) -> list[Entry]:
    """The lines of a CSV file, in its order. Raises DataError naming file:line, column and value."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"expected a CSV file at labels={path}, found none; check the path")
    entries = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True, skipinitialspace=True)
        try:
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            _check_columns(path, reader.fieldnames)
            for row in reader:
                try:
                    entries.append(_entry(reader.line_num, row))
                except DataError as error:
                    raise DataError(f"{path}:{reader.line_num}: {error}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"expected UTF-8 text in {path}, found {error.reason}; save it as UTF-8") from error
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: expected CSV, found {error}; mend that line") from error
    if not entries:
        raise DataError(f"expected lines below the header of {path}, found none; name the videos there")
    _check_whole(path, entries)
    return entries


def read_classes(path: str | Path) -> tuple[dict[str, int], list[str]]:
    """{video without suffix: number of its label} and the labels by number. DataError for a video with two labels."""
    chosen: dict[str, str] = {}
    for entry in read_labels(path):
        name = Path(entry.video).with_suffix("").as_posix()
        if entry.label is not None and chosen.setdefault(name, entry.label) != entry.label:
            raise DataError(
                f"{path}:{entry.line}: expected one label of {entry.video}, found {entry.label!r} beside "
                f"{chosen[name]!r}; choose one of them"
            )
    labels = sorted(set(chosen.values()))
    return {name: labels.index(label) for name, label in chosen.items()}, labels


def assign_splits(
    entries: Sequence[Entry], val: float, test: float, seed: int, hashes: Mapping[str, str] | None = None
) -> dict[str, str]:
    """{video: split}: the file's own, else drawn. Equal `hashes` (by video) are the same file, never parted.

    Drawn: the largest groups first, each to the split that lacks most of its labels among those with room for half of
    it. So the shares hold over all labels together also where each label has few videos.
    """
    if entries[0].split is not None:
        return {entry.video: entry.split for entry in entries}
    parts = _tied(entries, hashes or {})
    held: dict[str, Counter] = defaultdict(Counter)
    for entry in entries:
        held[parts[entry.video]][entry.stratum] += 1
    names = sorted(held)
    drawn = [names[i] for i in np.random.default_rng((seed, 2)).permutation(len(names))]
    total = Counter(entry.stratum for entry in entries)
    shares = {"train": 1 - val - test, "val": val, "test": test}
    room = {split: {label: share * count for label, count in total.items()} for split, share in shares.items()}
    chosen = {}
    for name in sorted(drawn, key=lambda name: -held[name].total()):
        left = {split: round(sum(room[split].values()), 9) for split in SPLITS}
        lacking = {
            split: round(sum(count * room[split][label] / total[label] for label, count in held[name].items()), 9)
            for split in SPLITS
        }
        fitting = [split for split in SPLITS if left[split] >= held[name].total() / 2]
        order = {split: (lacking[split], left[split] / (shares[split] or 1)) for split in fitting}
        chosen[name] = max(order, key=order.get) if order else max(SPLITS, key=left.get)
        for label, count in held[name].items():
            room[chosen[name]][label] -= count
    return {entry.video: chosen[parts[entry.video]] for entry in entries}


def _tied(entries: Iterable[Entry], hashes: Mapping[str, str]) -> dict[str, str]:
    """{video: name of its part}: videos of a group, and videos that are the same file, are in one part."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for entry in entries:
        video = f"video {entry.video}"
        ties = [f"group {entry.group}"] if entry.group is not None else []
        ties += [f"file {hashes[entry.video]}"] if entry.video in hashes else []
        for tie in (video, *ties):
            first, second = sorted((root(video), root(tie)))
            parent[second] = first
    return {entry.video: root(f"video {entry.video}") for entry in entries}


def _check_columns(path: Path, names: Sequence[str]) -> None:
    if not names:
        raise DataError(f"expected a header in {path}, found an empty file; begin with: video,label")
    found = ", ".join(map(repr, names))
    if len(set(names)) != len(names) or not all(names):
        raise DataError(f"{path}:1: expected columns with different names, found {found}; rename them")
    for name in names:
        near = difflib.get_close_matches(name.lower(), [own for own in COLUMNS if own not in names], 1, 0.8)
        if name not in COLUMNS and near:
            raise DataError(f"{path}:1: unknown column {name!r}; did you mean {near[0]!r}?")
    if "video" not in names:
        raise DataError(f"{path}:1: expected a column video and commas between columns, found {found}; add it")
    if "label" not in names and "question" not in names:
        raise DataError(f"{path}:1: expected a column label, or question and answer, found {found}; add one")
    if "question" in names and "answer" not in names:
        raise DataError(f"{path}:1: expected a column answer beside question, found {found}; add it")


def _check_whole(path: Path, entries: Sequence[Entry]) -> None:
    """Every line has a split or none has; no video and no group is in two; every video has a record of its own."""
    seen: dict[tuple[str, str], Entry] = {}
    records: dict[str, str] = {}
    for entry in entries:
        other = records.setdefault(os.path.splitext(entry.video)[0], entry.video)
        if other != entry.video:
            raise DataError(
                f"{path}:{entry.line}: expected names that differ without their suffix, found {entry.video} beside "
                f"{other}; rename one of them"
            )
        if (entry.split is None) != (entries[0].split is None):
            empty = entry if entry.split is None else entries[0]
            raise DataError(
                f"{path}:{empty.line}: expected a split in every line or in none, found none here; fill it in"
            )
        for kind, name in (("video", entry.video), ("group", entry.group)):
            first = seen.setdefault((kind, name), entry)
            if name is not None and first.split != entry.split:
                raise DataError(
                    f"{path}:{entry.line}: expected {kind} {name!r} in one split, found {entry.split} here and "
                    f"{first.split} in line {first.line}; choose one of them"
                )


def _entry(line: int, row: dict) -> Entry:
    if None in row:
        raise DataError(
            f"expected {len(row) - 1} cells, found more ({row[None][0]!r}); put a text with commas in quotes"
        )
    cells = {name: (cell or "").strip() or None for name, cell in row.items()}
    own = {name: cells.get(name) for name in COLUMNS}
    video = _path(own["video"])
    if own["question"] is None and own["label"] is None:
        raise DataError("expected a label or a question, found neither; fill one in")
    if own["question"] is None and (own["answer"] or own["options"]):
        raise DataError("expected a question to the answer, found none; fill it in")
    options = tuple(text.strip() for text in own["options"].split("|")) if own["options"] else None
    split, person = own["split"], own["person"]
    if split is not None and split not in SPLITS:
        raise DataError(f"split: expected one of {', '.join(SPLITS)}, found {split!r}; rename it")
    if person is not None and not person.isdecimal():
        raise DataError(f"person: expected a track id, found {person!r}; mend it")
    start, end = _seconds("start", own["start"]), _seconds("end", own["end"])
    entry = Entry(
        line, video, own["label"], own["question"],
        _answer(own["answer"], options) if own["question"] else None, options, start or 0.0, end,
        own["task"] or "action", split, own["group"], None if person is None else int(person),
        {name: cell for name, cell in cells.items() if name not in COLUMNS and cell is not None},
    )  # fmt: skip
    end = entry.start + 1e9 if end is None else end  # the video's end is not known yet
    Sample(  # finds now what would be wrong after hours of extraction
        id=video, question=entry.question or video, task=entry.task, video=video, start=entry.start, end=end, options=options,
        answer=options.index(entry.answer) if options else entry.answer,
    )  # fmt: skip
    return entry


def _path(text: str | None) -> str:
    if text is None:
        raise DataError("video: expected a path, found nothing; name the file")
    path = os.path.normpath(text)
    if os.path.isabs(path) or path.split(os.sep)[0] in ("..", "."):
        raise DataError(f"video: expected a path below videos=, found {text!r}; give it relative to that folder")
    return Path(path).as_posix()


def _seconds(column: str, text: str | None) -> float | None:
    try:
        value = None if text is None else float(text)
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise DataError(f"{column}: expected seconds, found {text!r}; give a number like 2.5")
    return value


def _answer(text: str | None, options: tuple[str, ...] | None) -> Answer:
    """The text of an answer, or two seconds from "[start, end]"."""
    if text is None:
        raise DataError("answer: expected an answer to the question, found none; fill it in")
    if options is not None:
        if text not in options:
            raise DataError(
                f"answer: expected one of the options {' | '.join(options)}, found {text!r}; write it alike"
            )
    elif text.startswith("["):
        try:
            return tuple(json.loads(text))
        except json.JSONDecodeError as error:
            raise DataError(f"answer: expected [start, end] in seconds, found {text!r}; mend it") from error
    return text
