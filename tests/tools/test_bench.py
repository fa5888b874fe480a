"""tools/bench.py: what it prints and writes, and what it says of names that do not exist."""

import json
import subprocess
import sys
from pathlib import Path

from hybrid.runs.run_folder import RunFolder
from skeleton.jsonl import write_json, write_jsonl

ROOT = Path(__file__).resolve().parents[2]


def bench(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/bench.py"), *arguments], capture_output=True, text=True, timeout=120
    )


def finished(path, rights):
    """A tested run of recognition: `rights` says of each clip whether it is right."""
    folder = RunFolder.create(path.parent, path.name)
    write_jsonl(
        folder.predictions,
        [{"id": str(n), "prediction": int(not right), "answer": 0, "probe": None} for n, right in enumerate(rights)],
    )
    task = {
        "accuracy": sum(rights) / len(rights),
        "ci95": [0.1, 1 / 3],
        "chance": 0.1,
        "majority": 0.2,
        "n": len(rights),
    }
    write_json(
        folder.report, {"tasks": {"action": task}, "probes": {"jitter": {"micro_accuracy": task["accuracy"] / 3}}}
    )
    return str(path)


def test_one_line_for_each_run_in_four_digits(tmp_path):
    runs = [finished(tmp_path / "one", [True, False, False]), finished(tmp_path / "two", [True, True, False])]
    done = bench("recognition", f"runs=[{','.join(runs)}]", f"output={tmp_path / 'figures.json'}")
    assert done.returncode == 0, done.stderr
    first, second = (line for line in done.stdout.splitlines() if line.startswith("runs "))
    assert "name one, accuracy 0.3333, ci95 [0.1, 0.3333], chance 0.1, majority 0.2, n 3" in first
    assert (
        "name two, accuracy 0.6667" in second
        and "kept (jitter 0.3333), alone_right 1, reference_alone_right 0, p 1," in second
    )
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert [run["accuracy"] for run in figures["runs"]] == [1 / 3, 2 / 3]


def test_unknown_bench():
    done = bench("speed")
    assert (
        done.returncode == 1
        and done.stderr.startswith("error: expected a bench (checker, ")
        and "found speed" in done.stderr
    )
