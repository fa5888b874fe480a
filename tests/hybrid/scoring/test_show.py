"""The report as a table and as a page."""

import pytest

from hybrid.data.sample import Sample
from hybrid.scoring.html import render
from hybrid.scoring.report import score
from hybrid.scoring.table import align, compare, interval, percent


@pytest.fixture
def parts():
    samples = [
        Sample("a", "<b>Which</b>?", "limb", 0, 9, options=["<left>", "right"], answer=0, meta={"binding": True}),
        Sample("b", "When?", "interval", 0, 9, answer=(1, 2)),
        Sample("c", "How often?", "count", 0, 9, answer=3),
        Sample("h", "Secret?", "limb", 0, 9, options=["x", "y"]),
    ]
    lines = [
        {"id": "a", "probe": None, "prediction": 1},
        {"id": "b", "probe": None, "prediction": [1.0, 2.0]},
        {"id": "c", "probe": None, "prediction": None, "text": "<many>"},
        {"id": "h", "probe": None, "prediction": 1},
        {"id": "a", "probe": "shuffle", "prediction": 0},
    ]
    return samples, lines, score(lines, samples, samples[:3])


def test_table(parts):
    _, _, report = parts
    table = compare({"video-only": score([], parts[0]), "grounded": report}).splitlines()
    assert table[0].split("  ")[-2:] == ["n", "95 % of grounded"]
    assert table[0].split()[:4] == ["video-only", "grounded", "chance", "majority"]
    rows = {line.split("  ")[0]: line.split()[1:] for line in table[2:]}
    # chance of the interval is the hit rate of the one training interval
    assert rows["interval"] == ["0.0", "100.0", "100.0", "100.0", "1", "20.7", "to", "100.0"]
    assert rows["limb"] == ["0.0", "0.0", "50.0", "100.0", "1", "0.0", "to", "79.3"]
    assert rows["macro"] == ["0.0", "33.3", "83.3", "100.0", "3", "-"]
    names = [line.split("  ")[0] for line in table[2:9]]
    assert names == ["count", "interval", "limb", "macro", "micro", "binding", "macro, probe shuffle"]
    assert "video-only: 3 missing and 0 unparsable of 3" in table
    assert "grounded: 0 missing and 1 unparsable of 3" in table
    assert table[-1] == "1 questions with hidden answers are not scored"


def test_table_shows_tasks_that_only_one_report_has(parts):
    lone = score([], [Sample("o", "?", "order", 0, 1, options=["x", "y"], answer=1)])
    lines = compare({"one": lone, "two": parts[2]}).splitlines()
    assert any(line.startswith("order") and " - " in line for line in lines)


def test_align_percent_interval():
    assert align([["", "b"], ["long", "1"]]).splitlines() == ["      b", "----  -", "long  1"]
    assert (percent(0.81234), percent(None)) == ("81.2", "-")
    assert (interval([0.5, 0.75]), interval(None)) == ("50.0 to 75.0", "-")


def test_page_is_escaped_and_alone(parts):
    samples, lines, report = parts
    page = render(report, "run <one>", samples, lines)
    assert "<title>run &lt;one&gt;</title>" in page
    assert "&lt;b&gt;Which&lt;/b&gt;?" in page
    assert "&lt;many&gt;" in page
    assert "&lt;left&gt;" in page
    for outside in ("http", "<script", "<b>", "<left>", "<many>", "src="):
        assert outside not in page
    assert "Probe: shuffle" in page
    assert page.count("<table") == 3
    assert 'class="wrong">right<' in page
    assert 'class="right">1 to 2<' in page


def test_page_without_examples(parts):
    assert "Examples" not in render(parts[2], "run")
