"""Labelled clips: what a file must hold, how it is split, and which rows a network gets."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid.config.recognition import ActionsConfig
from hybrid.data import labelled_skeletons
from hybrid.data.labelled_skeletons import ActionRows, Shuffled, collate_rows, load_actions, seed_of
from hybrid.errors import DataError
from skeleton.errors import FormatError
from skeleton.formats import write_pyskl
from skeleton.formats.common import Clip


def config(path, **keys) -> ActionsConfig:
    return ActionsConfig(**({"file": str(path)} | keys))


def write(path, *, joints=20, clips=40, planar=False, **other):
    """Clip i has label i % 4 and i + 5 rows; every fifth clip is of the split val."""
    random = np.random.default_rng(0)
    lengths = np.arange(clips) + 5
    rows = random.normal(size=(lengths.sum(), joints, 3)).astype(np.float32) + 10
    data = {
        "xyz": rows,
        "offset": np.concatenate(([0], lengths.cumsum())),
        "label": np.array([f"class {i % 4}" for i in range(clips)]),
        "name": np.array([f"clip {i}" for i in range(clips)]),
        "split": np.where(np.arange(clips) % 5 == 0, "val", "train"),
    }
    if planar:
        data["xyz"][..., 2] = random.random(rows.shape[:2]) > 0.3
        data["dimensions_hw_n"] = np.tile([20, 40, 1], (clips, 1))
    np.savez(path, **(data | other))
    return data


def test_splits_do_not_meet_and_keep_the_classes(tmp_path):
    write(tmp_path / "set.npz")
    actions = load_actions(config(tmp_path / "set.npz", val_share=0.25), seed=0)
    names = [{clip.name for clip in clips} for clips in (actions.train, actions.val, actions.test)]
    assert not names[0] & names[1] and not names[2] & (names[0] | names[1])
    assert list(map(len, names)) == [24, 8, 8]
    assert np.bincount([clip.label for clip in actions.val]).tolist() == [2, 2, 2, 2]
    assert actions.classes == ["class 0", "class 1", "class 2", "class 3"]
    assert (actions.layout, actions.coordinates) == ("kinect20", 3)
    again = load_actions(config(tmp_path / "set.npz", val_share=0.25), seed=0)
    assert [clip.name for clip in again.val] == [clip.name for clip in actions.val]
    other = load_actions(config(tmp_path / "set.npz", val_share=0.25), seed=1)
    assert [clip.name for clip in other.val] != [clip.name for clip in actions.val]


def test_a_share_of_the_labels(tmp_path):
    write(tmp_path / "set.npz")
    actions = load_actions(config(tmp_path / "set.npz", val_share=0.0, label_share=0.25), seed=0)
    assert np.bincount([clip.label for clip in actions.train]).tolist() == [2, 2, 2, 2]
    assert actions.val == []


def test_hidden_joints_of_two_dimensional_clips(tmp_path):
    data = write(tmp_path / "set.npz", joints=13, planar=True)
    actions = load_actions(config(tmp_path / "set.npz"), seed=0)
    clip = next(clip for clip in actions.test if clip.name == "clip 5")
    rows = data["xyz"][data["offset"][5] : data["offset"][6]]
    assert (actions.layout, actions.coordinates) == ("penn13", 2)
    np.testing.assert_array_equal(clip.skeleton.keypoints[0], rows[..., :2])
    np.testing.assert_array_equal(clip.skeleton.confidence[0], np.where(rows[..., 2] > 0, 1, 0.5))
    assert clip.skeleton.visible.all()
    points, _, _, _, aspect, label = ActionRows([clip], 10, 1)[0]
    assert (aspect, label) == (2.0, 1)
    np.testing.assert_allclose(points[0], rows[..., :2] / 20, atol=1e-6)


def test_joints_in_the_corner_were_not_annotated(tmp_path):
    data = write(tmp_path / "set.npz", joints=13, planar=True)
    first = data["offset"][5]
    data["xyz"][first, :3] = [(1, 1, 0), (0.75, 0.75, 0), (1, 1, 1)]
    data["xyz"][first, 3:5] = [(1, 9, 0), (9, 1, 0)]
    np.savez(tmp_path / "set.npz", **data)
    actions = load_actions(config(tmp_path / "set.npz"), seed=0)
    record = next(clip.skeleton for clip in actions.test if clip.name == "clip 5")
    assert record.visible[0, 0].tolist() == [False, False] + [True] * 11 and record.visible[0, 1:].all()
    assert (record.keypoints[0, 0, :2] == 0).all() and (record.confidence[0, 0, :2] == 0).all()


def test_rows_lie_between_the_rows_of_the_clip(tmp_path):
    write(tmp_path / "set.npz")
    clip = load_actions(config(tmp_path / "set.npz"), seed=0).test[0]
    points, confidence, visible, times, _, _ = ActionRows([clip], 9, 2)[0]
    known = clip.skeleton.keypoints[0]
    np.testing.assert_allclose(points[0, ::2], known, atol=1e-5)
    np.testing.assert_allclose(points[0, 1::2], (known[1:] + known[:-1]) / 2, atol=1e-5)
    assert visible.all() and (confidence == 1).all()
    np.testing.assert_allclose(times, np.arange(9) / 60, atol=1e-9)


def test_a_missing_joint_is_never_mixed_in(tmp_path):
    data = write(tmp_path / "set.npz")
    data["xyz"][1, 3] = 0  # in the second row of the first clip
    np.savez(tmp_path / "set.npz", **data)
    clip = load_actions(config(tmp_path / "set.npz"), seed=0).test[0]
    points, confidence, visible, *_ = ActionRows([clip], 13, 1)[0]
    assert visible[0, :, 3].tolist() == [True, True, False, False, False] + [True] * 8
    np.testing.assert_allclose(points[0, 1, 3], data["xyz"][0, 3])
    np.testing.assert_allclose(points[0, 5, 3], data["xyz"][2, 3])
    assert (points[0, 2:5, 3] == 0).all() and (confidence[0, 2:5, 3] == 0).all()


def test_training_takes_another_part_each_epoch(tmp_path):
    write(tmp_path / "set.npz")
    clips = load_actions(config(tmp_path / "set.npz"), seed=0).train
    rows = ActionRows(clips, 16, 1, crop=0.5, seed=3)
    first = rows[9][0]
    np.testing.assert_array_equal(first, rows[9][0])
    rows.epoch = 1
    assert not np.array_equal(first, rows[9][0])
    spans = []
    for epoch in range(50):
        rows.epoch = epoch
        spans.append(rows[9][3][-1] * 30 / (clips[9].skeleton.num_frames - 1))
    assert 0.5 <= min(spans) < 0.6 and 0.9 < max(spans) <= 1


def test_uneven_rows_are_random_moments_in_their_order(tmp_path):
    write(tmp_path / "set.npz")
    clips = load_actions(config(tmp_path / "set.npz"), seed=0).train
    times = ActionRows(clips, 64, 1, crop=0.5, uneven=True, seed=3)[9][3]
    steps = np.diff(times)
    assert (steps >= 0).all() and steps.std() > 0.5 * steps.mean()
    assert np.diff(ActionRows(clips, 64, 1, crop=0.5, seed=3)[9][3]).std() < 1e-6


def test_copies_of_training_clips_are_found(tmp_path):
    write(tmp_path / "set.npz")
    actions = load_actions(config(tmp_path / "set.npz"), seed=0)
    assert actions.copies() == set()
    copied = [replace(actions.train[3], name="one"), replace(actions.val[0], name="other")]
    assert replace(actions, test=[*actions.test, *copied]).copies() == {"one", "other"}


def test_a_clip_of_one_row_and_persons_of_unlike_number(tmp_path):
    write(tmp_path / "set.npz", clips=10)
    one = load_actions(config(tmp_path / "set.npz"), seed=0).train[0]
    short = ActionRows([one], 4, 1)[0]
    item = tuple(np.concatenate([array, array]) if array.ndim > 2 else array for array in map(np.asarray, short))
    batch, labels = collate_rows([short, item], "kinect20")
    assert batch.keypoints.shape == (2, 2, 4, 20, 3)
    assert batch.visible.any((2, 3)).tolist() == [[True, False], [True, True]]
    assert labels.tolist() == [one.label] * 2
    assert batch.keypoints.dtype == torch.float32


def test_pickles_of_pyskl(tmp_path):
    write(tmp_path / "set.npz")
    actions = load_actions(config(tmp_path / "set.npz", val_share=0.0), seed=0)
    write_pyskl(tmp_path / "set.pkl", [*actions.train, *actions.test])
    same = load_actions(config(tmp_path / "set.pkl", layout="kinect20", classes=actions.classes, val_share=0.0), seed=0)
    assert [clip.name for clip in same.test] == [clip.name for clip in actions.test]
    assert same.classes == actions.classes
    np.testing.assert_allclose(same.test[0].skeleton.keypoints, actions.test[0].skeleton.keypoints)
    with pytest.raises(DataError, match=r"expected 4 names in data.classes for .*, found 1"):
        load_actions(config(tmp_path / "set.pkl", layout="kinect20", classes=["a"]), seed=0)
    write_pyskl(tmp_path / "bare.pkl", [Clip("x", actions.test[0].skeleton, None, ("train",))])
    with pytest.raises(DataError, match="expected a label for every clip of .*, found none for x"):
        load_actions(config(tmp_path / "bare.pkl", layout="kinect20"), seed=0)


def test_what_a_file_lacks_is_said(tmp_path):
    with pytest.raises(DataError, match="expected labelled skeletons at .*, found no such file"):
        load_actions(config(tmp_path / "none.npz"), seed=0)
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "few.npz", xyz=np.zeros((1, 20, 3)))
    for name in ("text", "few"):
        with pytest.raises(DataError, match="expected xyz, offset, label, name and split in"):
            load_actions(config(tmp_path / f"{name}.npz"), seed=0)
    write(tmp_path / "odd.npz", joints=7)
    with pytest.raises(FormatError, match=r"expected 20 \(kinect20\), 13 \(penn13\) joints, found 7"):
        load_actions(config(tmp_path / "odd.npz"), seed=0)
    write(tmp_path / "three.npz", split=np.array(["a", "b", "train", "train"] * 10))
    with pytest.raises(DataError, match="expected the splits train and one other in .*, found a, b, train"):
        load_actions(config(tmp_path / "three.npz"), seed=0)
    assert len(load_actions(config(tmp_path / "three.npz", test_split="b"), seed=0).test) == 10


def test_seeds_differ():
    assert len({seed_of(a, b, c) for a in range(3) for b in range(3) for c in range(3)}) == 27


def test_processes_share_an_epoch_without_meeting(tmp_path, monkeypatch):
    write(tmp_path / "set.npz")
    rows = ActionRows(load_actions(config(tmp_path / "set.npz", val_share=0.0), seed=0).train[:31], 4, 1)
    sampler = Shuffled(rows)
    assert sorted(sampler) == list(range(31)) and len(sampler) == 31
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    shares = []
    for rank in range(3):
        monkeypatch.setattr(labelled_skeletons, "_ranks", lambda rank=rank: (rank, 3))
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1]) == 10
    assert len({place for share in shares for place in share}) == 30
