"""Reports side by side as a text table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Report = Mapping[str, Any]


def compare(reports: Mapping[str, Report]) -> str:
    """A table of {column name: report}: a row for each task, macro, binding and probe.

    Beside the accuracies (in percent) stand chance, the majority answer, n and the 95 % interval of the last
    report; missing and unparsable answers are named below.
    """
    last = list(reports.values())[-1]
    rows = [["", *reports, "chance", "majority", "n", f"95 % of {list(reports)[-1]}"]]
    for task in dict.fromkeys(task for report in reports.values() for task in report["tasks"]):
        rows.append(_row(task, [report["tasks"].get(task) for report in reports.values()]))
    rows.append(_row("macro", [_macro(report) for report in reports.values()]))
    rows.append(_row("micro", [_micro(report) for report in reports.values()]))
    if any(report["binding"] for report in reports.values()):
        rows.append(_row("binding", [report["binding"] for report in reports.values()]))
    for probe in dict.fromkeys(probe for report in reports.values() for probe in report["probes"]):
        probes = [report["probes"].get(probe) for report in reports.values()]
        rows.append(_row(f"macro, probe {probe}", [_macro(run) for run in probes]))
        if any(run and run["binding"] for run in probes):
            rows.append(_row(f"binding, probe {probe}", [run and run["binding"] for run in probes]))
    notes = [
        f"{name}: {report['missing']} missing and {report['unparsable']} unparsable of {report['n']}"
        for name, report in reports.items()
        if report["missing"] or report["unparsable"]
    ]
    if last.get("hidden"):
        notes.append(f"{last['hidden']} questions with hidden answers are not scored")
    return "\n".join([align(rows), *notes])


def align(rows: list[list[str]]) -> str:
    """Rows of texts as columns, the first to the left and the others to the right, a rule below the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in cells).rstrip()
        for cells in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def percent(share: float | None) -> str:
    """0.8123 as 81.2; a dash for None."""
    return "-" if share is None else f"{100 * share:.1f}"


def interval(bounds: list[float] | None) -> str:
    """[0.78, 0.84] as 78.0 to 84.0; a dash for None."""
    return "-" if bounds is None else f"{percent(bounds[0])} to {percent(bounds[1])}"


def _row(name: str, cells: list[Mapping | None]) -> list[str]:
    last = next((cell for cell in reversed(cells) if cell), {})
    accuracies = [percent(cell["accuracy"]) if cell else "-" for cell in cells]
    ci95 = cells[-1].get("ci95") if cells[-1] else None
    guesses = [percent(last.get("chance")), percent(last.get("majority"))]
    return [name, *accuracies, *guesses, str(last.get("n", "-")), interval(ci95)]


def _macro(run: Report | None) -> dict | None:
    """The mean over tasks as a row; it has no interval of its own."""
    if run is None:
        return None
    keys = ("accuracy", "chance", "majority")
    return {"n": run["n"], **{key: run[f"macro_{key}"] for key in keys}}


def _micro(run: Report) -> dict:
    return {"n": run["n"], "accuracy": run["micro_accuracy"], "ci95": run["micro_ci95"]}


def systems(runs: Mapping[str, Report], best: str) -> str:
    """A table with a row for each system and a column for each task, macro and binding, in percent.

    `runs` are reports or probe runs of the same questions. Above them stand chance and the majority answer, below
    them n and the 95 % interval of the run called `best`.
    """
    tasks = list(runs[best]["tasks"])
    rows = [["", *tasks, "macro", "binding"]]

    def add(name: str, run: Report, key: str, form: Callable[[Any], str]) -> None:
        macro = form(run.get(f"macro_{key}"))
        cells = [run["tasks"][task] for task in tasks], run["binding"]
        rows.append([name, *(form(cell.get(key)) for cell in cells[0]), macro, form(cells[1] and cells[1].get(key))])

    for key in ("chance", "majority"):
        add(key, runs[best], key, percent)
    for name, run in runs.items():
        add(name, run, "accuracy", percent)
    add("n", runs[best], "n", lambda count: "-" if count is None else str(count))
    add(f"95 % of {best}", runs[best], "ci95", short_interval)
    return align(rows)


def short_interval(bounds: list[float] | None) -> str:
    """[0.78, 0.84] as 78-84; a dash for None."""
    return "-" if bounds is None else f"{100 * bounds[0]:.0f}-{100 * bounds[1]:.0f}"
