"""What the test-set builder makes of motion capture: how many clips it asks about what, and whether its keys hold.

Each key is compared with what clean 3D says when the written truth is read back and everything is computed anew; and,
independently of all detectors, the arm that a `limb` question names must have travelled further during its event
than the other arm: its wrist, against its shoulder.
"""

import json
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hybrid.config.datasets import MocapConfig
from hybrid.config.loading import field
from hybrid.datasets.mocap import ask, generator, prepare_mocap
from skeleton.events.detectors import detect_events
from skeleton.events.limb_event import LimbEvent
from skeleton.jsonl import read_jsonl
from skeleton.language.event_questions import Question
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

LEAST_TASKS = 3


@dataclass
class MocapBench:
    """Keys of `tools/bench.py mocap`."""

    file: str = field(".npz of captures, one .bvh, or a folder of .bvh")
    output: str = field("JSON file of the figures")
    seed: int = field("seed of views, cameras, noise and questions", 0)


def measure(config: MocapBench) -> dict[str, Any]:
    """Yields with and without balanced answers, and the share of keys that clean 3D confirms."""
    with tempfile.TemporaryDirectory() as folder:
        every = MocapConfig(file=config.file, output=f"{folder}/all", balance=False, seed=config.seed)
        with tqdm(unit="capture") as bar:
            info = prepare_mocap(every, lambda done, total: bar.update())
        balanced = prepare_mocap(replace(every, output=f"{folder}/balanced", balance=True))
        lines = read_jsonl(Path(every.output) / "test.jsonl")
        confirmed, paths = _confirmed(every, lines), _paths(every, lines)
    tasks = defaultdict(set)
    for line in lines:
        tasks[line["meta"]["clip"]].add(line["task"])
    rich = sum(len(found) >= LEAST_TASKS for found in tasks.values())
    return {
        "captures": info["captures"],
        "left_out": info["left_out"],
        "clips": info["clips"],
        "asked": len(tasks) / info["clips"],
        "asked_three_tasks": rich / info["clips"],
        "questions": len(lines),
        "asked_balanced": balanced["splits"]["test"]["clips_asked"],
        "questions_balanced": balanced["splits"]["test"]["questions"],
        "keys_confirmed": confirmed / len(lines),
        "arm_keys": len(paths),
        "arm_keys_by_path": float(np.mean(paths)) if paths else None,
        "tasks": dict(Counter(line["task"] for line in lines)),
        "tasks_balanced": balanced["splits"]["test"]["tasks"],
    }


def _confirmed(config: MocapConfig, lines: list[dict]) -> int:
    """How many lines come out again, options and answer, when truth/NAME.npz is read and told anew."""
    asked = defaultdict(list)
    for line in lines:
        asked[line["meta"]["clip"]].append(line)
    right = 0
    for name, own in asked.items():
        truth = Skeleton.load(Path(config.output) / "truth" / f"{name}.npz")
        _, again = ask(truth, detect_events(truth), own[0]["end"], generator(config.seed, name, "questions"))
        right += sum(_key(question) in {_line_key(line) for line in own} for question in again)
    return right


def _key(question: Question) -> str:
    return _line_key(question.sample("", None, None, 0.0))


def _line_key(line: dict) -> str:
    return json.dumps([line[key] for key in ("task", "question", "options", "answer")])


def _paths(config: MocapConfig, lines: list[dict]) -> list[bool]:
    """For each `limb` question about an arm: whether that arm's wrist travels further than the other's."""
    events = {
        entry["clip"]: [LimbEvent(**event) for event in entry["events"]]
        for entry in read_jsonl(Path(config.output) / "truth" / "events.jsonl")
    }
    found = []
    for line in lines:
        if line["task"] != "limb" or "arm" not in (named := line["options"][line["answer"]]):
            continue
        time, limb = float(line["question"].split(" at ")[1].split(" s")[0]), named.removeprefix("the ")
        clip = line["meta"]["clip"]
        event = next(e for e in events[clip] if e.limb == limb and e.start <= time <= e.end)
        truth = Skeleton.load(Path(config.output) / "truth" / f"{clip}.npz")
        rows = slice(*np.searchsorted(truth.timestamps, [event.start, event.end]))
        travelled = {side: _travelled(truth, side, rows) for side in ("left", "right")}
        found.append(travelled[limb.split()[0]] == max(travelled.values()))
    return found


def _travelled(truth: Skeleton, side: str, rows: slice) -> float:
    """Metres that a wrist travels against its shoulder."""
    layout = get_layout(truth.layout)
    wrist, shoulder = (truth.keypoints[0, rows, layout.index(f"{side}_{part}")] for part in ("wrist", "shoulder"))
    return float(np.linalg.norm(np.diff(wrist - shoulder, axis=0), axis=1).sum())
