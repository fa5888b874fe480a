"""Pre-training as its users run it: from records or labelled files, with several objectives, into recognition."""

import numpy as np
import pytest
import torch

from hybrid.config.loading import load_config
from hybrid.config.pretraining import PretrainingConfig
from hybrid.config.recognition import RecognitionConfig
from hybrid.data.skeleton_windows import WindowRows, find_events, load_windows, windows_of
from hybrid.errors import ConfigError, DataError
from hybrid.runs import encoder_pretraining, recognition_train
from hybrid.runs.kinds import kind_of
from hybrid.runs.run_folder import RunFolder
from skeleton.errors import SkeletonError
from skeleton.events.targets import columns
from skeleton.layouts.layout import LIMBS
from tests.skeleton.figures import figure, record


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Three records of 6 s in which somebody raises the left arm and lowers it."""
    folder = tmp_path_factory.mktemp("records")
    for number in range(3):

        def pose(time, begin=1 + number / 2):
            return {"left": (165, 0) if begin < time < 4.5 else (5, 0)}

        record(figure(pose, seconds=6, fps=24), fps=24).save(folder / f"clip{number}.npz")
    return folder


def config(records, output, *more) -> PretrainingConfig:
    return load_config(
        PretrainingConfig,
        [f"data.skeletons={records}", f"output={output}", "name=pre", "data.rows=24", "data.seconds=3", "encoder=prenorm",
         "encoder.width=32", "encoder.depth=2", "train.epochs=2", "train.batch_size=4", *more],
    )  # fmt: skip


def test_windows_follow_each_other_and_begin_at_0(records):
    clips = load_windows(config(records, "x").data)
    assert [clip.name for clip in clips] == [f"clip{n}:{w}" for n in range(3) for w in range(2)]
    assert all(clip.skeleton.timestamps[0] == 0 and clip.skeleton.num_frames == 72 for clip in clips)


def test_empty_windows_are_left_out(records):
    one = load_windows(config(records, "x").data)[0].skeleton
    hidden = np.ones((1, 72, 17), bool)
    hidden[:, 40:] = False
    shown = record(one.keypoints[0], fps=24, visible=hidden)
    assert [clip.name for clip in windows_of("a", shown, 1.0)] == ["a:0", "a:1"]


def test_targets_are_of_the_part_that_is_taken(records):
    clips = load_windows(config(records, "x", "data.seconds=6").data)
    events = find_events(clips)
    assert any(event.limb == "left arm" and event.movement == "raise" for event in events[0])
    rows = WindowRows(clips, 24, 2, stride=4, events=events, texts=None)
    targets = rows[0][6]
    assert targets.shape == (1, 6, len(LIMBS), len(columns()))
    arm = targets[0, :, LIMBS.index("left arm"), columns()["raise"]]
    assert arm.tolist() == [0, 1, 1, 1, 1, 0]  # from 1 s to 4.5 s, and a bin takes 1.04 s
    assert not targets[0, :, LIMBS.index("right arm")].any()
    part = WindowRows(clips, 24, 2, crop=0.5, stride=4, events=events, texts=None)
    for epoch in range(20):
        part.epoch = epoch
        begin, end = part.moments(0)[[0, -1]]
        arm = part[0][6][0, :, LIMBS.index("left arm"), columns()["raise"]]
        width = 4 * (end - begin) / 24 / 23
        if begin / 24 < 0.7:
            assert abs(begin / 24 + arm.argmax() * width - 1) < width
    uneven = WindowRows(clips, 24, 2, uneven=True, stride=4, events=events, texts=None)
    times = uneven.moments(0) / 24
    raised = [bool(bin_times.min() > 1.1 and bin_times.max() < 4.4) for bin_times in times.reshape(6, 4)]
    arm = uneven[0][6][0, :, LIMBS.index("left arm"), columns()["raise"]]
    assert sum(raised) > 1 and arm[raised].all()
    resting = [bool(bin_times.max() < 0.9 or bin_times.min() > 4.6) for bin_times in times.reshape(6, 4)]
    assert sum(resting) > 0 and not arm[resting].any()


@pytest.mark.parametrize("uneven", [False, True])
def test_training_reads_rows_at_the_moments_asked_for(records, tmp_path, monkeypatch, uneven):
    def stop(rows):
        steps = np.diff(rows.moments(0))
        assert (steps.std() > 0.1 * steps.mean()) == uneven
        raise StopIteration

    monkeypatch.setattr(encoder_pretraining, "Shuffled", stop)
    with pytest.raises(StopIteration):
        encoder_pretraining.train(config(records, tmp_path, f"augment.uneven={uneven}"))


def test_objectives_together_and_then_recognition(records, tmp_path):
    np.savez(
        tmp_path / "texts.npz",
        name=np.array(["clip0", "clip1:1"]),
        embedding=np.random.default_rng(0).normal(size=(2, 7, 8)),
    )
    every = "objectives={masked_motion: 1.0, velocity: 0.5, contrast: 0.1, alignment: 0.2, events: 0.3}"
    settings = config(
        records, tmp_path, every, f"data.texts={tmp_path / 'texts.npz'}", "options={contrast: {queue: 16}}"
    )
    folder = encoder_pretraining.train(settings)
    log = (folder.path / "metrics.csv").read_text().splitlines()[0]
    for name in ("masked_motion", "velocity", "contrast", "alignment", "events", "loss"):
        assert f"train/{name}" in log
    state = torch.load(folder.checkpoint("last"), weights_only=True)["state_dict"]
    clips = load_windows(settings.data)
    np.savez(
        tmp_path / "set.npz",
        xyz=np.concatenate([np.pad(c.skeleton.keypoints[0], ((0, 0), (0, 0), (0, 1)), constant_values=1) for c in clips]),
        offset=72 * np.arange(7), label=np.arange(6) % 2, name=np.array([c.name for c in clips]),
        dimensions_hw_n=np.tile([480, 640, 72], (6, 1)),
        split=np.array(["train", "train", "train", "train", "val", "val"]),
    )  # fmt: skip
    task = load_config(
        RecognitionConfig,
        [f"data.file={tmp_path / 'set.npz'}", "data.layout=coco17", "data.val_share=0", "data.rows=24", f"output={tmp_path}",
         "encoder=prenorm", "encoder.width=32", "encoder.depth=2", "train.epochs=1", "train.freeze=true",
         f"train.start={folder.checkpoint('last')}"],
    )  # fmt: skip
    probe = recognition_train.train(task)
    after = torch.load(probe.checkpoint("last"), weights_only=True)["state_dict"]
    for key, value in after.items():
        if key.startswith("recognizer.encoder."):
            assert torch.equal(value, state[key.removeprefix("recognizer.")])


def test_a_labelled_file_gives_its_training_split_alone(records, tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 20, 3)).astype(np.float32)
    np.savez(tmp_path / "set.npz", xyz=rows, offset=np.arange(0, 41, 10), label=np.arange(4), name=np.array(list("abcd")),
             split=np.array(["train", "train", "val", "val"]))  # fmt: skip
    assert [clip.name for clip in load_windows(config(tmp_path / "set.npz", "x").data)] == ["a", "b"]


def test_going_on_equals_an_uninterrupted_run(records, tmp_path):
    settings = ["objectives={masked_motion: 1.0, contrast: 0.5}", "options={contrast: {queue: 16}}"]
    whole = encoder_pretraining.train(config(records, tmp_path / "whole", *settings, "train.epochs=4"))
    with pytest.MonkeyPatch.context() as patch:
        original = encoder_pretraining.PretrainingModule.training_step

        def interrupted(self, item, index):
            if self.current_epoch == 2:
                raise KeyboardInterrupt
            return original(self, item, index)

        patch.setattr(encoder_pretraining.PretrainingModule, "training_step", interrupted)
        with pytest.raises(BaseException):  # noqa: B017
            encoder_pretraining.train(config(records, tmp_path / "cut", *settings, "train.epochs=4"))
    left = torch.load(RunFolder(tmp_path / "cut" / "pre").checkpoint("last"), weights_only=True)
    assert left["epoch"] == 1
    cut = encoder_pretraining.train(config(records, tmp_path / "cut", *settings, "train.epochs=4", "train.resume=auto"))
    one, two = (torch.load(folder.checkpoint("last"), weights_only=True)["state_dict"] for folder in (whole, cut))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, msg=key)


def test_wrong_uses_are_said(records, tmp_path):
    with pytest.raises(ConfigError, match="expected data.texts with objectives.alignment and only then, found None"):
        config(records, tmp_path, "objectives={alignment: 1.0}")
    with pytest.raises(ConfigError, match="expected options of the objectives masked_motion, found contrast"):
        config(records, tmp_path, "options={contrast: {queue: 16}}")
    with pytest.raises(DataError, match="expected records"):
        load_windows(config(tmp_path / "none", tmp_path).data)
    with pytest.raises(ConfigError, match="expected a run of another kind to test, found pre-training"):
        kind_of(["kind=pretraining"]).testing()
    with pytest.raises(SkeletonError, match="found pixels: set data.face=false"):
        encoder_pretraining.train(config(records, tmp_path, "data.face=true"))


def test_an_objective_of_weight_0_is_none():
    arguments = ["data.skeletons=x", "objectives={contrast: 1.0, masked_motion: 0.0}"]
    options = "options={contrast: {queue: 16}, masked_motion: {share: 0.5}}"
    loaded = load_config(PretrainingConfig, [*arguments, options])
    assert (loaded.objectives, loaded.options) == ({"contrast": 1.0}, {"contrast": {"queue": 16}})
    with pytest.raises(ConfigError, match="expected one objective or more, found none"):
        load_config(PretrainingConfig, ["data.skeletons=x", "objectives={masked_motion: 0.0}"])
