"""tools/prepare.py as a user runs it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def prepare(*arguments, folder):
    command = [sys.executable, str(ROOT / "tools" / "prepare.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)


def test_makes_a_set_once(tmp_path):
    arguments = ["marionette", "output=set", "clips=2", "val_clips=1", "test_clips=1", "seed=3", "workers=1", "size=64"]
    done = prepare(*arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 train, 1 val, 1 test clips of 64 x 64 pixels" in done.stdout and "set is ready" in done.stdout
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == sorted(
        ["clips", "info.json", "skeletons", "test.jsonl", "train.jsonl", "truth", "val.jsonl"]
    )
    made = (tmp_path / "set" / "clips" / "train_00000.mp4").stat().st_mtime_ns
    again = prepare(*arguments, folder=tmp_path)
    assert again.returncode == 0 and (tmp_path / "set" / "clips" / "train_00000.mp4").stat().st_mtime_ns == made
    other = prepare(*arguments[:-1], "size=32", folder=tmp_path)
    assert other.returncode == 1
    assert other.stderr.strip().splitlines()[-1].startswith("error: expected set to hold nothing or a set made with")


def test_what_is_wrong_is_said_in_one_line(tmp_path):
    for arguments, message in (
        (["kinetics"], "error: expected the name of a data set (marionette) first, found kinetics"),
        ([], "error: expected the name of a data set (marionette) first, found nothing"),
        (["marionette", "output=x", "clip=3"], "clips"),
    ):
        done = prepare(*arguments, folder=tmp_path)
        assert done.returncode == 1 and message in done.stderr and len(done.stderr.strip().splitlines()) == 1
