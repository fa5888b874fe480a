"""Recognition as its users run it: train, test, probes, sums of streams, going on after an interruption."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid.benches.recognition import RecognitionBench, measure
from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config
from hybrid.config.recognition import AugmentConfig, RecognitionConfig
from hybrid.data.labelled_skeletons import Actions
from hybrid.errors import CheckpointError, ConfigError, DataError
from hybrid.modules.recognition import augment
from hybrid.runs import recognition_test, recognition_train
from hybrid.runs.kinds import kind_of
from hybrid.runs.run_folder import RunFolder
from skeleton.inputs.augmentation import behind
from skeleton.jsonl import read_jsonl
from skeleton.layouts.layout import get_layout
from tests.skeleton.encoders.batches import make


@pytest.fixture(scope="module")
def actions(tmp_path_factory):
    """Two classes: the left or the right hand goes up and down; 60 clips, a quarter of them to test, the last a copy of a
    training clip."""
    random, layout = np.random.default_rng(0), get_layout("kinect20")
    rest = np.zeros((20, 3), np.float32)
    for joint, place in {"left_hip": (0.1, -0.5), "right_hip": (-0.1, -0.5), "left_shoulder": (0.2, 0), "neck": (0, 0.1),
                         "right_shoulder": (-0.2, 0), "left_hand": (0.3, -0.4), "right_hand": (-0.3, -0.4)}.items():  # fmt: skip
        rest[layout.index(joint), :2] = place
    clips, lengths = [], random.integers(10, 30, 60)
    for number, length in enumerate(lengths):
        rows = np.repeat(rest[None], length, 0) + random.normal(0, 0.01, (length, 20, 3)) + random.normal(0, 1, 3)
        rows[:, layout.index(("left_hand", "right_hand")[number // 4 % 2]), 1] += (
            0.5 * np.sin(np.arange(length) / 2) ** 2
        )
        clips.append(rows.astype(np.float32))
    clips[59], lengths[59] = clips[57], lengths[57]
    path = tmp_path_factory.mktemp("actions") / "set.npz"
    np.savez(
        path, xyz=np.concatenate(clips), offset=np.concatenate(([0], lengths.cumsum())), label=np.arange(60) // 4 % 2,
        name=np.array([f"clip {i}" for i in range(60)]), split=np.where(np.arange(60) % 4 == 3, "val", "train"),
    )  # fmt: skip
    return path


def config(actions, output, *more) -> RecognitionConfig:
    return load_config(
        RecognitionConfig,
        [f"data.file={actions}", f"output={output}", "data.rows=16", "encoder=stgcn", "encoder.width=32", "encoder.depth=3",
         "train.epochs=12", "train.batch_size=8", "train.lr=0.05", "data.val_share=0.2",
         "train.average=0.7", "name=run", *more],
    )  # fmt: skip


def results(settings) -> dict:
    folder = RunFolder(Path(settings.output) / settings.name)
    recognition_test.answer(settings, folder)
    return recognition_test.report(settings, folder)


@pytest.fixture(scope="module")
def run(actions, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs")
    for stream in ("joint", "motion"):
        recognition_train.train(config(actions, output, f"stream={stream}", f"name={stream}"))
    return output


def test_learns_and_reports(actions, run):
    settings = config(actions, run, "name=joint", "test.probes={miss_joints: 0.3, drop_frames: 0.9}")
    report = results(settings)
    assert report["n"] == 15
    assert report["micro_accuracy"] >= 0.8
    row = report["tasks"]["action"]
    assert row["chance"] == 0.5 and row["ci95"][0] < row["accuracy"] <= row["ci95"][1]
    assert 0.4 < row["majority"] < 0.6
    new = report["new"]
    assert (new["copies"], new["n"]) == (1, 14)
    assert round(14 * new["accuracy"]) in (round(15 * row["accuracy"]) - 1, round(15 * row["accuracy"]))
    assert set(report["probes"]) == {"miss_joints", "drop_frames"}
    folder = RunFolder.create(run, "joint")
    lines = read_jsonl(folder.predictions)
    assert len(lines) == 45
    assert lines[1]["id"] == "clip 7" and lines[1]["answer"] == 1
    assert sum(lines[0]["scores"]) == pytest.approx(1, abs=1e-5)
    assert lines[0]["scores"] != lines[15]["scores"]
    assert folder.page.is_file() and (folder.path / "environment.json").is_file()
    assert {path.name for path in folder.checkpoints.iterdir()} == {"last.ckpt", "best.ckpt"}


def test_nothing_is_new_where_every_test_clip_is_a_copy(actions, run, monkeypatch):
    results(config(actions, run, "name=joint"))
    monkeypatch.setattr(Actions, "copies", lambda self: {clip.name for clip in self.test})
    report = recognition_test.report(config(actions, run, "name=joint"), RunFolder.create(run, "joint"))
    assert report["n"] == 15 and report["new"] == {"copies": 15, "n": 0, "accuracy": None}


def test_clips_are_shown_as_from_behind():
    batch = make(size=2, coordinates=3)
    plain, seen = (augment(batch, AugmentConfig(scale=0, behind=share), torch.Generator()) for share in (0.0, 1.0))
    torch.testing.assert_close(plain.keypoints, batch.keypoints)
    torch.testing.assert_close(seen.keypoints, behind(batch, 1.0, torch.Generator()).keypoints)
    assert not torch.equal(seen.keypoints, plain.keypoints)


@pytest.mark.parametrize("uneven", [False, True])
def test_training_reads_rows_at_the_moments_asked_for(actions, tmp_path, monkeypatch, uneven):
    def stop(rows):
        steps = np.diff(np.asarray(rows[0][3], np.float64))
        assert (steps.std() > 0.1 * steps.mean()) == uneven
        raise StopIteration

    monkeypatch.setattr(recognition_train, "Shuffled", stop)
    with pytest.raises(StopIteration):
        recognition_train.train(config(actions, tmp_path, f"augment.uneven={uneven}"))


def test_scores_of_streams_add_up(actions, run):
    for name in ("joint", "motion"):
        results(config(actions, run, f"name={name}", f"stream={name}"))
    members = f"test.members=[{run}/joint,{run}/motion]"
    results(config(actions, run, "name=both", members))
    compared = measure(RecognitionBench([f"{run}/{name}" for name in ("joint", "motion", "both")], "x.json"))
    assert compared["reference"] == "joint"
    first, second, sums = compared["runs"]
    assert first["p"] == 1 and first["alone_right"] == first["reference_alone_right"] == 0
    assert second["alone_right"] - second["reference_alone_right"] == round(
        15 * (second["accuracy"] - first["accuracy"])
    )
    assert (sums["n"], sums["new"]["n"], sums["new"]["copies"]) == (15, 14, 1)
    assert sums["command"] and sums["kept"] == {}
    one, two, both = (read_jsonl(RunFolder.create(run, name).predictions) for name in ("joint", "motion", "both"))
    for a, b, c in zip(one, two, both, strict=True):
        assert c["scores"] == pytest.approx((np.array(a["scores"]) + b["scores"]).tolist(), abs=1e-6)
        assert c["prediction"] == int(np.argmax(c["scores"]))
    results(config(actions, run, "name=weighted", members, "test.weights=[0.75,0.25]"))
    weighted = read_jsonl(RunFolder.create(run, "weighted").predictions)
    for a, b, c in zip(one, two, weighted, strict=True):
        assert c["scores"] == pytest.approx(
            (0.75 * np.array(a["scores"]) + 0.25 * np.array(b["scores"])).tolist(), abs=1e-6
        )
    results(config(actions, run, "name=joint", "test.probes={jitter: 0.1}"))
    kept = measure(RecognitionBench([f"{run}/joint"], "x.json"))["runs"][0]["kept"]
    assert 0 < kept["jitter"] <= 1.5
    with pytest.raises(DataError, match="expected the same clips and probes in .*motion as in .*joint, found others"):
        results(config(actions, run, "name=both", members))


def test_resumed_equals_uninterrupted(actions, run, tmp_path):
    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    settings = config(actions, tmp_path, "stream=joint", "train.resume=auto")
    original = recognition_train.Shuffled.set_epoch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            recognition_train.Shuffled, "set_epoch", lambda self, epoch: stop() if epoch == 5 else original(self, epoch)
        )
        with pytest.raises(Stop):
            recognition_train.train(settings)
    interrupted = torch.load(RunFolder.create(tmp_path, "run").checkpoint("last"), weights_only=True)
    assert interrupted["epoch"] == 4
    recognition_train.train(settings)
    resumed, whole = (
        torch.load(RunFolder.create(output, name).checkpoint("last"), weights_only=True)
        for output, name in ((tmp_path, "run"), (run, "joint"))
    )
    assert resumed["epoch"] == whole["epoch"] == 11
    for state in ("state_dict", "current_model_state"):  # the average, which is tested, and what goes on being trained
        for key, value in whole[state].items():
            torch.testing.assert_close(resumed[state][key], value, msg=key)
    weight = "recognizer.head.weight"
    assert (whole["state_dict"][weight] - whole["current_model_state"][weight]).abs().max() > 1e-5


def test_a_probe_trains_the_last_layer_alone(actions, run, tmp_path):
    start = RunFolder.create(run, "joint").checkpoint("last")
    probe = config(actions, tmp_path, "stream=joint", f"train.start={start}", "train.freeze=true", "train.epochs=1",
                   "train.resume=auto")  # fmt: skip
    folder = recognition_train.train(probe)
    before, after = (torch.load(path, weights_only=True)["state_dict"] for path in (start, folder.checkpoint("last")))
    for key, value in before.items():
        assert torch.equal(after[key], value) == ("encoder" in key), key
    with pytest.raises(
        CheckpointError, match="expected the weights of this encoder in .*, found none or another shape"
    ):
        recognition_train.train(config(actions, tmp_path, "encoder=cnn1d", f"train.start={start}"))


def test_neighbours_vote(actions, run, tmp_path):
    start = RunFolder(run / "joint").checkpoint("last")
    vote = config(actions, tmp_path, f"train.start={start}", "train.epochs=1", "test.neighbours=5", "data.val_share=0")
    report = results(vote)
    assert report["micro_accuracy"] >= 0.8
    lines = read_jsonl(RunFolder(tmp_path / "run").predictions)
    assert all(sum(line["scores"]) == pytest.approx(1, abs=1e-5) for line in lines)
    one = results(config(actions, tmp_path, f"train.start={start}", "test.neighbours=1"))
    assert {tuple(sorted(line["scores"])) for line in read_jsonl(RunFolder(tmp_path / "run").predictions)} == {
        (0.0, 1.0)
    }
    assert one["n"] == 15
    with pytest.raises(ConfigError, match="expected train.start with test.neighbours=5, found none"):
        config(actions, tmp_path, "test.neighbours=5")


def test_faced_clips_are_told_apart_alike_from_every_side(actions, run, tmp_path):
    data = dict(np.load(actions))
    x, y, z = np.moveaxis(data["xyz"], -1, 0)
    np.savez(tmp_path / "turned.npz", **data | {"xyz": np.stack((z, y, -x), axis=-1)})
    scores = []
    for face in ("data.face=true", "data.face=false"):
        for file in (actions, tmp_path / "turned.npz"):
            recognition_test.answer(config(file, run, "name=joint", face), RunFolder(run / "joint"))
            scores.append([line["scores"] for line in read_jsonl(RunFolder(run / "joint").predictions)])
    faced, faced_turned, plain, turned = map(np.array, scores)
    np.testing.assert_allclose(faced_turned, faced, atol=1e-4)
    assert np.abs(turned - plain).max() > 0.01


def test_wrong_uses_are_said(actions, run):
    with pytest.raises(
        ConfigError, match="expected a weight for each of test.members, found 1 in test.weights and 2 members"
    ):
        config(actions, run, "test.members=[a,b]", "test.weights=[1]")
    with pytest.raises(DataError, match="expected probes among jitter, .*, found blur"):
        results(config(actions, run, "name=joint", "test.probes={blur: 0.3}"))
    with pytest.raises(CheckpointError, match="expected the weights of this run in .*joint, found others"):
        results(config(actions, run, "name=joint", "encoder=cnn1d"))
    with pytest.raises(ConfigError, match=r"expected augment.crop in 0.05 .. 1, found 2"):
        config(actions, run, "augment.crop=2")
    with pytest.raises(ConfigError, match="expected train.start or train.resume, found both"):
        config(actions, run, "train.start=a", "train.resume=last")
    with pytest.raises(ConfigError, match="expected train.start with train.freeze=true, found none"):
        config(actions, run, "train.freeze=true")


def test_kinds(tmp_path):
    (tmp_path / "base.yaml").write_text("kind: recognition\n")
    (tmp_path / "run.yaml").write_text("base: base.yaml\nname: x\n")
    assert kind_of([str(tmp_path / "run.yaml"), "stream=bone"]).schema is RecognitionConfig
    assert kind_of(["kind=recognition"]).schema is RecognitionConfig
    assert kind_of(["name=x"]).schema is TrainConfig
    with pytest.raises(ConfigError, match="expected one of instruction, recognition.* for kind, found 'pose'"):
        kind_of(["kind=pose"])


def test_a_section_is_set_by_its_name(actions, tmp_path):
    settings = config(actions, tmp_path, "encoder=ctrgcn", "encoder.options={halved: [1, 2]}")
    assert (settings.encoder.name, settings.encoder.width) == ("ctrgcn", 32)
    assert settings.encoder.options == {"halved": [1, 2]}
    assert load_config(TrainConfig, ["encoder=stgcn"]).encoder.name == "stgcn"
    with pytest.raises(ConfigError, match="expected a section for data"):
        config(actions, tmp_path, "data=x")
    assert json.dumps(settings.encoder.options)
