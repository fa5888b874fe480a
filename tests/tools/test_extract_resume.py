"""Extraction that is killed, shared and sharded: the folder is the same, byte for byte, as after one undisturbed run."""

import errno
import multiprocessing
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hybrid.config.extraction import ExtractConfig
from hybrid.config.loading import load_config
from hybrid.runs.extraction import extract_videos
from skeleton import files
from skeleton.files import claimed
from skeleton.video import write_video
from tests.tools.extraction_models import frames, tree, write_models

CLIPS = 40
ROOT = Path(__file__).resolve().parents[2]


def extract(arguments):
    summary = extract_videos(load_config(ExtractConfig, arguments))
    return summary.extracted, summary.skipped, len(summary.failures)


@pytest.fixture(scope="module")
def workers():
    """Processes that start quickly, because their parent has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hybrid.runs.extraction", "onnxruntime"])
    return context


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Videos (one of them bad), the arguments of the tool, and the folder of an undisturbed run."""
    folder = tmp_path_factory.mktemp("resume")
    (folder / "videos").mkdir()
    for number in range(CLIPS):
        write_video(folder / f"videos/clip {number}.mp4", frames(20, seed=number), fps=10)
    (folder / "videos/clip 0x.mp4").write_text("no video")  # the second of all: with two devices the other takes it
    arguments = [f"videos={folder / 'videos'}", "overlay=true", *write_models(folder / "models")]
    assert extract([*arguments, f"output={folder / 'whole'}"]) == (CLIPS, 0, 1)
    whole = tree(folder / "whole")
    assert len(whole) == 2 * CLIPS + 2
    return arguments, whole


def test_kill_at_ten_random_moments(workers, prepared, tmp_path):
    arguments, whole = prepared
    arguments = [*arguments, f"output={tmp_path}"]
    chance = random.Random(0)
    process = workers.Process(target=extract, args=(arguments,))
    process.start()
    while not list(tmp_path.glob("*.npz")):
        time.sleep(0.01)
    cut_short = 0
    for _ in range(10):
        time.sleep(chance.uniform(0.0, 0.25))
        process.kill()
        process.join()
        cut_short += process.exitcode != 0
        process = workers.Process(target=extract, args=(arguments,))
        process.start()
        time.sleep(chance.uniform(0.3, 0.9))
    process.join()
    assert process.exitcode == 0
    assert cut_short >= 3, "the clips are too few for this machine"
    assert tree(tmp_path) == whole


def test_two_processes_on_one_folder(workers, prepared, tmp_path):
    arguments, whole = prepared
    with workers.Pool(2) as pool:
        results = pool.map(extract, [[*arguments, f"output={tmp_path}"]] * 2, chunksize=1)
    assert [sum(result) for result in results] == [CLIPS + 1] * 2, "each knows of all of them at its end"
    assert tree(tmp_path) == whole


def test_shards_together_are_the_whole(prepared, tmp_path):
    arguments, whole = prepared
    counts = [extract([*arguments, f"output={tmp_path}", f"shard={part}/3"]) for part in range(3)]
    assert [sum(count) for count in counts] == [14, 14, 13]
    assert tree(tmp_path) == whole


def test_two_devices_share_the_videos(prepared, tmp_path):
    arguments, whole = prepared
    command = [sys.executable, str(ROOT / "tools/extract.py"), *arguments, f"output={tmp_path}", "devices=2"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 1, "one video is bad, whichever process took it"
    assert f"{CLIPS} extracted, 0 finished before, 1 set aside" in finished.stdout
    assert tree(tmp_path) == whole


def test_failure_that_heals_leaves_the_list(prepared, tmp_path):
    arguments, _ = prepared
    arguments = [argument for argument in arguments if not argument.startswith("videos=")]
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", frames(3), fps=10)
    (tmp_path / "videos/b.mp4").write_text("no video")
    arguments += [f"videos={tmp_path / 'videos'}", f"output={tmp_path / 'out'}"]
    assert extract(arguments) == (1, 0, 1)
    assert (tmp_path / "out/failures.jsonl").read_text().count("\n") == 1
    write_video(tmp_path / "videos/b.mp4", frames(3), fps=10)
    assert extract(arguments) == (1, 1, 0)
    assert not (tmp_path / "out/failures.jsonl").exists()


def test_full_disk_is_a_reason_and_the_rest_goes_on(prepared, tmp_path, monkeypatch):
    arguments, whole = prepared
    replace = os.replace

    def full(source, target):
        if str(target).endswith("clip 2.npz"):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    assert extract([*arguments, f"output={tmp_path}"]) == (CLIPS - 1, 0, 2)
    assert "No space left on device" in (tmp_path / "failures.jsonl").read_text()
    monkeypatch.undo()
    assert extract([*arguments, f"output={tmp_path}"]) == (1, CLIPS - 1, 1)
    assert tree(tmp_path) == whole


def test_claim_is_given_up_with_the_process(workers, tmp_path):
    path = tmp_path / "a.npz"
    process = workers.Process(target=_hold, args=(path,))
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with claimed(path) as mine:
        assert not mine
    (tmp_path / ".a.npz.123.partial").write_text("half")
    process.kill()
    process.join()
    with claimed(path) as mine:
        assert mine
        assert not (tmp_path / ".a.npz.123.partial").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held"]


def _hold(path):
    with claimed(path):
        (path.parent / "held").touch()
        time.sleep(60)
