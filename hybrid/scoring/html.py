"""The report as one page: no scripts, nothing from the web, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from hybrid.data.sample import Sample
from hybrid.scoring.report import is_right, prediction_of
from hybrid.scoring.table import interval, percent

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child, .text td, .text th { text-align: left }
.bar { position: relative; width: 14rem; height: 1rem; background: #eee }
.bar div { position: absolute; top: 0; height: 100% }
.accuracy { background: #3a7ca5 } .ci { background: #16425b66 }
.chance { width: 2px; background: #c1121f } .majority { width: 2px; background: #f4a259 }
.right { color: #2a7f3f } .wrong { color: #c1121f } .quiet { color: #666 }
"""


def render(
    report: Mapping[str, Any],
    title: str,
    samples: Iterable[Sample] = (),
    predictions: Iterable[Mapping[str, Any]] = (),
    *,
    examples: int = 40,
) -> str:
    """The page of a report made by `score`; with samples and predictions it ends in examples.

    The examples are `examples` answered questions of the plain run, evenly spaced.
    """
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{_summary(report)}</p>",
        _tasks(report),
        '<p class="quiet">Bar: accuracy with its 95 % Wilson interval (dark). Red: chance. Orange: the best '
        "constant answer of the training split. All figures in percent.</p>",
    ]
    for probe, run in report["probes"].items():
        parts += [f"<h2>Probe: {escape(probe)}</h2>", f"<p>{_summary(run)}</p>", _tasks(run)]
    parts.append(_examples(list(samples), predictions, examples))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _summary(run: Mapping[str, Any]) -> str:
    text = (
        f"{run['n']} questions, {run['missing']} missing, {run['unparsable']} unparsable; macro accuracy "
        f"{percent(run['macro_accuracy'])}, micro accuracy {percent(run['micro_accuracy'])} "
        f"({interval(run['micro_ci95'])})"
    )
    return escape(text)


def _tasks(run: Mapping[str, Any]) -> str:
    rows = dict(run["tasks"]) | ({"binding": run["binding"]} if run["binding"] else {})
    names = ("task", "n", "accuracy", "95 %", "", "chance", "majority", "more")
    head = "".join(f"<th>{name}</th>" for name in names)
    lines = []
    for task, row in rows.items():
        cells = [escape(task), row["n"], percent(row["accuracy"]), interval(row["ci95"]), _bar(row)]
        cells += [percent(row["chance"]), percent(row["majority"]), escape(_extras(row))]
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<table><tr>{head}</tr>\n" + "\n".join(lines) + "</table>"


def _bar(row: Mapping[str, Any]) -> str:
    low, high = row["ci95"]
    marks = [
        f'<div class="accuracy" style="width:{100 * (row["accuracy"] or 0):.1f}%"></div>',
        f'<div class="ci" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></div>',
    ]
    marks += [
        f'<div class="{name}" style="left:{100 * row[name]:.1f}%"></div>'
        for name in ("chance", "majority")
        if row[name] is not None
    ]
    return f'<div class="bar">{"".join(marks)}</div>'


def _extras(row: Mapping[str, Any]) -> str:
    shares = {"within_one": "within one", "r_at_0.3": "R@0.3", "r_at_0.7": "R@0.7", "mean_iou": "mean IoU"}
    texts = [f"{name} {percent(row[key])}" for key, name in shares.items() if key in row]
    if row.get("mean_absolute_error") is not None:
        texts.append(f"mean absolute error {row['mean_absolute_error']:.2f}")
    if "groups" in row:
        texts.append(f"{row['groups']} groups {percent(row['group_accuracy'])}")
    return ", ".join(texts)


def _examples(samples: list[Sample], predictions: Iterable[Mapping[str, Any]], count: int) -> str:
    lines = {line["id"]: line for line in predictions if line.get("probe") is None}
    shown = [sample for sample in samples if sample.id in lines]
    shown = shown[:: max(1, -(-len(shown) // count))]
    if not shown:
        return ""
    rows = []
    for sample in shown:
        prediction = prediction_of(lines[sample.id], sample)
        said = lines[sample.id].get("text") or "" if prediction is None else _words(prediction, sample)
        style = "quiet" if sample.kind == "hidden" else "right" if is_right(prediction, sample) else "wrong"
        cells = [sample.task, sample.question, sample.answer_text or "hidden"]
        row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr>{row}<td class="{style}">{escape(said)}</td></tr>')
    head = "<tr><th>task</th><th>question</th><th>answer</th><th>prediction</th></tr>"
    return f'<h2>Examples</h2>\n<table class="text">{head}\n' + "\n".join(rows) + "</table>"


def _words(prediction: Any, sample: Sample) -> str:
    if sample.options is not None:
        return sample.options[prediction]
    return " to ".join(f"{time:g}" for time in prediction) if isinstance(prediction, list | tuple) else str(prediction)
