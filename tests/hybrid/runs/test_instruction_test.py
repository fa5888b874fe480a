"""Predictions and reports of a trained run, and what the tools print and return."""

import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import hybrid.runs.instruction_test as testing
from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import config_hash, load_config
from hybrid.data.module import load
from hybrid.data.sample import read_samples, write_samples
from hybrid.runs.run_folder import RunFolder
from skeleton.jsonl import read_jsonl

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning remarks on short and resumed runs

TOOLS = Path(__file__).resolve().parents[3] / "tools"


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
        "benchmark", "config_hash", "n", "missing", "unparsable", "tasks", "macro_accuracy", "micro_accuracy",
        "probes", "binding",
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
    assert (
        lines["unseen", None] == lines["unseen", "no_video"] != lines["unseen", "none"] == lines["unseen", "text_only"]
    )
    assert lines["0_limb", None] not in [
        lines["0_limb", probe] for probe in ("none", "shuffle", "no_video", "text_only")
    ]


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


def test_a_typo_is_one_sentence_from_anywhere(arguments, tmp_path):
    process = subprocess.run(
        [sys.executable, str(TOOLS / "test.py"), *arguments("typo", "train.stesp=3")],
        env=os.environ | {"PYTHONWARNINGS": "ignore"}, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.strip() == (
        "error: unknown key 'train.stesp' from argument 'train.stesp=3'; did you mean 'train.steps'?"
    )


def test_the_test_tool_scores_again_and_prints_the_report(tested, monkeypatch, capsys):
    folder = tested[1]
    monkeypatch.setattr(sys, "argv", ["test.py", str(folder.path / "config.yaml"), "test.score_only=true"])
    monkeypatch.setattr(testing, "build", None)
    runpy.run_path(str(TOOLS / "test.py"), run_name="__main__")
    output = capsys.readouterr().out
    assert f"report: {folder.report} and {folder.page}" in output
    assert all(word in output for word in ("limb", "count", "interval", "macro"))


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_tools_end_with_a_sentence_and_a_status(arguments, monkeypatch, name):
    words = arguments("untrained", "train.resume=/gone.ckpt", "test.checkpoint=/gone.ckpt")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    with pytest.raises(SystemExit, match="error: expected a checkpoint at /gone.ckpt, found none: train first"):
        runpy.run_path(str(TOOLS / f"{name}.py"), run_name="__main__")


def test_a_bad_sample_in_a_loading_process_is_one_sentence(whole, arguments, small_set, tmp_path, monkeypatch):
    """Torch sends such errors on with the traceback of the process."""
    samples = read_samples(small_set / "test.jsonl")
    write_samples(tmp_path / "test.jsonl", [replace(samples[0], video=str(tmp_path / "gone.mp4")), *samples[1:]])
    more = [
        f"data.test=[{tmp_path / 'test.jsonl'}]",
        f"test.checkpoint={whole[1].checkpoint('last')}",
        "data.workers=1",
    ]
    monkeypatch.setattr(sys, "argv", ["test.py", *arguments("gone", *more)])
    with pytest.raises(SystemExit, match=r"^error: expected the video .*gone\.mp4, found no such file: check [^\n]*$"):
        runpy.run_path(str(TOOLS / "test.py"), run_name="__main__")
