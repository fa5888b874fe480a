"""What a data set holds: python tools/summarize.py DIR [videos=DIR] [sheets=8] [overlays=3]

DIR is a folder of skeleton records, a prepared data set, or a .jsonl file of samples. Prints counts, rates of visible
joints, and suspicious videos with the reason; writes summary.json, sheets of pictures and a few overlays to DIR/summary.
The exit status is 1 if something could not be read. `--help` lists the keys.
"""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hybrid.config.loading import load_config
from hybrid.errors import HybridError
from hybrid.scoring.table import align
from hybrid.summary.summarize import SummaryConfig, summarize
from skeleton.errors import SkeletonError

SHOWN = 20  # rows of a long table; summary.json has all


def main(arguments: list[str]) -> int:
    """Summarizes; 1 where something could not be read."""
    if arguments and not re.match(r"-|[A-Za-z_][\w.]*=|.*\.ya?ml$", arguments[0]):
        arguments = [f"data={arguments[0]}", *arguments[1:]]
    config = load_config(SummaryConfig, arguments, prog="summarize.py DIR", description=__doc__)
    summary, folder = summarize(config)
    print(describe(summary))
    for failure in summary["failures"]:
        print(f"failed: {failure['file']}: {failure['reason']}", file=sys.stderr)
    print(f"\nsummary in {folder}")
    return 1 if summary["failures"] else 0


def describe(summary: dict[str, Any]) -> str:
    """The tables of a summary."""
    persons = summary["persons_per_frame"]
    facts = [
        ["records", str(summary["records"])],
        ["frames", str(summary["frames"])],
        ["hours", _number(summary["hours"])],
        ["layouts", _counts(summary["layouts"])],
        ["persons per frame", f"{_number(persons['mean'])} on average, at most {_number(persons['max'])}"],
        ["frames with nobody", _percent(persons["none"])],
        ["dropped persons", _counts(summary["dropped_persons"]) or "0"],
    ]
    spreads = [
        ("seconds", "seconds"),
        ("frames a second", "frames_per_second"),
        ("persons a video", "tracks_per_video"),
    ]
    parts = ("min", "median", "max")
    blocks = [[["", *parts]] + [[name, *(_number(summary[key][part]) for part in parts)] for name, key in spreads]]
    for layout, rates in summary["visible"].items():
        for part in ("limbs", "joints"):
            rows = [[name, _percent(rate)] for name, rate in rates[part].items()]
            blocks.append([[f"visible {part} ({layout})", ""], *rows])
    for title, key in (("task", "tasks"), ("class", "classes")):
        blocks += _histogram(title, summary[key])
    lines = [f"{name.ljust(max(len(fact) for fact, _ in facts))}  {value}".rstrip() for name, value in facts]
    text = "\n\n".join(["\n".join(lines), *map(align, blocks)])
    found = summary["suspicious"]
    lines = [f"\nsuspicious: {len(found)} of {summary['records']}"]
    lines += [
        f"  {entry['record']}: {'; '.join(reason['text'] for reason in entry['reasons'])}" for entry in found[:SHOWN]
    ]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more in summary.json")
    return "\n".join([text, *lines])


def _histogram(title: str, counts: dict[str, dict[str, int]]) -> list[list[list[str]]]:
    if not counts:
        return []
    files = list(dict.fromkeys(file for row in counts.values() for file in row))
    rows = [[name, *(str(row.get(file, 0)) for file in files)] for name, row in list(counts.items())[:SHOWN]]
    more = [[f"and {len(counts) - SHOWN} more", *("" for _ in files)]] if len(counts) > SHOWN else []
    return [[[title, *files], *rows, *more]]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (HybridError, SkeletonError) as error:
        sys.exit(f"error: {error}")
