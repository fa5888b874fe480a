"""Training, its interruptions, its checkpoints, and testing, on six clips of noise.

`whole` is one uninterrupted run with frozen parts and LoRA (so with dropout); the other runs are compared with it.
"""

import csv
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import hybrid.testing as testing
import hybrid.training as training
from hybrid.build import build, load_weights, read_checkpoint
from hybrid.config import config_hash, load_config
from hybrid.data.clips import ValidationRows, group_clips
from hybrid.data.module import ClipData, load
from hybrid.errors import CheckpointError, HybridError
from hybrid.modules.instruction import InstructionModule
from hybrid.run_folder import RunFolder, read_jsonl
from hybrid.schema import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
STEPS, EVERY = 12, 4
EQUAL = {"atol": 1e-3, "rtol": 1e-3} if torch.cuda.is_available() else {"atol": 0.0, "rtol": 0.0}


class Killed(BaseException):
    """Ends a training as a kill would: nothing handles it."""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory, small_set):
    """arguments(name, key=value...): the command line of a small run."""
    output = tmp_path_factory.mktemp("runs")

    def make(name, *more):
        return [
            f"name={name}", f"output={output}", "mllm.dtype=float32", "mllm.lora_rank=2",
            "mllm.tiny.width=32", "mllm.tiny.layers=2", "mllm.tiny.heads=2", "mllm.tiny.vision_width=32",
            "mllm.tiny.vision_layers=1", "encoder.width=16", "encoder.depth=2", "encoder.stride=4",
            "fusion.bin_seconds=0.5", "fusion.anchor=true",
            *(f"data.{split}=[{small_set / split}.jsonl]" for split in ("train", "val", "test")),
            f"data.cache={small_set / 'cache'}", "data.frames=4", "data.size=56", "data.pose_fps=16", "data.questions_per_sequence=2",
            f"train.steps={STEPS}", f"train.val_every={EVERY}", "train.batch_size=2", "train.warmup=2", "train.lr=0.01",
            "test.probes=[none,shuffle,no_video,text_only]", "test.batch_size=4", "test.max_new_tokens=4", *more,
        ]  # fmt: skip

    return make


@pytest.fixture(scope="module")
def configure(arguments):
    return lambda name, *more: load_config(TrainConfig, arguments(name, *more))


@pytest.fixture(scope="module")
def whole(configure):
    """(config, folder) of the uninterrupted run."""
    config = configure("whole")
    return config, training.train(config)


@pytest.fixture
def killed_at(monkeypatch):
    """killed_at(config, step): train and be killed when that optimizer step begins."""

    def run(config, at):
        step = InstructionModule.training_step

        def stopped(module, batch, index):
            if module.trainer.global_step == at:
                raise Killed
            return step(module, batch, index)

        with monkeypatch.context() as patch:
            patch.setattr(InstructionModule, "training_step", stopped)
            with pytest.raises(Killed):
                training.train(config)

    return run


def resumed(config):
    return training.train(replace(config, train=replace(config.train, resume="auto")))


def rows(folder):
    with folder.metrics.open(newline="") as file:
        return list(csv.DictReader(file))


def curve(folder, name):
    """{step: value} of a column of metrics.csv."""
    return {int(row["step"]): float(row[name]) for row in rows(folder) if row.get(name)}


def assert_same_run(first, second):
    """Equal losses, weights and optimizer states."""
    assert curve(first, "train/loss") or curve(first, "val/loss")
    for name in ("train/loss", "val/loss", "val/accuracy"):
        assert curve(first, name).keys() == curve(second, name).keys()
        for step, value in curve(first, name).items():
            assert curve(second, name)[step] == pytest.approx(value, abs=EQUAL["atol"], rel=EQUAL["rtol"]), (name, step)
    for kind in ("last", "best"):
        one, other = read_checkpoint(first.checkpoint(kind)), read_checkpoint(second.checkpoint(kind))
        assert one["global_step"] == other["global_step"]
        assert one["state_dict"].keys() == other["state_dict"].keys()
        for key, value in one["state_dict"].items():
            torch.testing.assert_close(other["state_dict"][key], value, **EQUAL, msg=key)
        if kind == "last":
            moments, others = one["optimizer_states"][0]["state"], other["optimizer_states"][0]["state"]
            for key, state in moments.items():
                torch.testing.assert_close(others[key]["exp_avg"], state["exp_avg"], **EQUAL)


def test_two_clips_are_learnt_by_heart(configure, small_set):
    config = configure(
        "heart", f"data.train=[{small_set / 'two.jsonl'}]", f"data.val=[{small_set / 'two.jsonl'}]", "mllm.lora_rank=0",
        "mllm.freeze_language=false", "mllm.freeze_vision=false", "fusion.dropout_pose=0", "fusion.dropout_video=0",
        "train.steps=30", "train.val_every=10", "data.questions_per_sequence=3",
    )  # fmt: skip
    folder = training.train(config)
    loss = curve(folder, "train/loss")
    assert list(loss) == [9, 19, 29]
    assert loss[29] < 0.5 * loss[9]
    validation = curve(folder, "val/loss")
    assert validation[29] < 0.5 * validation[9]
    assert max(curve(folder, "lr-AdamW/pg1").values()) <= 0.01


def test_a_killed_run_goes_on_as_if_nothing_had_been(whole, configure, killed_at):
    config = configure("killed")
    killed_at(config, 7)
    assert read_checkpoint(RunFolder(Path(config.output) / config.name).checkpoint("last"))["global_step"] == 4
    assert_same_run(whole[1], resumed(config))


def test_automatic_resume_begins_anew_where_nothing_is_left(configure, tmp_path):
    assert training.resume_from(configure("new", "train.resume=auto"), RunFolder(tmp_path)) == (None, 0)
    assert training.resume_from(configure("new"), RunFolder(tmp_path)) == (None, 0)


def test_accumulated_passes_resume_too(configure, killed_at):
    settings = ("train.accumulate=2", "train.steps=8")
    folder = training.train(configure("accumulated", *settings))
    checkpoint = read_checkpoint(folder.checkpoint("last"))
    assert checkpoint["global_step"] == 8
    assert checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"] == 16
    config = configure("accumulated_killed", *settings)
    killed_at(config, 6)
    assert_same_run(folder, resumed(config))


def test_a_run_without_validation_resumes_too(configure, killed_at):
    folder = training.train(configure("unvalidated", "data.val=[]"))
    config = configure("unvalidated_killed", "data.val=[]")
    killed_at(config, 6)
    other = resumed(config)
    assert list(curve(folder, "train/loss")) == [9]
    assert not curve(folder, "val/loss")
    assert_same_run(folder, other)


def test_a_resume_may_fall_between_validations(configure, killed_at):
    """Validated every 3 steps until the kill, every 4 since: the checkpoint of step 6 lies between 4 and 8."""
    plain = ("mllm.lora_rank=0", "mllm.freeze_language=false")
    folder = training.train(configure("every_4", *plain))
    config = configure("every_3", *plain, "train.val_every=3")
    killed_at(config, 7)
    other = resumed(replace(config, train=replace(config.train, val_every=4)))
    assert list(curve(other, "val/loss").values())[-2:] == pytest.approx(
        list(curve(folder, "val/loss").values())[-2:], abs=1e-6
    )
    one, two = (read_checkpoint(run.checkpoint("last")) for run in (folder, other))
    assert one["global_step"] == two["global_step"] == STEPS
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][key], value, **EQUAL)


def test_the_last_step_is_kept_when_no_validation_falls_on_it(configure):
    for more, best in ((("train.val_every=3",), 3), (("train.val_every=0",), 5), (("train.val_every=3", "data.val=[]"), 5)):
        config = configure("odd", "train.steps=5", *more)
        folder = training.train(config)
        assert read_checkpoint(folder.checkpoint("last"))["global_step"] == 5
        assert read_checkpoint(folder.checkpoint("best"))["global_step"] == best


def test_a_finished_run_resumed_stays_as_it_is(whole):
    config, folder = replace(whole[0], name="finished"), RunFolder(whole[1].path.with_name("finished"))
    shutil.copytree(whole[1].path, folder.path)
    before = read_checkpoint(folder.checkpoint("last"))["state_dict"], rows(folder)
    resumed(config)
    after = read_checkpoint(folder.checkpoint("last"))["state_dict"], rows(folder)
    assert before[1] == after[1]
    assert all(torch.equal(before[0][key], after[0][key]) for key in before[0])


def test_checkpoints_hold_what_trains_and_nothing_frozen(whole):
    config, folder = whole
    checkpoint = torch.load(folder.checkpoint("last"), weights_only=True)
    model, _ = build(config, load(config.data.train, "data.train"))
    module = InstructionModule(model, config.train)
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    buffers = {name for name, _ in module.named_buffers() if name in module.state_dict()}
    assert set(checkpoint["state_dict"]) == trained | {name for name in buffers if name.startswith("model.joints.")}
    assert set(module.state_dict()) - set(checkpoint["state_dict"]) - buffers == frozen
    assert all("lora_" in name or name.startswith("model.joints.") for name in checkpoint["state_dict"])
    before = {name: value.clone() for name, value in module.state_dict().items()}
    load_weights(module, folder.checkpoint("last"))
    for name, value in module.state_dict().items():
        assert torch.equal(value, checkpoint["state_dict"].get(name, before[name])), name
    changed = {name for name in checkpoint["state_dict"] if not torch.equal(before[name], checkpoint["state_dict"][name])}
    assert {name for name in checkpoint["state_dict"] if "lora_B" in name or "projector" in name} <= changed


def test_the_decoder_trains_in_train_mode_and_the_frozen_tower_in_eval_mode(configure, monkeypatch):
    seen, step = [], InstructionModule.training_step

    def watched(module, batch, index):
        inner = module.model.mllm.model
        seen.append((inner.language_model.layers[0].training, inner.visual.training, module.model.joints.training))
        return step(module, batch, index)

    monkeypatch.setattr(InstructionModule, "training_step", watched)
    training.train(configure("modes", "train.steps=4", "train.val_every=2", "train.warmup=1"))
    assert seen == [(True, False, True)] * 4


def test_the_best_checkpoint_is_the_one_of_the_lowest_validation_loss(configure, monkeypatch):
    losses = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(
        InstructionModule, "validation_step", lambda module, _pair, _index: module.log("val/loss", next(losses), batch_size=1)
    )
    folder = training.train(configure("best", "train.val_every=4", "test.batch_size=2"))
    assert curve(folder, "val/loss") == {3: 3.0, 7: 1.0, 11: 2.0}
    assert read_checkpoint(folder.checkpoint("best"))["global_step"] == 8
    assert read_checkpoint(folder.checkpoint("last"))["global_step"] == 12


def test_validation_is_the_mean_over_all_answer_tokens(whole, configure):
    """The logged figures equal those of every question asked alone."""
    config, folder = whole
    model, collator = build(config, load(config.data.train, "data.train"))
    module = InstructionModule(model, config.train)
    load_weights(module, folder.checkpoint("last"))
    module.eval()
    data, nll, tokens, right = ClipData(config, collator), 0.0, 0, []
    for clip in group_clips(load(config.data.val, "data.val")):
        for sample in clip.samples:
            batch = collator(ValidationRows([replace(clip, samples=(sample,))], data.reader, 1)[0].rows)
            with torch.no_grad():
                scores = model.score(batch)
            truth = sample.answer if sample.options else 0
            nll, tokens = nll - float(scores[truth]), tokens + int((batch.answers == truth).sum())
            right += [int(scores.argmax()) == truth] if sample.options else []
    assert curve(folder, "val/loss")[STEPS - 1] == pytest.approx(nll / tokens, rel=1e-4)
    assert curve(folder, "val/accuracy")[STEPS - 1] == pytest.approx(sum(right) / len(right))


class Foreign:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (self.mark, "w")


@pytest.mark.parametrize("use", ["train", "test"])
@pytest.mark.parametrize("kind", ["missing", "foreign", "truncated", "text", "no loop"])
def test_checkpoints_that_cannot_be_used_are_one_sentence(whole, configure, tmp_path, use, kind):
    path, mark = tmp_path / "a.ckpt", tmp_path / "mark"
    good = whole[1].checkpoint("last").read_bytes()
    if kind == "foreign":
        torch.save({"state_dict": {}, "loops": Foreign(str(mark))}, path)
    elif kind == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "text":
        path.write_text("no checkpoint")
    elif kind == "no loop":
        torch.save({"weights": {}}, path)
    message = {
        "missing": r"expected a checkpoint at .*a\.ckpt, found none: train first, or give test\.checkpoint=PATH",
        "no loop": r"expected a training checkpoint with (its loop|a state_dict) in .*a\.ckpt, found none",
    }.get(kind, r"a\.ckpt is no checkpoint of tensors and plain values, it was not loaded: \w+")
    with pytest.raises(CheckpointError, match=message) as error:
        if use == "train":
            training.train(configure("bad", f"train.resume={path}"))
        else:
            testing.answer(configure("bad", f"test.checkpoint={path}"), RunFolder(tmp_path))
    assert "\n" not in str(error.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (("encoder.width=24",), r"\d+ of another shape \(first: model\.joints\..* expected \("),
        (("fusion.mode=none", "fusion.anchor=false"), r"\d+ unknown \(first: model\.joints\."),
        (("mllm.lora_rank=0",), r"\d+ unknown \(first: .*lora_A"),
        (("mllm.lora_rank=0", "mllm.freeze_language=false"), r"\d+ weights missing \(first: model\.mllm\."),
    ],
)
def test_a_checkpoint_of_another_model_is_one_sentence(whole, configure, tmp_path, more, found):
    path = whole[1].checkpoint("last")
    message = rf"the checkpoint belongs to another model: .*{found}.*; test with the configuration that trained it"
    with pytest.raises(CheckpointError, match=message):
        testing.answer(configure("other", f"test.checkpoint={path}", *more), RunFolder(tmp_path))
    with pytest.raises(CheckpointError, match=message):
        training.train(configure("other", f"train.resume={path}", *more))


@pytest.fixture(scope="module")
def tested(whole):
    """(config, folder, report) of the whole run's test."""
    config, folder = whole
    testing.answer(config, folder)
    return config, folder, testing.report(config, folder)


def test_predictions_have_a_line_for_each_sample_and_probe(tested, small_set):
    config, folder, _ = tested
    lines = read_jsonl(folder.predictions)
    samples = load(config.data.test, "data.test")
    probes = [None, "none", "shuffle", "no_video", "text_only"]
    assert sorted((line["id"], str(line["probe"])) for line in lines) == sorted(
        (sample.id, str(probe)) for sample in samples for probe in probes
    )
    keys = {"id", "task", "probe", "binding", "prediction", "answer", "num_options", "text", "scores"}
    by_id = {sample.id: sample for sample in samples}
    for line in lines:
        sample = by_id[line["id"]]
        assert set(line) == keys
        assert line["binding"] == (sample.id == "unfelt")
        if sample.options:
            assert line["prediction"] == line["scores"].index(max(line["scores"]))
            assert line["num_options"] == 2 and line["text"] is None
        else:
            assert isinstance(line["text"], str) and line["scores"] is None


def test_the_report_is_complete(tested, whole):
    config, folder, report = tested
    assert json.loads(folder.report.read_text()) == json.loads(json.dumps(report))
    assert {
        "benchmark", "config_hash", "n", "missing", "unparsable", "tasks", "macro_accuracy", "micro_accuracy", "probes", "binding",
    } <= set(report)  # fmt: skip
    assert report["config_hash"] == config_hash(config)
    assert set(report["tasks"]) == {"limb", "count", "interval"}
    assert all({"n", "accuracy", "ci95", "chance", "majority"} <= set(row) for row in report["tasks"].values())
    assert set(report["probes"]) == {"none", "shuffle", "no_video", "text_only"}
    assert all({"macro_accuracy", "tasks"} <= set(run) for run in report["probes"].values())
    assert report["n"] == 11 and report["tasks"]["limb"]["n"] == 5 and report["binding"]["n"] == 1
    assert folder.page.read_text(encoding="utf-8").startswith("<!")
    for name in ("config.yaml", "environment.json", "metrics.csv"):
        assert (folder.path / name).is_file()
    assert load_config(TrainConfig, [str(folder.path / "config.yaml")]) == config
    assert list((folder.path / "tensorboard").glob("events*"))


def test_withheld_inputs_change_nothing_where_there_are_none(tested):
    """A sample without a skeleton answers alike with and without the pose probe; one without a video likewise."""
    lines = {(line["id"], line["probe"]): line["scores"] for line in read_jsonl(tested[1].predictions)}
    assert lines["unfelt", None] == lines["unfelt", "none"] == lines["unfelt", "shuffle"] != lines["unfelt", "no_video"]
    assert lines["unseen", None] == lines["unseen", "no_video"] != lines["unseen", "none"] == lines["unseen", "text_only"]
    assert lines["0_limb", None] not in [lines["0_limb", probe] for probe in ("none", "shuffle", "no_video", "text_only")]


def test_scores_are_made_again_without_a_model(tested, monkeypatch):
    config, folder, report = tested
    folder.report.unlink()
    monkeypatch.setattr(testing, "build", None)
    assert testing.report(config, folder) == report
    assert json.loads(folder.report.read_text())["n"] == 11


def test_a_part_of_the_test_is_scored_as_a_part(whole, tmp_path):
    config, _ = whole
    config = replace(config, test=replace(config.test, samples=4, probes=[]))
    folder = RunFolder(tmp_path)
    testing.answer(replace(config, test=replace(config.test, checkpoint=str(whole[1].checkpoint("last")))), folder)
    report = testing.report(config, folder)
    assert report["missing"] == 0
    assert report["n"] == len(read_jsonl(folder.predictions)) < 11


def tool(name, *words, **options):
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / name), *words], env=environment, text=True, cwd=options.pop("cwd", None),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_process_killed_outright_is_resumed_by_the_same_command(whole, arguments, tmp_path):
    words = arguments("outright")
    last = RunFolder(Path(words[1].removeprefix("output=")) / "outright").checkpoint("last")
    process = tool("train.py", *words)
    while process.poll() is None and not last.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    output, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, (output, errors)
    assert read_checkpoint(last)["global_step"] < STEPS
    assert "6 training clips, 18 questions; 2 validation clips" in output
    assert_same_run(whole[1], resumed(load_config(TrainConfig, words)))


def test_a_typo_is_one_sentence_from_anywhere(arguments, tmp_path):
    process = tool("test.py", *arguments("typo", "train.stesp=3"), cwd=tmp_path)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.strip() == (
        "error: unknown key 'train.stesp' from argument 'train.stesp=3'; did you mean 'train.steps'?"
    )


def test_the_test_tool_scores_again_and_prints_the_report(tested, monkeypatch, capsys):
    folder = tested[1]
    monkeypatch.setattr(sys, "argv", ["test.py", str(folder.path / "config.yaml"), "test.score_only=true"])
    monkeypatch.setattr(testing, "build", None)
    runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="__main__")
    output = capsys.readouterr().out
    assert f"report: {folder.report} and {folder.page}" in output
    assert all(word in output for word in ("limb", "count", "interval", "macro"))


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_tools_end_with_a_sentence_and_a_status(arguments, monkeypatch, name):
    words = arguments("untrained", "train.resume=/gone.ckpt", "test.checkpoint=/gone.ckpt")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    with pytest.raises(SystemExit, match="error: expected a checkpoint at /gone.ckpt, found none: train first"):
        runpy.run_path(str(ROOT / "tools" / f"{name}.py"), run_name="__main__")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_loads(path):
    try:
        config = load_config(TrainConfig, [str(path)])
    except HybridError as error:
        pytest.fail(f"{path}: {error}")
    assert isinstance(config, TrainConfig)
    assert path.read_text(encoding="utf-8").startswith("#")
