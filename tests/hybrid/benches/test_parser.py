"""The parser bench: its figures by hand, and what it asks of its files."""

import json
import runpy
import sys
from pathlib import Path

import pytest

from hybrid.benches import parser
from hybrid.benches.parser import ParserBench, figures, labels, measure, sentences, written
from hybrid.errors import ConfigError, DataError
from hybrid.scoring.claims.read_claims import parse_claims
from skeleton.events.vocabulary import vocabulary

BENCH = Path(__file__).resolve().parents[3] / "tools" / "bench.py"


def test_figures_by_hand():
    labelled = {"0.0": [["arm|wave", "head|nod"], ["arm|wave"]], "0.1": [["torso|bow"]], "0.2": []}
    read = {"0.0": [["arm|wave"], ["head|nod"], ["whole body|walk"]], "0.1": [["torso|bow"]], "0.2": []}
    found = figures(labelled, read)
    assert found["precision"] == pytest.approx(3 / 4) and found["recall"] == pytest.approx(3 / 4)
    assert (found["n_labelled"], found["n_read"], found["n_captions"]) == (4, 4, 3)
    assert (found["n_pairs"], found["order_agreement"]) == (1, 0.0)  # told at once, read one after the other
    assert found["captions_all_right"] == pytest.approx(2 / 3)
    assert found["movements"]["wave"] == {"labelled": 2, "read": 1, "right": 1}
    assert found["movements"]["walk"] == {"labelled": 0, "read": 1, "right": 0}
    low, high = found["precision_ci95"]
    assert 0 < low < 3 / 4 < high < 1


def test_perfect_and_silent_reading():
    labelled = {"0.0": [["arm|wave"], ["head|nod"]]}
    perfect = figures(labelled, labelled)
    assert (perfect["precision"], perfect["recall"], perfect["order_agreement"]) == (1.0, 1.0, 1.0)
    silent = figures(labelled, {"0.0": []})
    assert (silent["precision"], silent["recall"], silent["order_agreement"]) == (None, 0.0, None)


def test_repeated_claims_are_found_once_each():
    found = figures({"0.0": [["arm|wave"]]}, {"0.0": [["arm|wave"], ["arm|wave"]]})
    assert (found["precision"], found["recall"]) == (0.5, 1.0)


def test_claims_are_written_as_labels():
    claims = parse_claims("the person in red waves at the person in blue twice, throws the red ball, touches the head")
    assert written(claims) == [["arm|wave||2"], ["arm|throw"], ["arm|touch|||the head"]]
    assert written(parse_claims("he does not nod")) == [["not head|nod"]]


def test_the_labels_are_whole_and_speak_the_vocabulary():
    for part in ("tune", "report"):
        found = labels(part)
        assert len(found) == 150
        movements = {claim.split("|")[1] for steps in found.values() for step in steps for claim in step}
        assert movements <= set(vocabulary().movements)
    assert not set(labels("tune")) & set(labels("report"))


@pytest.fixture
def files(tmp_path, monkeypatch):
    rows = [{"captions": ["a person waves.", "a person claps twice"]}, {"captions": ["he sits, then nods"]}]
    (tmp_path / "captions.json").write_text(json.dumps(rows))
    entries = {
        "0.1": {"part": "tune", "steps": [["both arms|clap||2"]]},
        "1.0": {"part": "tune", "steps": [["whole body|sit"], ["head|nod"]]},
        "0.0": {"part": "report", "steps": [["left arm|wave"]]},
    }
    (tmp_path / "labels.json").write_text(json.dumps({"captions": entries}))
    monkeypatch.setattr(parser.labels, "__defaults__", (tmp_path / "labels.json",))
    return tmp_path


def test_the_tool_measures_one_part(files, monkeypatch, capsys):
    output = files / "figures.json"
    arguments = ["bench.py", "parser", f"captions={files / 'captions.json'}", f"output={output}"]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(BENCH), run_name="__main__")
    found = json.loads(output.read_text())
    assert (found["part"], found["n_captions"], found["precision"], found["recall"]) == ("tune", 2, 1.0, 1.0)
    assert found["order_agreement"] == 1.0 and "command" in found["environment"]
    assert "precision" in capsys.readouterr().out
    report = measure(ParserBench(captions=str(files / "captions.json"), output=str(output), part="report"))
    assert (report["n_captions"], report["precision"], report["recall"]) == (1, 0.0, 0.0)


def test_errors(tmp_path):
    with pytest.raises(ConfigError, match=r"expected part to be one of \('tune', 'report'\), found 'all': choose one"):
        ParserBench(captions="x", output="y", part="all").check()
    with pytest.raises(
        DataError, match="expected captions at .*gone.json, found no file: give HumanML3D's test captions"
    ):
        sentences(tmp_path / "gone.json", ["0.0"])
    (tmp_path / "short.json").write_text(json.dumps([{"captions": ["one"]}]))
    with pytest.raises(
        DataError, match="expected the rows that humanml3d_claims.json names in .*, found that one is missing"
    ):
        sentences(tmp_path / "short.json", ["0.0", "7.0"])
