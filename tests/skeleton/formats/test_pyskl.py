"""The pickle of pyskl: what goes out comes back, and mmaction2 trains on it."""

import importlib.util
import io
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skeleton.errors import FormatError
from skeleton.formats import Clip, clips, read, write_pyskl
from skeleton.formats.pyskl import read_pyskl
from skeleton.layouts.layout import LAYOUTS, get_layout
from skeleton.record import Skeleton


def record(layout="coco17", persons=2, frames=5, coordinates=2, seed=0) -> Skeleton:
    rng, joints = np.random.default_rng(seed), len(get_layout(layout).joints)
    visible = rng.random((persons, frames, joints)) > 0.4
    visible[:, 0, 0] = True
    return Skeleton(
        keypoints=np.where(visible[..., None], rng.uniform(1, 90, (*visible.shape, coordinates)), np.nan),
        confidence=np.where(visible, rng.uniform(0.3, 1, visible.shape), 0.1),
        visible=visible,
        boxes=np.zeros((persons, frames, 4)),
        timestamps=np.arange(frames) / 25,
        track_ids=np.arange(persons),
        layout=layout,
        frame_size=(100, 120),
        source={},
    )


def annotation(**changes) -> dict:
    """One annotation as pyskl's scripts write it: two slots, the second one empty padding."""
    rng = np.random.default_rng(3)
    keypoint, score = np.zeros((2, 4, 17, 2), np.float16), np.zeros((2, 4, 17), np.float16)
    keypoint[0], score[0] = rng.uniform(10, 90, (4, 17, 2)), 0.75
    keypoint[0, 2], score[0, 2] = 0, 0
    score[0, 1, 3] = 0.25
    whole = {"frame_dir": "S001A002", "total_frames": 4, "img_shape": (100, 120), "original_shape": (100, 120)}
    whole |= {"label": np.int64(1), "keypoint": keypoint, "keypoint_score": score}
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def dump(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@settings(deadline=None, max_examples=40)
@given(
    layout=st.sampled_from([name for name in LAYOUTS if name not in ("h36m17", "openpose25")]),
    persons=st.integers(0, 3),
    frames=st.integers(1, 6),
    coordinates=st.sampled_from([2, 3]),
    seed=st.integers(0, 99),
)
def test_what_goes_out_comes_back(tmp_path_factory, layout, persons, frames, coordinates, seed):
    path = tmp_path_factory.mktemp("round") / "a.pkl"
    skeleton = record(layout, persons, frames, coordinates, seed)
    assert write_pyskl(path, [Clip("a", skeleton, 3, ("train", "all")), Clip("b", skeleton)]) == 2
    first, second = read(path, "pyskl", fps=25)
    assert (first.name, first.label, set(first.splits)) == ("a", 3, {"train", "all"})
    assert (second.name, second.label, second.splits) == ("b", None, ())
    back = first.skeleton
    np.testing.assert_array_equal(back.visible, skeleton.visible)
    seen = skeleton.visible
    np.testing.assert_array_equal(back.keypoints[seen], skeleton.keypoints[seen])
    np.testing.assert_array_equal(back.confidence[seen], skeleton.confidence[seen] if coordinates == 2 else 1)
    np.testing.assert_array_equal(back.timestamps, skeleton.timestamps)
    assert (back.layout, back.frame_size) == (layout, (100, 120))
    assert back.track_ids.tolist() == list(range(persons))


def test_released_form(tmp_path):
    """Half precision, an empty second slot, a frame with nobody, an unsure joint."""
    value = {"split": {"xsub_train": ["S001A002"], "xsub_val": ["other"]}, "annotations": [annotation()]}
    (clip,) = read_pyskl(dump(tmp_path / "a.pkl", value), fps=30)
    skeleton = clip.skeleton
    assert (clip.name, clip.label, clip.splits) == ("S001A002", 1, ("xsub_train",))
    assert skeleton.keypoints.shape == (1, 4, 17, 2) and skeleton.track_ids.tolist() == [0]
    assert not skeleton.visible[0, 2].any() and not skeleton.visible[0, 1, 3] and skeleton.visible[0, 0].all()
    np.testing.assert_allclose(skeleton.timestamps, [0, 1 / 30, 2 / 30, 3 / 30])
    points = annotation()["keypoint"][0, 0].astype(np.float32)
    np.testing.assert_array_equal(skeleton.boxes[0, 0], [*points.min(0), *points.max(0)])
    assert not skeleton.boxes[0, 2].any()
    (low,) = read_pyskl(tmp_path / "a.pkl", fps=30, confidence_threshold=0.2)
    assert low.skeleton.visible[0, 1, 3] and not low.skeleton.visible[0, 2].any()


def test_bare_list_and_metres(tmp_path):
    """What pyskl's script for own videos writes, and the 3D pickles of NTU: no score, no picture, zeros for missing."""
    (clip,) = read_pyskl(dump(tmp_path / "a.pkl", [annotation(label=None)]), fps=30)
    assert clip.label is None and clip.splits == ()
    joints = np.ones((2, 3, 25, 3), np.float32)
    joints[0, :, 4], joints[1] = 0, 0
    three = annotation(keypoint=joints, keypoint_score=None, total_frames=3, img_shape=None, original_shape=None)
    (clip,) = read_pyskl(dump(tmp_path / "b.pkl", {"split": {}, "annotations": [three]}), fps=30)
    assert (clip.skeleton.layout, clip.skeleton.frame_size) == ("ntu25", (1, 1))
    assert clip.skeleton.visible.shape == (1, 3, 25) and not clip.skeleton.visible[0, :, 4].any()


def test_fields_of_none_are_absent(tmp_path):
    """As scripts write what they do not know."""
    whole = {"frame_inds": None, "filename": "b", "frame_dir": None, "total_frames": None, "label": None}
    whole |= {"img_shape": None, "original_shape": (80, 60)}
    path = dump(tmp_path / "a.pkl", {"split": None, "annotations": [annotation() | whole]})
    (clip,) = read_pyskl(path, fps=30, frame_size=(7, 7))
    assert (clip.name, clip.label, clip.splits, clip.skeleton.frame_size) == ("b", None, (), (80, 60))
    assert clip.skeleton.num_frames == 4
    path = dump(tmp_path / "a.pkl", [annotation() | {"img_shape": None, "original_shape": None}])
    assert next(read_pyskl(path, fps=30, frame_size=(100, 200))).skeleton.frame_size == (100, 200)


@pytest.mark.parametrize("scores", [None, np.ones((2, 4, 17), np.float32)])
def test_scores_are_no_third_coordinate(tmp_path, scores):
    """x, y, score in one array; metres of any place, and millimetres, are no scores."""
    rng = np.random.default_rng(0)
    joints = rng.uniform(0, 1, (2, 4, 17, 3)).astype(np.float32)
    pixels = annotation(keypoint=joints * (1900, 1000, 1), keypoint_score=scores)
    with pytest.raises(FormatError, match=r"a\.pkl, annotation 0 .*expected x, y, z in metres, .*like x, y in pixels"):
        list(read_pyskl(dump(tmp_path / "a.pkl", [pixels]), fps=30))
    for good in (joints * (1, 2, 1), joints + np.array([40, 0, 0]), joints * (900, 1800, 400)):
        (clip,) = read_pyskl(dump(tmp_path / "a.pkl", [annotation(keypoint=good, keypoint_score=scores)]), fps=30)
        assert clip.skeleton.keypoints.shape == (2, 4, 17, 3)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_and_both_numpys(tmp_path, protocol):
    """NumPy 1 names numpy.core and NumPy 2 numpy._core; protocol 5 rebuilds arrays by another function."""
    text = pickle.dumps([annotation()], protocol=protocol)
    (tmp_path / "new.pkl").write_bytes(text)
    old = text.replace(b"numpy._core", b"numpy.core")
    if protocol >= 4:  # lengths of names and of the frame are part of these
        old = old.replace(b"\x8c\x16numpy.core.multiarray", b"\x8c\x15numpy.core.multiarray")
        old = old.replace(b"\x8c\x13numpy.core.numeric", b"\x8c\x12numpy.core.numeric")
        old = old[:3] + struct.pack("<Q", len(old) - 11) + old[11:]
    (tmp_path / "old.pkl").write_bytes(old)
    for name in ("new.pkl", "old.pkl"):
        (clip,) = read_pyskl(tmp_path / name, fps=30)
        np.testing.assert_array_equal(clip.skeleton.keypoints[0, 0], annotation()["keypoint"][0, 0])
        assert clip.label == 1


def test_the_file_names_nothing_that_older_numpys_lack(tmp_path):
    write_pyskl(tmp_path / "a.pkl", [Clip("a", record())])
    named = []

    class Listing(pickle.Unpickler):
        def find_class(self, module, name):
            named.append(f"{module}.{name}")
            return super().find_class(module, name)

    value = Listing(io.BytesIO((tmp_path / "a.pkl").read_bytes())).load()
    assert set(named) == {"numpy.ndarray", "builtins.bytearray"}
    value["annotations"][0]["keypoint"][:] = 1  # pipelines normalise in place


def test_mmaction_reads_it(tmp_path):
    """Through mmaction2's own data set and pipeline to the tensor that its networks take."""
    if importlib.util.find_spec("mmaction") is None:
        pytest.skip("mmaction2 is not installed")
    from skeleton.openmmlab import prepare

    prepare("mmengine", "mmcv", "mmaction")
    from mmaction.datasets import PoseDataset
    from mmaction.utils import register_all_modules

    register_all_modules()
    steps = [
        {"type": "PreNormalize2D"},
        {"type": "GenSkeFeat", "dataset": "coco", "feats": ["j"]},
        {"type": "UniformSampleFrames", "clip_len": 5, "num_clips": 1, "test_mode": True},
        {"type": "PoseDecode"},
        {"type": "FormatGCNInput", "num_person": 2},
        {"type": "PackActionInputs"},
    ]
    skeletons = [record(seed=1), record(persons=1, seed=2), record(persons=0)]
    path = tmp_path / "a.pkl"
    write_pyskl(path, [Clip(f"clip {i}", s, i, ("train",)) for i, s in enumerate(skeletons)])
    dataset = PoseDataset(ann_file=str(path), pipeline=steps, split="train", test_mode=True)
    assert len(dataset) == 3
    for index, skeleton in enumerate(skeletons):
        sample = dataset[index]
        inputs = np.asarray(sample["inputs"])[0]  # [M, T, V, x y score]
        assert int(sample["data_samples"].gt_label) == index and inputs.shape == (2, 5, 17, 3)
        seen = skeleton.visible
        expected = (skeleton.keypoints - np.array([60, 50])) / np.array([60, 50])
        found = inputs[: skeleton.num_persons]
        np.testing.assert_allclose(found[..., :2][seen], expected[seen], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[..., 2], np.where(seen, skeleton.confidence, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"frame_dir": None, "frame_dict": "x"},
            "expected a name in frame_dir, found the keys total_frames, .*frame_dict",
        ),
        ({"keypoint": None}, "found the variant whose joints lie in separate files"),
        ({"keypoint": np.zeros((4, 17, 2))}, r"expected keypoint \[M, T, V, 2 or 3\], found \[4, 17, 2\]"),
        ({"keypoint": [[1, 2], [3]]}, "expected an array in keypoint, found rows of unlike lengths"),
        ({"keypoint_score": np.zeros((2, 4, 16))}, r"found \[2, 4, 16\] beside \[2, 4, 17, 2\]"),
        ({"keypoint_score": None}, "expected keypoint_score beside keypoints in pixels, found none"),
        ({"total_frames": 9}, "a row for each of its 9 frames, found 4; frames were dropped"),
        ({"img_shape": None, "original_shape": None}, "no picture size that all frames share, found no frame_size"),
        ({"img_shape": (0, 10)}, r"must be \(height, width\) in whole pixels, found \(0, 10\)"),
        ({"label": [1, 2]}, r"expected one class number as label, found \[1, 2\]"),
        ({"keypoint": np.zeros((2, 4, 14, 2)), "keypoint_score": np.zeros((2, 4, 14))}, "joints, found 14; name the"),
    ],
)
def test_a_bad_annotation_is_named_and_spares_the_others(tmp_path, change, message):
    path = dump(tmp_path / "a.pkl", [annotation(**change), annotation(frame_dir="good")])
    (_, bad), (name, good) = clips(path, "pyskl", fps=30)
    with pytest.raises(FormatError, match=r"a\.pkl, annotation 0.*" + message):
        bad()
    assert name == "good" and good().skeleton.num_frames == 4


def test_bad_files(tmp_path):
    with pytest.raises(FormatError, match="expected a pickle of pyskl or mmaction2 at .*none.pkl, found no such file"):
        read(tmp_path / "none.pkl", "pyskl", fps=30)
    whole = pickle.dumps({"split": {}, "annotations": [annotation()]})
    for length in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pkl").write_bytes(whole[:length])
        with pytest.raises(FormatError, match="found an unreadable pickle .*; copy it again"):
            read(tmp_path / "cut.pkl", "pyskl", fps=30)
    with pytest.raises(FormatError, match="fps must be frames a second above 0, found -1"):
        read(dump(tmp_path / "a.pkl", [annotation()]), "pyskl", fps=-1)
    with pytest.raises(FormatError, match="holds no times, found no fps either; give fps"):
        read(tmp_path / "a.pkl", "pyskl")
    with pytest.raises(FormatError, match="with a list of annotations, found none"):
        read(dump(tmp_path / "b.pkl", {"split": {}, "labels": []}), "pyskl", fps=30)
    with pytest.raises(FormatError, match="expected split as"):
        read(dump(tmp_path / "c.pkl", {"split": ["a"], "annotations": []}), "pyskl", fps=30)
    with pytest.raises(FormatError, match="layout h36m17 has 17 joints, found 18"):
        joints = {"keypoint": np.zeros((1, 4, 18, 2)), "keypoint_score": np.ones((1, 4, 18))}
        list(read(dump(tmp_path / "d.pkl", [annotation(**joints)]), "pyskl", fps=30, layout="h36m17"))


def test_writing_is_whole_or_not_at_all(tmp_path):
    clip = Clip("a", record())
    with pytest.raises(FormatError, match="expected each clip once in .*, found 'a' twice"):
        write_pyskl(tmp_path / "a.pkl", [clip, clip])
    assert not list(tmp_path.iterdir())
    unsure = replace(record(), confidence=np.zeros((2, 5, 17)))
    write_pyskl(tmp_path / "a.pkl", [Clip("a", unsure)])
    (back,) = read_pyskl(tmp_path / "a.pkl", fps=25, confidence_threshold=0)
    np.testing.assert_array_equal(back.skeleton.visible, unsure.visible)
