"""tools/prepare.py as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hybrid.data.sample import read_samples
from skeleton.record import Skeleton
from skeleton.video import write_video
from tests.skeleton.figures import figure, record
from tests.skeleton.formats.bvh_files import bvh_text
from tests.tools.extraction_models import frames, write_models

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


def test_makes_a_set_of_a_folder(tmp_path):
    (tmp_path / "videos").mkdir()
    for number, name in enumerate("abcd"):
        write_video(tmp_path / "videos" / f"{name}.mp4", frames(8, seed=number), fps=8)
    lines = ["video,label,split", "a.mp4,jump,train", "b.mp4,wave,train", "c.mp4,jump,test", "gone.mp4,wave,test"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    arguments = ["folder", "videos=videos", "labels=labels.csv", "output=set", *write_models(tmp_path / "models")]
    done = prepare(*arguments, folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "train: 2 questions about 2 videos (action 2)\nval: 0 questions about 0 videos (no file)" in done.stdout
    assert "1 lines left out, 1 videos not named, 0 files in two splits" in done.stdout
    assert "left out: line 5, gone.mp4: expected a video at videos/gone.mp4, found none" in done.stderr
    assert done.stdout.strip().endswith("reasons in set/failures.jsonl\nset is ready")
    assert [sample.answer_text for sample in read_samples(tmp_path / "set/train.jsonl")] == ["jump", "wave"]
    assert json.loads((tmp_path / "set/info.json").read_text())["left_out"] == {"lines": 1, "videos_not_named": 1}


def test_makes_a_test_set_of_captures(tmp_path):
    pytest.importorskip("skeleton.events.detectors", reason="events are found by skeleton.events.detectors")
    (tmp_path / "captures").mkdir()
    lift = np.concatenate([np.linspace(-80, 80, 45), np.linspace(80, -80, 45)])
    for name in "ab":
        (tmp_path / f"captures/{name}.bvh").write_text(bvh_text(90, turns={"LeftArm": {"Z": lift}}))
    (tmp_path / "captures/c.bvh").write_text("HIERARCHY\nnothing")
    done = prepare("mocap", "file=captures", "output=set", "view=front", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "3 captures, 1 left out, 2 clips\nall: " in done.stdout
    assert done.stdout.endswith("reasons in set/failures.jsonl\nset is ready\n")
    (failure,) = (json.loads(line) for line in (tmp_path / "set/failures.jsonl").read_text().splitlines())
    assert failure["capture"] == "c" and "c.bvh, line 2: expected ROOT or MOTION, found 'nothing'" in failure["reason"]
    names = {sample.meta["clip"] for sample in read_samples(tmp_path / "set/test.jsonl")}
    assert names <= {"a_000_front", "b_000_front"}
    done = prepare("mocap", "file=captures", "output=set", "view=back", folder=tmp_path)
    assert (
        done.returncode == 1
        and "error: expected set to hold nothing or a set made with {'view': 'back'}" in done.stderr
    )


def test_makes_training_samples_without_labels(tmp_path):
    (tmp_path / "records").mkdir()
    for name, bend in (("a", 0), ("b", 80)):
        body = record(figure(lambda time, bend=bend: {"left": (90, bend)}), video=f"{name}.mp4", sha256=name)
        body.save(tmp_path / f"records/{name}.npz")
    (tmp_path / "records/c.npz").write_bytes(b"nothing")
    arguments = ["proxy", "skeletons=records", "output=set", "balance=false"]
    done = prepare(*arguments, folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "3 records, 1 left out; 2 windows, 0 with video\n2 of 2 persons kept\nall: " in done.stdout
    assert done.stdout.endswith("reasons in set/failures.jsonl\nset is ready\n")
    (failure,) = (json.loads(line) for line in (tmp_path / "set/failures.jsonl").read_text().splitlines())
    assert failure["record"] == "c.npz" and "c.npz" in failure["reason"]
    asked = [sample for split in ("train", "val") for sample in read_samples(tmp_path / f"set/{split}.jsonl")]
    assert {Path(sample.skeleton).name for sample in asked} == {"a.npz", "b.npz"}
    assert "pose description" in {sample.task for sample in asked}
    (tmp_path / "records/c.npz").unlink()
    done = prepare(*arguments, folder=tmp_path)
    assert done.returncode == 1 and "error: expected set to hold nothing or a set made with {'input':" in done.stderr


def test_exports_records_and_imports_them_again(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("jump/1", "wave/1"):
        body = Skeleton(
            keypoints=rng.uniform(5, 40, (1, 6, 17, 2)), confidence=np.ones((1, 6, 17)), visible=np.ones((1, 6, 17), bool),
            boxes=np.tile(np.float32([0, 0, 45, 45]), (1, 6, 1)), timestamps=np.arange(6) / 10, track_ids=np.arange(1),
            layout="coco17", frame_size=(48, 64), source={},
        )  # fmt: skip
        (tmp_path / "records" / name).parent.mkdir(parents=True)
        body.save(tmp_path / "records" / f"{name}.npz")
    (tmp_path / "labels.csv").write_text("video,label\njump/1.mp4,jumping\nwave/1.mp4,waving\n")
    done = prepare("export", "records=records", "output=all.pkl", "labels=labels.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 records written\nclasses: 0 jumping, 1 waving\nall.pkl is ready" in done.stdout
    done = prepare("import", "input=all.pkl", "format=pyskl", "fps=10", "output=again", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 records written\nagain is ready" in done.stdout
    first, again = (Skeleton.load(tmp_path / folder / "wave/1.npz") for folder in ("records", "again"))
    np.testing.assert_allclose(again.keypoints, first.keypoints, atol=0.1)
    assert again.source["label"] == 1 and again.timestamps[-1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("marionette", "clips (int, 2500)"),
        ("folder", "labels (str, required)"),
        ("mocap", "file (str, required)"),
        ("proxy", "skeletons (str, required)"),
        ("import", "input (str, required)"),
        ("export", "records (str, required)"),
    ],
)
def test_every_name_has_its_own_keys(name, key, tmp_path):
    done = prepare(name, "--help", folder=tmp_path)
    assert done.returncode == 0 and key in done.stdout and f"usage: prepare.py {name} " in done.stdout


def test_help_lists_the_names(tmp_path):
    done = prepare("--help", folder=tmp_path)
    assert done.returncode == 0 and all(
        name in done.stdout for name in ("marionette", "folder", "mocap", "proxy", "import", "export")
    )


def test_what_is_wrong_is_said_in_one_line(tmp_path):
    for arguments, message in (
        (
            ["kinetics"],
            "error: expected the name of a data set (marionette, folder, mocap, events, proxy, import, export) first, "
            "found kinetics",
        ),
        (
            [],
            "error: expected the name of a data set (marionette, folder, mocap, events, proxy, import, export) first, "
            "found nothing",
        ),
        (["marionette", "output=x", "clip=3"], "clips"),
        (["folder", "videos=.", "labels=x.csv", "output=y"], "error: expected a CSV file at labels=x.csv, found none"),
        (["folder", "videos=."], "error: expected a value for labels"),
        (["mocap", "file=.", "output=y", "views=5"], "error: expected views in 1..4, found 5"),
        (["proxy", "skeletons=.", "output=y", "seconds=1"], "error: expected seconds in 2..60, found 1.0"),
    ):
        done = prepare(*arguments, folder=tmp_path)
        assert done.returncode == 1 and message in done.stderr and len(done.stderr.strip().splitlines()) == 1
