"""HumanML3D's joints: numbers, NaN, and arrays that are something else."""

import os

import numpy as np
import pytest

from skeleton.errors import FormatError
from skeleton.formats import read


def test_joints(tmp_path):
    joints = np.random.default_rng(0).normal(size=(5, 22, 3)).astype(np.float32)
    joints[2, 7, 1] = np.nan
    np.save(tmp_path / "000001.npy", joints)
    skeleton = read(tmp_path / "000001.npy", "humanml3d")
    assert (skeleton.layout, skeleton.frame_size, skeleton.track_ids.tolist()) == ("smpl22", (1, 1), [0])
    np.testing.assert_allclose(skeleton.timestamps, np.arange(5) / 20)
    assert np.argwhere(~skeleton.visible[0]).tolist() == [[2, 7]]
    np.testing.assert_array_equal(skeleton.keypoints[0][skeleton.visible[0]], joints[skeleton.visible[0]])


def test_scores_are_no_third_coordinate(tmp_path):
    """Pixels of a 1080p picture beside scores; the same joints in metres, 40 m away, are read."""
    joints = np.random.default_rng(0).uniform(0, 1, (5, 22, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", joints * np.float32([1900, 1000, 1]))
    with pytest.raises(FormatError, match=r"a\.npy: expected x, y, z in metres, found bodies of 1\d{3} across"):
        read(tmp_path / "a.npy", "humanml3d")
    np.save(tmp_path / "b.npy", joints + np.float32([40, 0, 0]))
    assert read(tmp_path / "b.npy", "humanml3d").visible.all()


class Malicious:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_bad_files(tmp_path):
    path = tmp_path / "a.npy"

    def refused(message):
        with pytest.raises(FormatError, match=message):
            read(path, "humanml3d")

    refused("expected a .npy of HumanML3D's new_joints at .*a.npy, found no such file")
    for array, found in (
        (np.zeros((5, 263), np.float32), r"\[5, 263\] float32"),
        (np.zeros((0, 22, 3), np.float32), r"\[0, 22, 3\]"),
        (np.zeros((5, 22, 2), np.float32), r"\[5, 22, 2\]"),
        (np.zeros((5, 22, 3), "U3"), r"<U3"),
    ):
        np.save(path, array)
        refused(rf"must hold joints \[T, 22, 3\] in metres, found .*{found}.*; give a file of new_joints")
    np.save(path, np.array([Malicious(f"touch {tmp_path / 'ran'}")], object), allow_pickle=True)
    refused("found an unreadable file .*allow_pickle=False")
    assert not (tmp_path / "ran").exists()
    np.save(path, np.zeros((5, 22, 3)))
    whole = path.read_bytes()
    for length in (0, 4, 60, len(whole) - 8):
        path.write_bytes(whole[:length])
        refused("found an unreadable file")
    np.savez(tmp_path / "b.npz", a=np.zeros(3))
    path.write_bytes((tmp_path / "b.npz").read_bytes())
    refused("found an unreadable file")
