"""The demo at a toy scale: every step of `make demo`, with the real tools."""

import subprocess
import sys
from pathlib import Path

import pytest

import hybrid.runs.demo
from hybrid.errors import HybridError
from hybrid.runs.demo import Settings, Step, work

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "clips=10", "test_clips=6", "train.steps=3", "train.warmup=1", "train.val_every=2", "train.batch_size=2",
    "train.pretrain_batch=1", "train.pretrain_steps=2",
    "mllm.tiny.width=32", "mllm.tiny.heads=2", "mllm.tiny.layers=1",
)  # fmt: skip


def demo(folder: Path) -> str:
    command = [sys.executable, "tools/demo.py", *SMALL, f"data={folder / 'data'}", f"runs={folder / 'runs'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_runs_and_does_nothing_twice(tmp_path):
    first = demo(tmp_path)
    for row in ("chance", "majority", "text-only", "video-only", "pose-only", "grounded", "another's pose", "binding"):
        assert row in first
    assert first.count("\nA: ") == 3
    for name in ("demo_video_only", "demo_grounded"):
        for file in ("report.json", "report.html", "predictions.jsonl", "metrics.csv", "checkpoints/best.ckpt"):
            assert (tmp_path / "runs" / name / file).is_file()
    weights = tmp_path / "runs" / "demo_grounded" / "checkpoints" / "last.ckpt"
    written = weights.stat().st_mtime_ns
    second = demo(tmp_path)
    assert weights.stat().st_mtime_ns == written
    assert second.split("[3/4]")[1].split("[4/4]")[0] == first.split("[3/4]")[1].split("[4/4]")[0]


def test_settings_from_words():
    settings = Settings.read(["clips=12", "train.steps=5", "runs=elsewhere"])
    assert (settings.clips, settings.overrides) == (12, ("train.steps=5",))
    assert settings.runs == Path("elsewhere").absolute()
    with pytest.raises(HybridError, match="expected a number in clips=N, found 'many'"):
        Settings.read(["clips=many"])


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """recorded(name, after): a step whose process writes when it begins and ends; `bad` ones fail."""
    diary = tmp_path / "diary"
    code = "import sys, time; f = open(sys.argv[1], 'a'); f.write(f'+{sys.argv[2]} '); f.flush(); time.sleep(0.3); " \
           "f.write(f'-{sys.argv[2]} '); sys.exit(print('no luck') or 3 if 'bad' in sys.argv[2] else 0)"  # fmt: skip

    def run(_tool, *arguments, log, threads):
        return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=log.open("a"))

    monkeypatch.setattr(hybrid.runs.demo, "run", run)
    monkeypatch.setattr(hybrid.runs.demo, "PAUSE", 0.05)
    made = lambda name, *after: Step(name, "train", (str(diary), name), tmp_path / name / "trained", after)  # noqa: E731
    return made, lambda: diary.read_text().split() if diary.is_file() else []


def test_steps_wait_for_what_they_need_and_are_done_once(recorded):
    step, diary = recorded
    todo = [step("a"), step("b", "a"), step("c", "a", "b"), step("d")]
    work(todo)
    order = diary()
    assert sorted(order) == sorted(f"{mark}{name}" for mark in "+-" for name in "abcd")
    assert order.index("-a") < order.index("+b") and order.index("-b") < order.index("+c")
    todo[3].done.unlink()
    work(todo)
    assert diary()[len(order) :] == ["+d", "-d"]


def test_a_step_that_fails_is_named_with_its_reason_and_ends_the_rest(recorded):
    step, diary = recorded
    with pytest.raises(
        HybridError, match=r"the step 'bad' of the demo failed \(no luck\); say make demo again to go on"
    ):
        work([step("bad"), step("next", "bad")])
    assert diary() == ["+bad", "-bad"]
