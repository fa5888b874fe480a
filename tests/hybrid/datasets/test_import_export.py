"""Imports go on where they were stopped, spare good clips from bad ones, and come out again as pyskl's pickle."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from hybrid.config.loading import load_config
from hybrid.datasets.import_export import ImportConfig, export_pyskl, import_skeletons
from hybrid.errors import ConfigError, DataError
from skeleton.errors import FormatError, RecordError
from skeleton.formats import Clip, read, write_pyskl
from skeleton.jsonl import read_jsonl
from skeleton.record import Skeleton


def record(seed=0, frames=4) -> Skeleton:
    rng = np.random.default_rng(seed)
    return Skeleton(
        keypoints=rng.uniform(1, 90, (2, frames, 17, 2)),
        confidence=rng.uniform(0.3, 1, (2, frames, 17)),
        visible=np.ones((2, frames, 17), bool),
        boxes=np.zeros((2, frames, 4)),
        timestamps=np.arange(frames) / 10,
        track_ids=np.arange(2),
        layout="coco17",
        frame_size=(100, 120),
        source={},
    )


@pytest.fixture
def config(tmp_path):
    named = [Clip("S1", record(1), 4, ("train",)), Clip("deep/S2", record(2), 0, ("val", "all")), Clip("S3", record(3))]
    write_pyskl(tmp_path / "a.pkl", named)
    return ImportConfig(input=str(tmp_path / "a.pkl"), format="pyskl", output=str(tmp_path / "out"), fps=10)


def test_import_and_export(tmp_path, config):
    calls = []
    assert import_skeletons(config, lambda done, total: calls.append((done, total))) == 3
    assert calls == [(1, 3), (2, 3), (3, 3)]
    lines = read_jsonl(tmp_path / "out" / "index.jsonl")
    assert [line["record"] for line in lines] == ["S1.npz", "S3.npz", "deep/S2.npz"]
    assert not (tmp_path / "out" / "failures.jsonl").exists()
    skeleton = Skeleton.load(tmp_path / "out" / "deep" / "S2.npz")
    np.testing.assert_array_equal(skeleton.keypoints, record(2).keypoints)
    assert (skeleton.source["label"], skeleton.source["splits"]) == (0, ["val", "all"])
    assert export_pyskl(tmp_path / "out", tmp_path / "b.pkl", {"S3": 9}) == 3
    found = {clip.name: clip for clip in read(tmp_path / "b.pkl", "pyskl", fps=10)}
    assert {name: clip.label for name, clip in found.items()} == {"S1": 4, "deep/S2": 0, "S3": 9}
    assert set(found["deep/S2"].splits) == {"val", "all"} and found["S3"].splits == ()
    np.testing.assert_array_equal(found["S1"].skeleton.keypoints, record(1).keypoints)


def test_goes_on_where_it_was_stopped(tmp_path, config):
    import_skeletons(config)
    kept, lost = tmp_path / "out" / "S1.npz", tmp_path / "out" / "S3.npz"
    before, stamp = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    assert import_skeletons(config) == 1
    assert lost.read_bytes() == before and kept.stat().st_mtime_ns == stamp
    assert import_skeletons(config) == 0
    with pytest.raises(ConfigError, match="to hold an import of .*'fps': 5.*found .*'fps': 10.*choose another output"):
        import_skeletons(replace(config, fps=5))
    record().save(tmp_path / "other" / "a.npz")
    with pytest.raises(ConfigError, match="other to hold nothing or an import, found records"):
        import_skeletons(replace(config, output=str(tmp_path / "other")))
    (tmp_path / "out" / "import.json").write_text("{")
    with pytest.raises(DataError, match="expected JSON in .*import.json"):
        import_skeletons(config)


def test_a_bad_clip_is_set_aside(tmp_path):
    source = tmp_path / "ntu"
    source.mkdir()
    for name, text in (("a", "1\n0\n"), ("b", "2\n0\n"), ("c", "2\n0\n0\n")):
        (source / f"{name}.skeleton").write_text(text)
    config = ImportConfig(input=str(source), format="ntu", output=str(tmp_path / "out"))
    with pytest.raises(DataError, match="found 1 of 3 that are not .*b.skeleton is cut.*all reasons in"):
        import_skeletons(config)
    assert [line["record"] for line in read_jsonl(tmp_path / "out" / "index.jsonl")] == ["a.npz", "c.npz"]
    (failure,) = read_jsonl(tmp_path / "out" / "failures.jsonl")
    assert failure["clip"] == "b" and "is cut" in failure["reason"]
    (source / "b.skeleton").write_text("2\n0\n0\n")
    assert import_skeletons(config) == 1 and not (tmp_path / "out" / "failures.jsonl").exists()


def test_names_stay_inside_the_folder(tmp_path, config):
    for name in ("../../evil", "/abs/evil"):
        write_pyskl(tmp_path / "evil.pkl", [Clip(name, record())])
        output = tmp_path / name.strip("./").replace("/", "_") / "out"
        import_skeletons(replace(config, input=str(tmp_path / "evil.pkl"), output=str(output)))
        assert [path.relative_to(output).as_posix() for path in output.rglob("evil.npz")] in (
            ["evil.npz"],
            ["abs/evil.npz"],
        )
    assert not (tmp_path.parent / "evil.npz").exists()
    write_pyskl(tmp_path / "twice.pkl", [Clip("a", record()), Clip("../a", record())])
    with pytest.raises(DataError, match=r"clips 'a' and '../a' would both write .*a.npz: rename one"):
        import_skeletons(replace(config, input=str(tmp_path / "twice.pkl"), output=str(tmp_path / "twice")))


def test_options(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in (2, 3):
        people = [{"person_id": [1], "pose_keypoints_2d": [20, 30, 0.2] * 25}]
        (folder / f"v_{number}_keypoints.json").write_text(json.dumps({"people": people}))
    base = [f"input={tmp_path}", "format=openpose", f"output={tmp_path / 'out'}", "fps=5"]
    config = load_config(ImportConfig, [*base, "frame_size=[90, 160]", "first_frame=2", "confidence_threshold=0.1"])
    assert import_skeletons(config) == 1
    skeleton = Skeleton.load(tmp_path / "out" / "clip.npz")
    assert (skeleton.frame_size, skeleton.num_frames, bool(skeleton.visible.all())) == ((90, 160), 2, True)
    for words, message in (
        (["fps=0"], "expected fps above 0, found 0"),
        (["frame_size=[90]"], r"expected frame_size=\[height, width\] in pixels, found \[90\]"),
        (["layout=coco"], "expected a layout among coco17, .*, found coco"),
        (["format=c3d"], "expected one of pyskl, .* for format, found 'c3d'"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_config(ImportConfig, [*base, *words])
    with pytest.raises(FormatError, match="the format openpose has the options .*, found space; drop it"):
        import_skeletons(replace(config, space="colour"))
    with pytest.raises(FormatError, match="the format openpose holds no times"):
        import_skeletons(replace(config, fps=None))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "out"]


def test_exports_that_cannot_be(tmp_path, config):
    with pytest.raises(DataError, match="expected records .* in .*none, found none"):
        export_pyskl(tmp_path / "none", tmp_path / "b.pkl")
    import_skeletons(config)
    with pytest.raises(DataError, match=r"expected labels of clips in .*out, found some of others \(S9\)"):
        export_pyskl(tmp_path / "out", tmp_path / "b.pkl", {"S9": 1})
    (tmp_path / "out" / "S1.npz").write_bytes(b"cut")
    with pytest.raises(RecordError, match="S1.npz is not a skeleton file"):
        export_pyskl(tmp_path / "out", tmp_path / "b.pkl")
    assert not (tmp_path / "b.pkl").exists()


def test_export_of_records_made_elsewhere(tmp_path):
    record(5).save(tmp_path / "in" / "x" / "one.npz")
    assert export_pyskl(tmp_path / "in", tmp_path / "b.pkl", {"x/one": 2}) == 1
    (entry,) = pickle.loads((tmp_path / "b.pkl").read_bytes())["annotations"]
    assert (entry["frame_dir"], entry["label"], entry["total_frames"], entry["img_shape"]) == (
        "x/one",
        2,
        4,
        (100, 120),
    )
