"""The tables of docs/ say what the files in docs/results say."""

import json

import pytest

from hybrid.benches.tables import ROOT, TABLES, filled, table

PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_pages_hold_the_tables_of_the_results(page):
    text = page.read_text(encoding="utf-8")
    assert filled(text, ROOT / "docs/results") == text, "run python -m hybrid.benches.tables"


def test_every_table_is_on_a_page():
    everything = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in TABLES:
        assert f"<!-- results: {name} -->" in everything


def test_a_changed_figure_changes_the_page(tmp_path):
    environment = {
        "command": "bench.py tracking output=o.json seed=7",
        "commit": "abcdef0123",
        "date": "2026-01-02T03:04",
        "cores": 2,
    }
    figures = {"clips": 5, "idf1": 0.98765, "idf1_worst_clip": 0.5, "idf1_ceiling": 0.99, "environment": environment}
    (tmp_path / "tracking_7.json").write_text(json.dumps(figures))
    assert "| 7 | 5 | 0.988 | " in table("tracking", tmp_path)
    assert "(commit abcdef0, 2026-01-02, 2 CPU cores" in table("tracking", tmp_path)
    page = "before\n<!-- results: tracking -->\nold\n<!-- end of results -->\nafter\n"
    once = filled(page, tmp_path)
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("<!-- end of results -->\nafter\n")
    assert filled(once, tmp_path) == once
    figures["idf1"] = 0.5
    (tmp_path / "tracking_7.json").write_text(json.dumps(figures))
    assert filled(once, tmp_path) != once
