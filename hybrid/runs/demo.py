"""The demo: two tiny models, equal but for the pose, trained and tested side by side, then a real clip.

Everything runs as a user would run it, through the tools, so that each step can be repeated by hand; a step that is
finished is not done again. Two trainings or tests run at once, each on its half of the cores.
"""

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.errors import HybridError
from hybrid.scoring.table import align, percent, systems

ROOT = Path(__file__).resolve().parents[2]
PAUSE = 2.0  # seconds between looks at what runs
DATA = ROOT.parent / "shared" / "data"
FOUNDATIONS = {"reading": "demo_reading", "encoder": "demo_encoder"}  # what the runs start from
START = {"video-only": ("reading",), "grounded": ("encoder", "reading")}
RUNS = {"video-only": "demo_video_only", "grounded": "demo_grounded"}
QUESTIONS = (
    "Which limb does the person use at 2.0 s?",
    "How many times does the person wave the right arm?",
    "What is the posture of the person at 2.0 s?",
)


@dataclass(frozen=True)
class Settings:
    """Where the demo works and how much it makes; the defaults are what the README's figures were made with."""

    data: Path = ROOT / "data" / "marionette"
    runs: Path = ROOT / "runs"
    clips: int = 2500
    test_clips: int = 440
    overrides: tuple[str, ...] = ()

    @classmethod
    def read(cls, arguments: list[str]) -> "Settings":
        """Settings from `clips=N test_clips=N data=DIR runs=DIR`; anything else is an override of both trainings."""
        values: dict[str, Any] = {"overrides": ()}
        for word in arguments:
            key, _, value = word.partition("=")
            if key in ("data", "runs"):
                values[key] = Path(value).absolute()
            elif key in ("clips", "test_clips"):
                if not value.isdecimal():
                    raise HybridError(f"expected a number in {key}=N, found {value!r}: give one like {key}=200")
                values[key] = int(value)
            else:
                values["overrides"] += (word,)
        return cls(**values)


def run(tool: str, *arguments: str, log: Path | None = None, threads: int | None = None) -> subprocess.Popen:
    """Start a tool; its output goes to the screen, or to `log`."""
    # Idle OpenMP threads must not spin: beside another process that makes small networks several times slower
    quiet = {"PYTHONWARNINGS": "ignore", "TOKENIZERS_PARALLELISM": "false", "OMP_WAIT_POLICY": "PASSIVE"}
    environment = os.environ | quiet
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    output = None if log is None else log.open("a")
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output and subprocess.STDOUT)


def run_through(tool: str, *arguments: str) -> None:
    """Run a tool to its end, its output on the screen."""
    process = run(tool, *arguments)
    try:
        if process.wait():
            raise failure(tool, "its output is above")
    finally:
        process.terminate()


def failure(step: str, reason: str) -> HybridError:
    """What the demo says about a step that failed."""
    return HybridError(f"the step {step!r} of the demo failed ({reason}); say make demo again to go on from here")


@dataclass(frozen=True)
class Step:
    """A tool with its arguments, done when `done` is there; it starts when the steps `after` are done."""

    name: str
    tool: str
    arguments: tuple[str, ...]
    done: Path
    after: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.done.parent / f"{self.tool}.log"


def curve(folder: Path, column: str) -> list[tuple[int, float]]:
    """(step, value) pairs of one column of metrics.csv."""
    if not (folder / "metrics.csv").is_file():
        return []
    with (folder / "metrics.csv").open(newline="") as file:
        return [(int(row["step"]) + 1, float(row[column])) for row in csv.DictReader(file) if row.get(column)]


def losses(folder: Path) -> list[tuple[int, float]]:
    """(step, loss) pairs of a run, or of its event pre-training where that is what it is at."""
    return curve(folder, "train/loss") or curve(folder / "pretraining", "pretrain/event_loss")


def steps(settings: Settings) -> list[Step]:
    """Trainings and tests of the four runs."""
    result, config = [], ROOT / "configs" / "experiment"
    for name, run_name in {**FOUNDATIONS, **RUNS}.items():
        arguments = str(config / f"{run_name}.yaml"), "train.resume=auto", *paths(settings), *own(settings, name)
        result.append(Step(name, "train", arguments, settings.runs / run_name / "trained", START.get(name, ())))
    for name, run_name in RUNS.items():
        folder = settings.runs / run_name
        result.append(Step(f"test of {name}", "test", (str(folder / "config.yaml"),), folder / "report.json", (name,)))
    return result


def work(todo: list[Step]) -> None:
    """Do what is not done yet, two steps at a time, each on its share of the cores, and say how it goes.

    The first step that fails ends the others and is named with the end of its log."""
    finished = {step.name for step in todo if step.done.is_file()}
    waiting = [step for step in todo if step.name not in finished]
    running: dict[str, tuple[Step, subprocess.Popen]] = {}
    begin, shown = time.time(), ""
    try:
        while waiting or running:
            ready = [step for step in waiting if finished.issuperset(step.after)][: 2 - len(running)]
            threads = max(1, (os.cpu_count() or 1) // max(1, len(ready) + len(running)))
            for step in ready:
                step.log.parent.mkdir(parents=True, exist_ok=True)
                running[step.name] = step, run(step.tool, *step.arguments, log=step.log, threads=threads)
                waiting.remove(step)
            for name, (step, process) in list(running.items()):
                if process.poll() is None:
                    continue
                if process.returncode:
                    raise failure(name, " ".join(step.log.read_text(errors="replace").split()[-60:]))
                step.done.touch()
                finished.add(name)
                del running[name]
            parts = [f"{name}{latest(step)}" for name, (step, _) in running.items()]
            if "; ".join(parts) != shown:
                shown = "; ".join(parts)
                print(f"  {time.time() - begin:5.0f} s  {shown}", flush=True)
            time.sleep(PAUSE)
    finally:
        for _, process in running.values():
            process.terminate()


def latest(step: Step) -> str:
    """Where a training is."""
    points = losses(step.done.parent) if step.tool == "train" else []
    return f": step {points[-1][0]}, loss {points[-1][1]:.2f}" if points else ""


def own(settings: Settings, name: str) -> list[str]:
    """Overrides of one training: where it starts, the user's, and that the encoder's ends behind its events."""
    files = [
        str(settings.runs / FOUNDATIONS[run_name] / "checkpoints" / "last.ckpt") for run_name in START.get(name, ())
    ]
    start_at = f"train.start=[{','.join(files)}]"
    if name == "encoder":
        return [start_at, *settings.overrides, "train.steps=0"]
    return [start_at, *(word for word in settings.overrides if not word.startswith("train.pretrain_"))]


def paths(settings: Settings) -> list[str]:
    """Overrides that point a run at the demo's folders."""
    data = settings.data
    return [
        f"output={settings.runs}", f"data.cache={data / 'frames'}", f"data.train=[{data / 'train.jsonl'}]",
        f"data.events=[{data / 'truth' / 'events.jsonl'}]",
        f"data.val=[{data / 'val.jsonl'}]", f"data.test=[{data / 'test.jsonl'}]",
    ]  # fmt: skip


def table(settings: Settings) -> str:
    """The result: systems side by side, and how validation accuracy grew."""
    reports = {name: json.loads((settings.runs / folder / "report.json").read_text()) for name, folder in RUNS.items()}
    grounded = reports["grounded"]
    probes = grounded["probes"]
    runs = {
        "text-only": probes["text_only"],
        "video-only": reports["video-only"],
        "pose-only": probes["no_video"],
        "grounded": grounded,
        "  pose withheld": probes["none"],
        "  another's pose": probes["shuffle"],
    }
    curves = {name: dict(curve(settings.runs / folder, "val/accuracy")) for name, folder in RUNS.items()}
    steps = sorted(set().union(*curves.values()))
    growth = [["validation, multiple choice, at step", *map(str, steps)]]
    growth += [[name, *(percent(points.get(step)) for step in steps)] for name, points in curves.items()]
    return f"{systems(runs, 'grounded')}\n\n{align(growth)}"


NOTES = """\
Accuracies in percent on the test split of Marionette: bodies, looks, cameras and combinations of movements that
training never saw. text-only, pose-only, pose withheld and another's pose are the grounded model with inputs taken
away or exchanged at test time; video-only was trained with the same steps, samples, visual tokens, initialisation
and seed. Both started from one language model that had read what happens in the training clips, in words (a toy has
no pretraining); the grounded model's encoder had learned to predict limb events, and its anchor learned the words
for the persons' colours, labels that video-only does not get. binding: questions that name one of several persons by
look. Both models are toys trained from nothing on synthetic clips: the figures show whether the wiring works and
answers follow the pose, and nothing about 7B models or real videos. Video-only sees {frames} frames, the pose is
sampled at {fps:g} rows a second: part of any gap is that finer clock."""


def real_clip(settings: Settings) -> list[str]:
    """Arguments of tools/ask.py for the clip to ask about, and a sentence printed before."""
    weights, own = DATA / "weights", os.environ.get("DEMO_VIDEO")
    local = [
        "detector.config=rtmdet_nano_320-8xb32_coco-person",
        f"detector.checkpoint={weights / 'rtmdet_nano_coco_person.pth'}",
        f"estimator.config={weights / 'simplepose_nano.py'}",
        f"estimator.checkpoint={weights / 'simplepose_nano_coco17.pth'}",
    ]
    networks = local if weights.is_dir() else []
    if own:
        return [f"video={own}", *networks]
    if weights.is_dir() and (DATA / "videos" / "drink_water.avi").is_file():
        return [f"video={DATA / 'videos' / 'drink_water.avi'}", *networks]
    print("no real clip here (set DEMO_VIDEO=FILE for your own): asking about a rendered one with its stored skeleton")
    clip = json.loads((settings.data / "test.jsonl").read_text().split("\n", 1)[0])
    return [f"video={settings.data / clip['video']}", f"skeleton={settings.data / clip['skeleton']}"]
