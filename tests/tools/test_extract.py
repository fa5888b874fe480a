"""tools/extract.py: what is written, what a second run does, what is set aside, what ends a run."""

import importlib.util
import json
import subprocess
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hybrid.runs import extraction
from skeleton.errors import ExtractionError
from skeleton.extraction.build import describe
from skeleton.extraction.persons import Detections
from skeleton.extraction.pipeline import Extractor
from skeleton.extraction.topdown import TopDown
from skeleton.jsonl import read_jsonl
from skeleton.record import Skeleton
from skeleton.video import read_frames, write_video

ROOT = Path(__file__).resolve().parents[2]
DETECTOR, ESTIMATOR = "rtmdet_nano_320-8xb32_coco-person", "rtmpose-t_8xb256-420e_body8-256x192"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("extract_tool", ROOT / "tools/extract.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def detect(frames):
    """One person in every bright frame, nobody in a dark one."""
    box = np.array([[10, 5, 40, 44]], np.float32)
    return [Detections(box[: int(f.mean() > 60)], np.full(int(f.mean() > 60), 0.9, np.float32)) for f in frames]


class Diagonal:
    layout = "coco17"

    def __call__(self, frames, boxes):
        steps = np.linspace(0, 1, 17, dtype=np.float32)[None, :, None]
        points = [b[:, None, :2] + steps * (b[:, None, 2:] - b[:, None, :2]) for b in boxes]
        return [(p, np.full(p.shape[:2], 0.9, np.float32)) for p in points]


@pytest.fixture
def built(monkeypatch):
    """Stand-in networks; counts how often they are built."""
    calls = SimpleNamespace(count=0)

    def build(detector, estimator, settings, runtime):
        calls.count += 1
        source = TopDown(detect, Diagonal(), every=settings.every)
        return Extractor(source, settings, describe(detector, estimator, settings))

    monkeypatch.setattr(extraction, "build_extractor", build)
    return calls


@pytest.fixture
def options(tmp_path):
    for name in ("det.pth", "pose.pth"):
        (tmp_path / name).write_bytes(name.encode())
    return [
        f"detector.config={DETECTOR}",
        f"detector.checkpoint={tmp_path / 'det.pth'}",
        f"estimator.config={ESTIMATOR}",
        f"estimator.checkpoint={tmp_path / 'pose.pth'}",
        "device=cpu",
    ]


@pytest.fixture
def videos(tmp_path):
    """Two good videos (one dark), a text file, and sound alone."""
    folder = tmp_path / "videos"
    (folder / "deep").mkdir(parents=True)
    write_video(folder / "person.mp4", [np.full((48, 64, 3), 200, np.uint8)] * 6, fps=10)
    write_video(folder / "deep" / "dark.mp4", [np.full((48, 64, 3), 10, np.uint8)] * 4, fps=10)
    (folder / "text.mp4").write_text("this is no video\n")
    with wave.open(str(folder / "sound.avi"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    return folder


def test_good_videos_are_written_and_bad_ones_set_aside(tool, built, options, videos, tmp_path, capsys):
    output = tmp_path / "out"
    assert tool.main([f"videos={videos}", f"output={output}", "overlay=true", *options]) == 1
    person = Skeleton.load(output / "person.npz")
    assert (person.num_persons, person.num_frames) == (1, 6)
    assert person.visible.all()
    dark = Skeleton.load(output / "deep/dark.npz")
    assert (dark.num_persons, dark.num_frames) == (0, 4)
    failures = [json.loads(line) for line in (output / "failures.jsonl").read_text().splitlines()]
    reasons = {Path(entry["video"]).name: entry["reason"] for entry in failures}
    assert set(reasons) == {"text.mp4", "sound.avi"}
    assert "is not a readable video" in reasons["text.mp4"]
    assert "expected a video stream" in reasons["sound.avi"]
    index = {entry["record"]: (entry["frames"], entry["persons"]) for entry in read_jsonl(output / "index.jsonl")}
    assert index == {"person.npz": (6, 1), "deep/dark.npz": (4, 0)}
    assert len(list(read_frames(output / "person.overlay.mp4"))) == 6
    shown = capsys.readouterr()
    assert "2 extracted, 0 finished before, 2 set aside" in shown.out
    assert shown.out.strip().endswith(f"records in {output}")
    assert "set aside: " in shown.err


def test_second_run_does_only_what_is_missing(tool, built, options, videos, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = [f"videos={videos}", f"output={output}", *options]
    tool.main(arguments)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")}
    assert built.count == 1
    assert tool.main(arguments) == 1
    assert built.count == 1, "bad videos alone need no networks"
    assert "0 extracted, 2 finished before, 2 set aside" in capsys.readouterr().out
    for name in ("text.mp4", "sound.avi"):
        (videos / name).unlink()
    assert tool.main([*arguments, "overlay=true"]) == 0
    assert built.count == 1, "overlays need no networks"
    assert (output / "deep/dark.overlay.mp4").is_file()
    assert not (output / "failures.jsonl").exists()
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.npz")} == before
    assert len(read_jsonl(output / "index.jsonl")) == 2


def test_record_of_other_settings_is_kept_unless_asked(tool, built, options, videos, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = [f"videos={videos / 'person.mp4'}", f"output={output}", *options]
    assert tool.main(arguments) == 0
    assert tool.main([*arguments, "fps=5"]) == 1
    assert "person.npz differs in settings; pass overwrite=true or another output" in capsys.readouterr().err
    assert Skeleton.load(output / "person.npz").num_frames == 6
    assert tool.main([*arguments, "fps=5", "overwrite=true"]) == 0
    assert Skeleton.load(output / "person.npz").num_frames == 3


def test_damaged_record_is_named(tool, built, options, videos, tmp_path, capsys):
    output = tmp_path / "out"
    output.mkdir()
    (output / "person.npz").write_bytes(b"half")
    assert tool.main([f"videos={videos / 'person.mp4'}", f"output={output}", *options]) == 1
    assert "is not a skeleton file" in capsys.readouterr().err


def test_list_of_videos(tool, built, options, videos, tmp_path, capsys):
    (videos / "list.txt").write_text("\ufeffperson.mp4\n# chosen\nmissing.mp4\n", encoding="utf-8")
    assert tool.main([f"videos={videos / 'list.txt'}", f"output={tmp_path / 'out'}", *options]) == 1
    assert (tmp_path / "out/person.npz").is_file()
    assert "expected a video file at" in capsys.readouterr().err


def test_model_error_ends_the_run(tool, monkeypatch, options, videos, tmp_path, capsys):
    def build(*_, **__):
        raise ExtractionError("the weights do not fit")

    monkeypatch.setattr(extraction, "build_extractor", build)
    assert tool.main([f"videos={videos}", f"output={tmp_path / 'out'}", *options]) == 1
    assert capsys.readouterr().err.strip().endswith("the weights do not fit")
    assert not (tmp_path / "out/failures.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["videos=/no/such/path", "output=/tmp/x"],
            "expected a video, folder or .txt list at videos=/no/such/path",
        ),
        (["output=/tmp/x"], "expected a value for videos"),
        (["videos=a.mp4", "output=x", "detector.chekpoint=a"], "did you mean 'detector.checkpoint'"),
        (["videos=a.mp4", "output=x", "fps=0"], "fps must be positive or null, found 0"),
        (
            ["videos=a.mp4", "output=x", "estimator.threshold=2"],
            "estimator.threshold must lie in 0..1, found 2",
        ),
        (
            ["videos=a.mp4", "output=x", "detector.start_score=0.1"],
            "must not be below detector.score, found 0.1",
        ),
        (["videos=a.mp4", "output=x", "tracker.min_rows=0"], "tracker.min_rows must be at least 1, found 0"),
    ],
)
def test_bad_options(tool, capsys, arguments, message):
    assert tool.main(arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            ["detector.config=nowhere.py"],
            "expected a config file or a name from mmpose or mmdet, found no nowhere.py",
        ),
        (
            ["estimator.checkpoint=none.pth"],
            "expected a checkpoint file at estimator.checkpoint=none.pth, found none",
        ),
        (["device=tpu"], "device must be auto, cpu, cuda or cuda:N, found 'tpu'"),
    ],
)
def test_bad_models_and_devices(tool, built, options, videos, tmp_path, capsys, changed, message):
    assert tool.main([f"videos={videos}", f"output={tmp_path / 'out'}", *options, *changed]) == 1
    assert message in capsys.readouterr().err


def test_empty_folder_and_two_videos_of_one_name(tool, options, videos, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert tool.main([f"videos={tmp_path / 'empty'}", "output=x", *options]) == 1
    assert "expected videos (.mp4" in capsys.readouterr().err
    (videos / "person.avi").write_bytes((videos / "person.mp4").read_bytes())
    assert tool.main([f"videos={videos}", "output=x", *options]) == 1
    assert "would both write x/person.npz; rename one of them" in capsys.readouterr().err


def test_command_line_with_real_weights(shared, tmp_path):
    folder = shared / "data/weights"
    command = [
        sys.executable,
        str(ROOT / "tools/extract.py"),
        f"videos={shared / 'data/videos/street_five_frames.mp4'}",
        f"output={tmp_path}",
        "fps=2.5",
        f"detector.config={DETECTOR}",
        f"detector.checkpoint={folder / 'rtmdet_nano_coco_person.pth'}",
        f"estimator.config={folder / 'simplepose_nano.py'}",
        f"estimator.checkpoint={folder / 'simplepose_nano_coco17.pth'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(f"records in {tmp_path}")
    skeleton = Skeleton.load(tmp_path / "street_five_frames.npz")
    assert skeleton.num_frames == 3
    assert skeleton.num_persons >= 4
    assert skeleton.source["estimator"]["config"] == "simplepose_nano.py"
    assert str(shared) not in json.dumps(skeleton.source)
