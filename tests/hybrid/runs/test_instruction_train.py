"""Training on six clips of noise: it learns, and an interrupted run is the run `whole` that was left alone."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning import Trainer

import hybrid.runs.instruction_train as training
from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config
from hybrid.data.clips import group_clips
from hybrid.data.module import ClipData, load
from hybrid.data.rows import ValidationRows
from hybrid.modules.instruction import InstructionModule
from hybrid.runs.build import build
from hybrid.runs.checkpoints import load_weights, read_checkpoint, resume_from
from hybrid.runs.run_folder import RunFolder

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning remarks on short and resumed runs

ROOT = Path(__file__).resolve().parents[3]
EQUAL = {"atol": 1e-3, "rtol": 1e-3} if torch.cuda.is_available() else {"atol": 0.0, "rtol": 0.0}


class Killed(BaseException):
    """Ends a training as a kill would: nothing handles it."""


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


def moments(checkpoint):
    """All running means of the optimizer's state, of each part where it has several."""
    stored = checkpoint["optimizer_states"][0]
    states = [state for part in stored.get("parts", [stored]) for state in part["state"].values()]
    found = [state[name] for state in states for name in ("exp_avg", "momentum_buffer") if name in state]
    assert len(found) == len(states) > 0
    return found


def assert_same_run(first, second):
    """Equal losses, weights and optimizer states."""
    assert [row["step"] for row in rows(first)] == [row["step"] for row in rows(second)]  # none lost, none twice
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
            for mine, others in zip(moments(one), moments(other), strict=True):
                torch.testing.assert_close(others, mine, **EQUAL)


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
    killed_at(config, 11)  # behind the row of step 10, which is written again
    assert read_checkpoint(RunFolder(Path(config.output) / config.name).checkpoint("last"))["global_step"] == 8
    assert_same_run(whole[1], resumed(config))


def test_automatic_resume_begins_anew_where_nothing_is_left(configure, tmp_path):
    assert resume_from("auto", RunFolder(tmp_path)) == (None, 0)
    assert resume_from(None, RunFolder(tmp_path)) == (None, 0)


def test_accumulated_passes_resume_too(configure, killed_at):
    settings = ("train.accumulate=2", "train.steps=8")
    folder = training.train(configure("accumulated", *settings))
    checkpoint = read_checkpoint(folder.checkpoint("last"))
    assert checkpoint["global_step"] == 8
    assert checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"] == 16
    config = configure("accumulated_killed", *settings)
    killed_at(config, 6)
    assert_same_run(folder, resumed(config))


def test_a_run_with_muon_resumes_too(configure, killed_at):
    settings = ("train.optimizer=muon", "mllm.lora_rank=0", "mllm.freeze_language=false")
    folder = training.train(configure("muon", *settings))
    config = configure("muon_killed", *settings)
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
    assert one["global_step"] == two["global_step"] == 12
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][key], value, **EQUAL)


def test_the_last_step_is_kept_when_no_validation_falls_on_it(configure):
    for more, best in (
        (("train.val_every=3",), 3),
        (("train.val_every=0",), 5),
        (("train.val_every=3", "data.val=[]"), 5),
    ):
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
    changed = {
        name for name in checkpoint["state_dict"] if not torch.equal(before[name], checkpoint["state_dict"][name])
    }
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
        InstructionModule,
        "validation_step",
        lambda module, _pair, _index: module.log("val/loss", next(losses), batch_size=1),
    )
    folder = training.train(configure("best", "train.val_every=4", "test.batch_size=2"))
    assert curve(folder, "val/loss") == {3: 3.0, 7: 1.0, 11: 2.0}
    assert read_checkpoint(folder.checkpoint("best"))["global_step"] == 8
    assert read_checkpoint(folder.checkpoint("last"))["global_step"] == 12


def test_validation_is_the_mean_over_all_answer_tokens(whole):
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
            nll, tokens = nll - float(scores[truth]), tokens + int((batch.answers.numbers == truth).sum())
            right += [int(scores.argmax()) == truth] if sample.options else []
    one_by_one = ClipData(replace(config, test=replace(config.test, batch_size=1)), collator)
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    again = Trainer(**quiet).validate(module, one_by_one, verbose=False)[0]
    for figures in (again, {name: curve(folder, name)[11] for name in ("val/loss", "val/accuracy")}):
        assert figures["val/loss"] == pytest.approx(nll / tokens, rel=1e-4)
        assert figures["val/accuracy"] == pytest.approx(sum(right) / len(right))


def tool(name, *words):
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / name), *words], env=environment, text=True,
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
    assert read_checkpoint(last)["global_step"] < 12
    assert "6 training clips, 18 questions; 2 validation clips" in output
    assert_same_run(whole[1], resumed(load_config(TrainConfig, words)))
