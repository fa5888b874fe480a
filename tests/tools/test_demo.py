"""The demo at a toy scale: every step of `make demo`, with the real tools."""

import subprocess
import sys
from pathlib import Path

import pytest

from hybrid.demo import Settings
from hybrid.errors import HybridError

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    "clips=10", "test_clips=6", "train.steps=3", "train.warmup=1", "train.val_every=2", "train.batch_size=2", "train.pretrain_batch=1",
    "train.pretrain_steps=2",
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
    assert second.split("[5/6]")[1].split("[6/6]")[0] == first.split("[5/6]")[1].split("[6/6]")[0]


def test_settings_from_words():
    settings = Settings.read(["clips=12", "train.steps=5", "runs=elsewhere"])
    assert (settings.clips, settings.overrides) == (12, ("train.steps=5",))
    assert settings.runs == Path("elsewhere").absolute()
    with pytest.raises(HybridError, match="expected a number in clips=N, found 'many'"):
        Settings.read(["clips=many"])
