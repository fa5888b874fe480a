"""What a folder of skeletons or a data set holds, and what to look at: `tools/summarize.py`.

Records are read one by one and only a few figures of each are kept. What cannot be read is listed and does not end
the run. `summary/` gets summary.json, sheets of pictures, and clips of the most suspicious records.
"""

import os
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hybrid.config.loading import field
from hybrid.errors import ConfigError
from hybrid.summary.checks import Facts, Reason, measure
from hybrid.summary.inputs import find_inputs
from hybrid.summary.pictures import write_overlays, write_sheets
from skeleton.errors import SkeletonError
from skeleton.jsonl import write_json
from skeleton.layouts.layout import LIMBS, get_layout
from skeleton.record import Skeleton


@dataclass
class SummaryConfig:
    """What tools/summarize.py reads and draws."""

    data: str = field("folder of records, prepared data set, or .jsonl file of samples; may stand alone, without data=")
    videos: str | None = field("folder of the videos; null: as the samples say", None)
    sheets: int = field("pages of pictures, one picture a video; of more videos, evenly spaced ones are drawn", 8)
    overlays: int = field("clips with the skeleton drawn, the most suspicious first", 3)

    def check(self) -> None:
        """Raises ConfigError for values out of range."""
        for key in ("sheets", "overlays"):
            if getattr(self, key) < 0:
                raise ConfigError(
                    f"expected {key} of at least 0, found {getattr(self, key)}; give a number of pages or clips"
                )
        if self.videos is not None and not Path(self.videos).expanduser().is_dir():
            raise ConfigError(f"expected a folder at videos={self.videos}, found none; check the path")


class Totals:
    """Sums over records; a few numbers are kept of each."""

    def __init__(self) -> None:
        self.seconds, self.fps, self.tracks = array("d"), array("d"), array("l")
        self.frames = 0
        self.persons: Counter = Counter()  # number of persons -> rows
        self.dropped: Counter = Counter()
        self.layouts: Counter = Counter()
        self.visible: dict[str, np.ndarray] = {}  # layout -> [V]
        self.present: Counter = Counter()  # layout -> rows of persons
        self.labels: dict[str, Counter] = defaultdict(Counter)
        self.hashes: dict[str, str] = {}
        self.suspicious: list[tuple[str, str, list[Reason]]] = []

    def add(self, record: str, name: str, facts: Facts) -> None:
        """Takes in one record."""
        self.frames += facts.frames
        self.seconds.append(facts.seconds)
        self.tracks.append(facts.tracks)
        if facts.fps is not None:
            self.fps.append(facts.fps)
        self.persons.update({count: int(rows) for count, rows in enumerate(facts.persons) if rows})
        self.dropped.update(facts.dropped)
        self.layouts[facts.layout] += 1
        self.visible[facts.layout] = self.visible.get(facts.layout, 0) + facts.visible
        self.present[facts.layout] += facts.present
        if facts.label is not None:
            self.labels[facts.label]["records"] += 1
        found = list(facts.reasons)
        if facts.sha256 is not None:
            first = self.hashes.setdefault(facts.sha256, name)
            if first != name:
                found.append(Reason("same video", f"the same file as {first}", 1.0))
        if found:
            self.suspicious.append((record, name, found))

    def result(self, samples: dict[str, Any], failures: list[dict]) -> dict[str, Any]:
        """What summary.json says; null where there is nothing to say it of."""
        rows = sum(self.persons.values())
        persons = sum(count * n for count, n in self.persons.items())
        return {
            "records": len(self.seconds),
            "frames": self.frames,
            "hours": sum(self.seconds) / 3600,
            "persons_per_frame": {
                "mean": persons / rows if rows else None,
                "max": max(self.persons, default=None),
                "none": self.persons[0] / rows if rows else None,
            },
            "seconds": _spread(self.seconds),
            "frames_per_second": _spread(self.fps),
            "tracks_per_video": _spread(self.tracks),
            "dropped_persons": dict(sorted(self.dropped.items())),
            "layouts": dict(self.layouts.most_common()),
            "visible": {layout: self._rates(layout) for layout in self.layouts},
            **samples,
            "suspicious": [
                {"record": name, "reasons": [asdict(reason) for reason in found]} for _, name, found in self.ranked()
            ],
            "failures": failures,
        }

    def ranked(self) -> list[tuple[str, str, list[Reason]]]:
        """(record, name, reasons) of the suspicious records, first those whose reasons concern most of them."""
        return sorted(self.suspicious, key=lambda entry: -sum(reason.share for reason in entry[2]))

    def _rates(self, name: str) -> dict[str, dict[str, float | None]]:
        layout, rows = get_layout(name), self.present[name]
        rates = self.visible[name] / rows if rows else [None] * len(layout.joints)
        joints = {
            joint: None if rate is None else float(rate) for joint, rate in zip(layout.joints, rates, strict=True)
        }
        limbs = {
            limb: float(np.mean([joints[joint] for joint in layout.limbs[limb]])) if rows else None for limb in LIMBS
        }
        return {"joints": joints, "limbs": limbs}


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    if not len(values):
        return {"min": None, "median": None, "max": None}
    return {"min": float(min(values)), "median": float(np.median(values)), "max": float(max(values))}


def summarize(config: SummaryConfig) -> tuple[dict[str, Any], Path]:
    """The summary and the folder that it was written to. ConfigError where there is nothing to read."""
    inputs = find_inputs(config.data)
    totals, failures, readable = Totals(), list(inputs.samples.failures), []
    for record in tqdm(inputs.records, desc="records", unit="record"):
        try:
            totals.add(record, inputs.name(record), measure(Skeleton.load(record)))
        except SkeletonError as error:
            failures.append({"file": record, "reason": str(error)})
        else:
            readable.append(record)
    classes = sorted((inputs.samples.classes or totals.labels).items(), key=lambda entry: (-entry[1].total(), entry[0]))
    samples = {
        "tasks": {task: dict(counts) for task, counts in sorted(inputs.samples.tasks.items())},
        "classes": {name: dict(counts) for name, counts in classes},
    }
    suspicious = [record for record, *_ in totals.ranked()]
    marked = set(suspicious)
    ranked = suspicious + [record for record in readable if record not in marked]
    folder = inputs.folder / "summary"
    failures += write_sheets(inputs, readable, marked, config.videos, folder, config.sheets)
    failures += write_overlays(inputs, ranked, config.videos, folder / "overlays", config.overlays)
    for failure in failures:
        failure["file"] = Path(os.path.relpath(failure["file"], inputs.folder)).as_posix()
    summary = totals.result(samples, failures)
    write_json(folder / "summary.json", summary)
    return summary, folder
