"""Run folders, and files that are whole or absent."""

import json

import pytest

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config
from hybrid.errors import DataError
from hybrid.runs.run_folder import RunFolder, commit, environment
from skeleton.jsonl import read_jsonl, write_json, write_jsonl


def test_describe_writes_a_config_that_loads_again(tmp_path):
    folder = RunFolder.create(tmp_path / "runs", "one")
    config = load_config(TrainConfig, ["name=one", "train.lr=3e-4", "data.train=a.jsonl"])
    folder.describe(config)
    assert load_config(TrainConfig, [str(folder.path / "config.yaml")]) == config
    found = json.loads((folder.path / "environment.json").read_text())
    assert found["packages"]["torch"]
    assert set(found) == set(environment())


def test_paths(tmp_path):
    folder = RunFolder.create(tmp_path, "one")
    assert folder.checkpoint("best") == tmp_path / "one" / "checkpoints" / "best.ckpt"
    assert folder.checkpoint("last").parent.is_dir()
    assert str(folder.checkpoint("elsewhere/x.ckpt")) == "elsewhere/x.ckpt"
    names = [path.name for path in (folder.predictions, folder.report, folder.page, folder.metrics)]
    assert names == ["predictions.jsonl", "report.json", "report.html", "metrics.csv"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_jsonl(path, [1, {2}])
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_jsonl_round_trip(tmp_path):
    values = [{"text": "a\u2028b\x85c\nd"}, None, [1.5, 2]]
    write_jsonl(tmp_path / "x.jsonl", iter(values))
    assert read_jsonl(tmp_path / "x.jsonl") == values


def test_jsonl_errors(tmp_path):
    with pytest.raises(DataError, match=r"expected a JSONL file at .*x\.jsonl, found none"):
        read_jsonl(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n{"a"\n')
    with pytest.raises(DataError, match=r"x\.jsonl:2: expected JSON, found .*; mend that line"):
        read_jsonl(tmp_path / "x.jsonl")
    for text in ("[" * 100_000, "1" * 5000):
        (tmp_path / "x.jsonl").write_text(text)
        with pytest.raises(DataError, match=r"x\.jsonl:1: expected JSON, found .*; mend that line"):
            read_jsonl(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_bytes(b'{"a": "\xff"}\n')
    with pytest.raises(DataError, match=r"expected UTF-8 text in .*x\.jsonl, found invalid"):
        read_jsonl(tmp_path / "x.jsonl")


def test_commit_without_git_is_none(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit() is None
