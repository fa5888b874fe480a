"""The bench of the motion-capture builder: real yields, and keys that do not hold are seen."""

import pytest

import hybrid.benches.mocap as bench
from hybrid.benches.mocap import MocapBench, measure


def test_yields_and_keys_of_made_captures(captures, tmp_path):
    figures = measure(MocapBench(file=str(captures), output=str(tmp_path / "o.json")))
    assert figures["captures"] == figures["clips"] == 4 and figures["left_out"] == 0
    assert figures["asked"] == 1.0 and figures["questions"] == sum(figures["tasks"].values()) > 8
    assert figures["asked_three_tasks"] >= 0.25 and figures["questions_balanced"] <= figures["questions"]
    assert figures["keys_confirmed"] == 1.0 and figures["arm_keys_by_path"] in (None, 1.0)


def test_a_wrong_key_is_not_confirmed(captures, tmp_path, monkeypatch):
    real = bench.read_jsonl

    def tampered(path):
        lines = real(path)
        for line in lines if path.name == "test.jsonl" else ():
            if line["task"] == "count":
                line["answer"] = "7"
        return lines

    monkeypatch.setattr(bench, "read_jsonl", tampered)
    figures = measure(MocapBench(file=str(captures), output=str(tmp_path / "o.json")))
    assert figures["keys_confirmed"] == pytest.approx(1 - figures["tasks"]["count"] / figures["questions"])
