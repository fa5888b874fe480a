"""Recognition runs side by side, each against a reference run on the same clips.

Nothing is run: the predictions of finished runs are compared. The p-value is McNemar's exact one (two-sided): among clips
that only one of two runs gets right, how likely is a split as uneven as this if both were equally good.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from hybrid.config.loading import field
from hybrid.errors import DataError
from hybrid.runs.run_folder import RunFolder
from skeleton.jsonl import read_jsonl


@dataclass
class RecognitionBench:
    """What `tools/bench.py recognition` compares."""

    runs: list[str] = field("run folders of kind recognition, tested")
    output: str = field("file for the figures")
    reference: str | None = field("the run folder to compare with; null takes the first", None)


def measure(config: RecognitionBench) -> dict[str, Any]:
    """Accuracy of each run with n, interval, chance and majority; what is kept of it with probes; who is right alone."""
    reference = right(Path(config.reference or config.runs[0]))
    return {
        "reference": Path(config.reference or config.runs[0]).name,
        "runs": [row(Path(run), reference) for run in config.runs],
    }


def row(run: Path, reference: dict[str, bool]) -> dict[str, Any]:
    """One run's figures."""
    folder = RunFolder(run)
    found = right(run)
    if found.keys() != reference.keys():
        raise DataError(f"expected the clips of the reference in {run}, found others: compare runs of one test split")
    report = json.loads(folder.report.read_text(encoding="utf-8"))
    environment = (
        json.loads((run / "environment.json").read_text(encoding="utf-8"))
        if (run / "environment.json").is_file()
        else {}
    )
    task, more = report["tasks"]["action"], sum(found[clip] > reference[clip] for clip in found)
    fewer = sum(found[clip] < reference[clip] for clip in found)
    return {
        "name": run.name,
        **{key: task[key] for key in ("accuracy", "ci95", "chance", "majority", "n")},
        "new": report.get("new", {}),  # of the clips without copies; reports of old have none
        "kept": {name: probe["micro_accuracy"] / task["accuracy"] for name, probe in report["probes"].items()},
        "alone_right": more,
        "reference_alone_right": fewer,
        "p": binomtest(more, more + fewer).pvalue if more + fewer else 1.0,
        "commit": environment.get("commit"),
        "command": environment.get("command"),
    }


def right(run: Path) -> dict[str, bool]:
    """Which clips a run gets right, without probes."""
    lines = read_jsonl(RunFolder(run).predictions)
    return {line["id"]: line["prediction"] == line["answer"] for line in lines if line["probe"] is None}
