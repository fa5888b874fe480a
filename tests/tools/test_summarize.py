"""tools/summarize.py: the figures of known records, what is drawn, what is listed, and where samples and videos are found."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from hybrid.errors import ConfigError
from hybrid.summary.pictures import CAPTION, COLUMNS, ROWS, TILE, picture_of
from skeleton.jsonl import write_jsonl
from skeleton.record import Skeleton
from skeleton.video import read_frames, write_video
from tests.hybrid.summary.test_checks import COCO, make, still, swap_at

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("summarize_tool", ROOT / "tools/summarize.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def half_hidden(points, visible, times):
    visible[0, : len(times) // 2, COCO.index("left_ankle")] = False


def source(name, **more):
    return {"video": f"{name}.mp4", "sha256": name, **more}


RECORDS = {
    "a/two": make(2, source=source("two", dropped_persons=[{"track_id": 5, "reason": "seen too briefly"}])),
    "a/one": make(1, rows=80, change=half_hidden, source=source("one")),
    "swapped": make(1, fps=10, change=swap_at(5, 9), source=source("swapped")),
    "nobody": Skeleton.empty(np.arange(40) / 20, (240, 640), source=source("nobody")),
    "again": make(1, source=source("one")),
}


@pytest.fixture
def folder(tmp_path):
    """A prepared set of those records, in set/, with the videos of two in videos/."""
    lines = []
    for number, (name, record) in enumerate(RECORDS.items()):
        (tmp_path / "set/skeletons" / name).parent.mkdir(parents=True, exist_ok=True)
        record.save(tmp_path / "set/skeletons" / f"{name}.npz")
        lines.append(
            {
                "id": name, "video": f"../videos/{name}.mp4", "skeleton": f"skeletons/{name}.npz", "end": 1.0, "task": "action",
                "question": "?", "options": ["jump", "wave"],
                "answer": int(number > 1), "meta": {"label": ["jump", "wave"][number > 1]},
            }
        )  # fmt: skip
    write_jsonl(tmp_path / "set/train.jsonl", lines[:3])
    write_jsonl(tmp_path / "set/test.jsonl", lines[3:])
    write_jsonl(tmp_path / "set/skeletons/index.jsonl", [{"record": "swapped.npz"}])
    for name in ("a/two", "swapped"):
        record = RECORDS[name]
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        images = [np.full((240, 640, 3), 200, np.uint8)] * record.num_frames
        write_video(tmp_path / "videos" / f"{name}.mp4", images, 1 / record.timestamps[1])
    return tmp_path / "set"


def summary_of(folder):
    return json.loads((folder / "summary/summary.json").read_text())


def test_figures_are_exact(tool, folder, capsys):
    assert tool.main([str(folder)]) == 0
    summary = summary_of(folder)
    assert (summary["records"], summary["frames"]) == (5, 240)
    assert summary["hours"] == pytest.approx((2 + 4 + 4 + 2 + 2) / 3600)
    assert summary["persons_per_frame"] == {"mean": 1.0, "max": 2, "none": 40 / 240}
    assert summary["seconds"] == pytest.approx({"min": 2.0, "median": 2.0, "max": 4.0})
    assert summary["frames_per_second"] == pytest.approx({"min": 10, "median": 20, "max": 20})
    assert summary["tracks_per_video"] == {"min": 0, "median": 1, "max": 2}
    assert (summary["layouts"], summary["dropped_persons"]) == ({"coco17": 5}, {"seen too briefly": 1})
    joints, limbs = summary["visible"]["coco17"]["joints"], summary["visible"]["coco17"]["limbs"]
    assert joints["left_ankle"] == (240 - 40) / 240 and joints["left_knee"] == 1.0
    assert limbs["left leg"] == pytest.approx((1 + 200 / 240) / 2) and limbs["right leg"] == 1.0
    assert summary["tasks"] == {"action": {"train": 3, "test": 2}}
    assert summary["classes"] == {"wave": {"train": 1, "test": 2}, "jump": {"train": 2}}
    assert summary["failures"] == []
    shown = capsys.readouterr().out
    for row in (
        "records             5", "persons per frame   1 on average, at most 2", "frames with nobody  16.7 %",
        "dropped persons     1 seen too briefly", "left leg                 91.7 %", "left_ankle                83.3 %",
        "class  train  test", "wave       1     2", "suspicious: 3 of 5",
    ):  # fmt: skip
        assert row in shown, shown


def test_suspicious_records_come_with_reasons_the_worst_first(tool, folder, capsys):
    tool.main([f"data={folder}", "sheets=0", "overlays=0"])
    found = {
        entry["record"]: [reason["kind"] for reason in entry["reasons"]] for entry in summary_of(folder)["suspicious"]
    }
    assert found == {"nobody": ["nobody"], "again": ["same video"], "swapped": ["left/right"]}
    assert list(found)[-1] == "swapped"
    shown = capsys.readouterr().out
    assert "  again: the same file as a/one" in shown or "  a/one: the same file as again" in shown
    assert "  swapped: left and right wrists or ankles change places 2 times" in shown
    assert not list((folder / "summary").glob("*.jpg")) and not (folder / "summary/overlays").exists()


def test_sheets_and_overlays(tool, folder):
    tool.main([str(folder), "overlays=1"])
    sheet = cv2.imread(str(folder / "summary/sheet_01.jpg"))[..., ::-1]
    assert sheet.shape == (TILE[0] + CAPTION, 5 * TILE[1], 3)
    order = ["a/one", "a/two", "again", "nobody", "swapped"]
    tiles = dict(zip(order, np.split(sheet, 5, axis=1), strict=True))
    below = {name: tile[TILE[0] :].astype(int) for name, tile in tiles.items()}
    for name, tile in below.items():
        red = ((tile[..., 0] > 150) & (tile[..., 1] < 100)).any()
        assert red == (name in ("again", "nobody", "swapped")), name
    corner = {name: int(tile[50, 200].mean()) for name, tile in tiles.items()}  # beside the bodies
    assert abs(corner["swapped"] - 200) < 10 and abs(corner["a/two"] - 200) < 10  # the video's frame
    assert abs(corner["a/one"] - 110) < 10 and abs(corner["nobody"] - 110) < 10  # grey: no video
    assert [path.name for path in (folder / "summary/overlays").iterdir()] == ["swapped.mp4"]
    assert len(list(read_frames(folder / "summary/overlays/swapped.mp4"))) == 40
    tool.main([str(folder), "sheets=0", "overlays=5"])
    assert sorted(path.name for path in (folder / "summary/overlays").iterdir()) == ["a__two.mp4", "swapped.mp4"]
    assert not list((folder / "summary").glob("*.jpg"))


def test_the_drawn_skeleton_lies_on_the_frame(tmp_path):
    record = make(1, change=still)
    image, reason = picture_of(record, None)
    assert image.shape == (*TILE, 3) and reason == ""
    scale = TILE[1] / 640
    left, top = 0, (TILE[0] - 240 * scale) / 2
    x, y = record.keypoints[0, 20, COCO.index("left_ankle")] * scale + [left, top]
    assert (image[round(float(y)), round(float(x))] != 110).any()
    assert (image[-5:] == 110).all() and (image[:, 60:] == 110).all()


def test_a_body_in_metres_stands_upright():
    flat = make(1, change=still)
    points = np.stack((flat.keypoints[..., 0], np.zeros(flat.visible.shape), -flat.keypoints[..., 1]), -1) / 60
    image, _ = picture_of(replace(flat, keypoints=points, boxes=np.zeros_like(flat.boxes)), None)
    rows, columns = np.nonzero((image != 110).any(-1))
    assert np.ptp(rows) > 2 * np.ptp(columns) and np.ptp(rows) > 0.7 * TILE[0]
    assert np.ptp(columns[rows < rows.min() + 6]) < np.ptp(
        columns[rows > rows.max() - 6]
    )  # the head above, the feet below


def test_more_videos_than_room(tool, tmp_path):
    for number in range(COLUMNS * ROWS + 4):
        make(1, rows=3, source={}).save(tmp_path / f"{number:02d}.npz")
    tool.main([str(tmp_path), "sheets=1"])
    assert [path.name for path in (tmp_path / "summary").glob("*.jpg")] == ["sheet_01.jpg"]
    assert cv2.imread(str(tmp_path / "summary/sheet_01.jpg")).shape[0] == ROWS * (TILE[0] + CAPTION)
    tool.main([str(tmp_path), "sheets=8"])
    assert len(list((tmp_path / "summary").glob("*.jpg"))) == 2


def test_what_cannot_be_read_is_listed(tool, folder, tmp_path, capsys):
    (folder / "skeletons/cut.npz").write_bytes((folder / "skeletons/swapped.npz").read_bytes()[:300])
    (folder / "skeletons/.hidden.npz").write_bytes(b"")
    (tmp_path / "videos/swapped.mp4").write_text("no video")
    write_video(tmp_path / "videos/a/two.mp4", [np.full((240, 640, 3), 9, np.uint8)] * 7, 20)
    with (folder / "test.jsonl").open("a") as file:
        file.write(
            '{"id": "x", "video": null, "skeleton": "skeletons/gone.npz", "end": 1, "task": "t", "question": "?"}\n'
        )
        file.write('{"id": "y"}\nno json\n')
    assert tool.main([str(folder)]) == 1
    failures = {failure["file"]: failure["reason"] for failure in summary_of(folder)["failures"]}
    assert set(failures) == {
        "skeletons/cut.npz", "skeletons/gone.npz", "test.jsonl", "../videos/swapped.mp4", "../videos/a/two.mp4",
    }  # fmt: skip
    assert "line 4: question: expected a value, found None (2 bad lines)" in failures["test.jsonl"]
    assert "expected the record that samples name, found none" in failures["skeletons/gone.npz"]
    assert "is not a readable video" in failures["../videos/swapped.mp4"]
    assert "7 frames" in failures["../videos/a/two.mp4"]
    assert summary_of(folder)["records"] == 5
    assert "failed: skeletons/cut.npz: " in capsys.readouterr().err


def test_other_places(tool, folder, tmp_path):
    other = {"id": "x", "video": None, "skeleton": "elsewhere.npz", "end": 1, "task": "t", "question": "?"}
    write_jsonl(folder / "other.jsonl", [other])
    tool.main([str(folder / "skeletons"), "overlays=0"])  # samples of the folder above that ask about these records
    above = summary_of(folder / "skeletons")
    assert above["records"] == 5 and above["classes"] == {"wave": {"train": 1, "test": 2}, "jump": {"train": 2}}
    assert above["tasks"] == {"action": {"train": 3, "test": 2}} and above["failures"] == []
    tool.main([str(folder / "train.jsonl"), "sheets=0", "overlays=1"])  # the records of one file
    one = summary_of(folder)
    assert one["records"] == 3 and one["tasks"] == {"action": {"train": 3}}
    assert [path.name for path in (folder / "summary/overlays").iterdir()] == ["skeletons__swapped.mp4"]


def test_videos_without_samples(tool, folder, tmp_path):
    records = tmp_path / "records"
    (folder / "skeletons").rename(records)
    assert tool.main([str(records), f"videos={tmp_path / 'videos'}", "sheets=0"]) == 0
    assert sorted(path.name for path in (records / "summary/overlays").iterdir()) == ["a__two.mp4", "swapped.mp4"]
    assert tool.main([str(records), "sheets=0"]) == 0
    assert not list((records / "summary/overlays").iterdir()) and summary_of(records)["classes"] == {}


def test_classes_that_an_import_has_kept(tool, tmp_path):
    for number, label in enumerate((3, 3, 11)):
        make(1, source={"label": label}).save(tmp_path / f"{number}.npz")
    tool.main([str(tmp_path), "sheets=0"])
    assert summary_of(tmp_path)["classes"] == {"3": {"records": 2}, "11": {"records": 1}}


def test_only_damaged_records(tool, tmp_path, capsys):
    (tmp_path / "a.npz").write_bytes(b"half")
    assert tool.main([str(tmp_path)]) == 1
    assert summary_of(tmp_path)["persons_per_frame"] == {"mean": None, "max": None, "none": None}
    assert "persons per frame   - on average, at most -" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected a value for data"),
        (["nowhere"], "expected a folder or a .jsonl file at nowhere, found none"),
        (["."], r"expected skeleton records \(.npz\) or samples \(.jsonl\) in ., found none"),
        ([".", "sheets=-1"], "expected sheets of at least 0, found -1"),
        ([".", "videos=none"], "expected a folder at videos=none, found none"),
        ([".", "overlay=1"], "did you mean 'overlays'"),
    ],
)
def test_bad_arguments(tool, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        tool.main(arguments)
