"""Runs of earlier versions still load: run_before_the_move was trained and tested by tools/train.py and tools/test.py at
commit 97fef73, with other modules, a key that is no more, and two clips of random joints."""

import shutil
from pathlib import Path

import pytest

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config
from hybrid.runs.instruction_test import answer, report
from hybrid.runs.run_folder import RunFolder
from skeleton.jsonl import read_jsonl

OLD = Path(__file__).with_name("run_before_the_move")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_older_run_answers_as_it_did(tmp_path, capsys):
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    before = read_jsonl(tmp_path / "run" / "predictions.jsonl")
    samples = f"[{tmp_path / 'samples.jsonl'}]"
    paths = [f"output={tmp_path}", *(f"data.{split}={samples}" for split in ("train", "val", "test"))]
    config = load_config(TrainConfig, [str(tmp_path / "run" / "config.yaml"), "test.probes=[none]", *paths])
    assert "fusion.granularity" in capsys.readouterr().err
    folder = RunFolder(tmp_path / "run")
    answer(config, folder)
    after = read_jsonl(folder.predictions)
    assert [(line["id"], line["probe"]) for line in after] == [(line["id"], line["probe"]) for line in before]
    for old, new in zip(before, after, strict=True):
        assert new["scores"] == pytest.approx(old["scores"], abs=3e-4)
    assert len({tuple(line["scores"]) for line in before}) > 2  # the pose changes more than that
    assert report(config, folder)["n"] == 2
