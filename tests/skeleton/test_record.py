"""The record: validation, files that are the same bytes, and files that must not be read."""

import json
import pickle
import time
from dataclasses import replace

import numpy as np
import pytest

from skeleton.errors import RecordError, SkeletonError
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton


def record(persons: int = 2, frames: int = 4, coordinates: int = 2) -> Skeleton:
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 40, (persons, frames, 2))
    visible = rng.random((persons, frames, 17)) > 0.3
    return Skeleton(
        keypoints=np.where(visible[..., None], rng.uniform(0, 99, (*visible.shape, coordinates)), np.nan),
        confidence=rng.random((persons, frames, 17)),
        visible=visible,
        boxes=np.concatenate((low, low + 20), -1),
        timestamps=np.arange(frames) / 30,
        track_ids=np.arange(persons) + 7,
        layout="coco17",
        frame_size=(100, 120),
        source={"video": "a.mp4", "settings": {"threshold": 0.3}},
    )


def same(a: Skeleton, b: Skeleton) -> None:
    for name in ("keypoints", "confidence", "visible", "boxes", "timestamps", "track_ids"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype
    assert (a.layout, a.frame_size, a.source) == (b.layout, b.frame_size, b.source)


def with_value(name, index, value):
    array = getattr(record(), name).copy()
    array[index] = value
    return {name: array}


@pytest.mark.parametrize("skeleton", [record(), record(0), record(1, 1), record(coordinates=3)])
def test_file_gives_back_the_record(tmp_path, skeleton):
    skeleton.save(tmp_path / "a.npz")
    same(Skeleton.load(tmp_path / "a.npz"), skeleton)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_same_record_same_bytes(tmp_path):
    record().save(tmp_path / "a.npz")
    time.sleep(2.1)
    record().save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    record().save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()

    def fail(file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        record(1).save(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_arrays_are_copies_and_read_only():
    given = np.zeros((1, 2, 17, 2), dtype=np.float32)
    skeleton = replace(record(1, 2), keypoints=given)
    given[:] = 5
    assert (skeleton.keypoints == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        skeleton.keypoints[0] = 1


def test_empty_and_sizes():
    nobody = Skeleton.empty(np.arange(5) / 10, (48, 64), "smpl22", {"video": "b.mp4"})
    assert (nobody.num_persons, nobody.num_frames, nobody.frame_size) == (0, 5, (48, 64))
    assert nobody.keypoints.shape == (0, 5, 22, 2)
    assert (record(3, 2).num_persons, record(3, 2).num_frames) == (3, 2)


def test_mirrored():
    skeleton, layout = record(), get_layout("coco17")
    mirror = skeleton.mirrored()
    left, right = layout.index("left_wrist"), layout.index("right_wrist")
    moved = 119 - skeleton.keypoints[:, :, right, 0]
    np.testing.assert_allclose(mirror.keypoints[:, :, left, 0], moved)
    np.testing.assert_array_equal(mirror.keypoints[:, :, left, 1], skeleton.keypoints[:, :, right, 1])
    np.testing.assert_array_equal(mirror.visible[:, :, left], skeleton.visible[:, :, right])
    np.testing.assert_allclose(mirror.boxes[..., 0], 119 - skeleton.boxes[..., 2])
    again = mirror.mirrored()
    np.testing.assert_allclose(again.keypoints, skeleton.keypoints, atol=1e-4)
    np.testing.assert_allclose(again.boxes, skeleton.boxes, atol=1e-4)
    metres = record(coordinates=3)
    moved = -metres.keypoints[:, :, right, 0]
    np.testing.assert_array_equal(metres.mirrored().keypoints[:, :, left, 0], moved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": np.zeros((2, 4, 13, 2))}, r"\[M, T, 17, 2 or 3\], found \[2, 4, 13, 2\]"),
        ({"keypoints": np.zeros((2, 4, 17, 4))}, r"found \[2, 4, 17, 4\]"),
        ({"layout": "coco"}, "unknown joint layout 'coco'; choose one of coco17"),
        ({"confidence": np.zeros((2, 3, 17))}, r"confidence must be \[2, 4, 17\].*found \[2, 3, 17\]"),
        ({"visible": np.ones((2, 4, 17))}, r"visible must be an array of bool, found float64 \[2, 4, 17\]"),
        ({"boxes": np.zeros((2, 4, 5))}, r"boxes must be \[2, 4, 4\]"),
        ({"track_ids": np.zeros(3)}, r"track_ids must be \[2\]"),
        ({"track_ids": np.array([3, 3])}, r"track_ids must differ, found \[3, 3\]"),
        ({"timestamps": np.array([0, 0.1, 0.1, 0.2])}, r"strictly increasing, found \[0.1, 0.1\] at row 1"),
        (
            {"timestamps": np.array([0, 0.1, np.nan, 0.2])},
            r"strictly increasing, found \[0.1, nan\] at row 1",
        ),
        ({"timestamps": np.array(["a"] * 4)}, "timestamps must be an array of float64, found <U1"),
        (with_value("confidence", (0, 1, 2), 1.5), r"in 0..1, found 1.5 at \[m, t, v\] = \[0, 1, 2\]; clip"),
        (with_value("confidence", (0, 1, 2), np.nan), "in 0..1, found nan"),
        (
            with_value("boxes", (1, 2), [9, 0, 3, 4]),
            r"x1 y1 x2 y2 in order, found \[9. 0. 3. 4.\] at \[1, 2\]",
        ),
        (
            {"visible": np.ones((2, 4, 17), dtype=bool)},
            r"finite keypoints, found \[nan nan\] at \[\d, \d, \d+\]",
        ),
        ({"frame_size": (0, 10)}, r"\(height, width\) in whole positive pixels, found \(0, 10\)"),
        ({"frame_size": 100}, "whole positive pixels, found 100"),
        ({"source": []}, "source must be a JSON dict, found list"),
        ({"source": {"a": float("nan")}}, "a value that JSON cannot hold"),
    ],
)
def test_validation(change, message):
    with pytest.raises(SkeletonError, match=message):
        replace(record(), **change)


def test_no_frame():
    with pytest.raises(RecordError, match="a row for at least one frame, found none"):
        Skeleton.empty(np.zeros(0), (4, 5))


def write_npz(path, **arrays):
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def test_files_that_are_not_records(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(RecordError, match=r"expected a skeleton file at .*a\.npz, found none"):
        Skeleton.load(path)
    for content in (b"", b"hello", pickle.dumps({"keypoint": 1})):
        path.write_bytes(content)
        with pytest.raises(RecordError, match=r"a\.npz is not a skeleton file \(\.npz\); extract"):
            Skeleton.load(path)
    write_npz(path, x=np.zeros(3))
    with pytest.raises(RecordError, match="it lacks 'header"):
        Skeleton.load(path)
    write_npz(path, header=np.array("no json"))
    with pytest.raises(RecordError, match="is not a skeleton file without pickled objects"):
        Skeleton.load(path)
    record().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordError, match="is not a skeleton file"):
        Skeleton.load(path)
    at = whole.index(b"keypoints.npy") + 60
    path.write_bytes(whole[:at] + bytes(64) + whole[at + 64 :])
    with pytest.raises(RecordError, match="cut or damaged"):
        Skeleton.load(path)


class Trap:
    opened = False

    def __reduce__(self):
        return (setattr, (Trap, "opened", True))


def test_a_pickled_array_is_refused_and_not_run(tmp_path):
    path = tmp_path / "a.npz"
    record().save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["keypoints"] = np.array([Trap()], dtype=object)
    write_npz(path, **arrays)
    with pytest.raises(RecordError, match="pickled objects"):
        Skeleton.load(path)
    assert not Trap.opened


def test_a_file_that_breaks_the_contract_is_named(tmp_path):
    path = tmp_path / "a.npz"
    record().save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    write_npz(path, **{**arrays, "track_ids": np.array([1, 1])})
    with pytest.raises(RecordError, match=r"a\.npz: track_ids must differ"):
        Skeleton.load(path)
    header = json.loads(str(arrays["header"][()]))
    write_npz(path, **{**arrays, "header": np.array(json.dumps({**header, "version": 99}))})
    with pytest.raises(RecordError, match="has format version 99, this code reads 1"):
        Skeleton.load(path)
