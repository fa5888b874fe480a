"""The tables of docs/ from the figures in docs/results: `python -m hybrid.benches.tables` writes them anew.

A page says where a table goes: between `<!-- results: NAME -->` and `<!-- end of results -->`.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Column = tuple[str, Callable[[dict[str, Any]], str]]


def _command(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda figures: re.search(rf"\b{key}=(\S+)", figures["environment"]["command"])[1].rpartition("/")[2]


def _number(form: str, *keys: str) -> Callable[[dict[str, Any]], str]:
    def text(figures: dict[str, Any]) -> str:
        for key in keys:
            figures = figures[key]
        return format(figures, form)

    return text


def _peaks(figures: dict[str, Any]) -> str:
    return ", ".join(f"{frames} frames: {peak:.0f}" for frames, peak in figures["peak_memory_mb"].items())


def _share(key: str) -> Callable[[dict[str, Any]], str]:
    """A share with its 95 % interval, which stands under the same key with _ci95 behind the name."""
    name, kind = (key[:-3], key[-3:]) if key.endswith(("_3d", "_2d")) else (key, "")
    return lambda figures: _interval(figures[key], figures[f"{name}_ci95{kind}"])


def _interval(share: float, ci95: list[float], form: str = ".3f") -> str:
    return f"{share:{form}} ({ci95[0]:{form}} to {ci95[1]:{form}})"


def _caught(kind: str) -> Callable[[dict[str, Any]], str]:
    """How many of the wrong captions of one kind are caught, in the form where fewer are."""

    def text(figures: dict[str, Any]) -> str:
        least = min(figures["caught"][kind].values(), key=lambda found: found["caught"])
        return f"{least['caught']:.3f} of {least['n']}"

    return text


RUNS: list[Column] = [
    ("run", lambda f: f["name"]),
    ("accuracy (95 % interval)", lambda f: _interval(f["accuracy"], f["ci95"], ".1%")),
    ("chance, majority", lambda f: f"{f['chance']:.1%}, {f['majority']:.1%}"),
    ("n", _number("d", "n")),
    (
        "without copies of training clips (n)",
        lambda f: f"{f['new']['accuracy']:.1%} ({f['new']['n']})" if f.get("new", {}).get("n") else "-",
    ),
    ("kept: joints missed", _number(".3f", "kept", "miss_joints")),
    ("kept: rows dropped", _number(".3f", "kept", "drop_frames")),
    ("right alone, reference alone", lambda f: f"{f['alone_right']}, {f['reference_alone_right']}"),
    ("p against the reference", _number(".2g", "p")),
]

TABLES: dict[str, list[Column]] = {
    "extract": [
        ("video", _command("video")),
        ("networks in", _command("backend")),
        ("speed over MMPoseInferencer", _number(".1f", "speedup")),
        ("detected in every frame", _number(".1f", "speedup_every_frame")),
        ("mean OKS", _number(".3f", "mean_oks")),
        ("frames/s", _number(".1f", "frames_per_second")),
        ("crops/s", _number(".0f", "crops_per_second")),
        ("detections a frame", _number(".2f", "detections_per_frame")),
        ("peak MB (MMPose's)", lambda f: f"{f['peak_memory_mb']:.0f} ({f['peak_memory_mb_mmpose']:.0f})"),
    ],
    "equality": [
        ("video", _command("video")),
        ("networks in", _command("backend")),
        ("persons of MMPoseInferencer", _number("d", "persons_mmpose")),
        ("in both", _number("d", "persons_in_both")),
        ("their joints", _number("d", "joints")),
        ("beyond 0.5 px", _number("d", "joints_beyond_half_a_pixel")),
        ("median px", _number(".0e", "pixels_apart_median")),
    ],
    "memory": [
        ("video, over and over", _command("video")),
        ("peak MB", _peaks),
        ("growth", _number(".2f", "growth")),
    ],
    "tracking": [
        ("seed", _command("seed")),
        ("clips", _number("d", "clips")),
        ("IDF1", _number(".3f", "idf1")),
        ("of the worst clip", _number(".3f", "idf1_worst_clip")),
        ("without a mistake", _number(".3f", "idf1_ceiling")),
    ],
    "encoder": [
        ("forward", _number(".2f", "forward_ratio")),
        ("training step", _number(".2f", "train_ratio")),
        ("forward, compiled", _number(".2f", "forward_ratio_compiled")),
        ("training step, compiled", _number(".2f", "train_ratio_compiled")),
        ("largest difference", _number(".0e", "max_abs_difference")),
        ("in training", _number(".0e", "max_abs_difference_training")),
        ("MB kept for the backward pass (mmaction2's)", lambda f: f"{f['kept_mb']:.0f} ({f['kept_mb_mmaction2']:.0f})"),
        (
            "cost grows with frames, persons to the power",
            lambda f: f"{f['exponent_frames']:.2f}, {f['exponent_persons']:.2f}",
        ),
    ],
    "events": [
        ("events", _number("d", "events_3d")),
        ("3D precision", _share("precision_3d")),
        ("3D recall", _share("recall_3d")),
        ("2D precision", _share("precision_2d")),
        ("2D recall", _share("recall_2d")),
        ("right counts 3D, 2D", lambda f: f"{f['count_right_3d']:.3f}, {f['count_right_2d']:.3f}"),
        ("right directions 3D, 2D", lambda f: f"{f['direction_right_3d']:.3f}, {f['direction_right_2d']:.3f}"),
        ("seconds for an hour", _number(".1f", "seconds_for_an_hour")),
    ],
    "limbs": [
        ("clips", _number("d", "clips")),
        ("named arm is the mover in 3D", _share("right_3d")),
        ("views in 2D", _number("d", "views")),
        ("named arm is the mover in 2D", _share("right_2d")),
        ("views that hide the arm, left out", _number("d", "views_unseen")),
    ],
    "mocap": [
        ("clips", _number("d", "clips")),
        ("asked about", _number(".3f", "asked")),
        ("in three tasks or more", _number(".3f", "asked_three_tasks")),
        ("questions", _number("d", "questions")),
        ("with balanced answers", _number("d", "questions_balanced")),
        ("clips asked about then", _number(".3f", "asked_balanced")),
        ("keys confirmed", _number(".3f", "keys_confirmed")),
        ("arm keys by path", lambda f: f"{f['arm_keys_by_path']:.3f} of {f['arm_keys']}"),
    ],
    "proxy": [
        ("clips", _number("d", "clips")),
        ("questions about events", _number("d", "questions")),
        ("right", _share("right")),
        ("by task", lambda f: ", ".join(f"{task} {a / n:.2f} of {n}" for task, (a, n) in f["tasks"].items())),
        ("words of poses right", lambda f: f"{f['words_right']:.3f} of {f['words']}"),
    ],
    "parser": [
        ("part", _number("", "part")),
        ("captions", _number("d", "n_captions")),
        ("claims labelled, read", lambda f: f"{f['n_labelled']}, {f['n_read']}"),
        ("precision", _share("precision")),
        ("recall", _share("recall")),
        ("pairs in the labelled order", lambda f: f"{f['order_agreement']:.3f} of {f['n_pairs']}"),
        ("captions all right", _number(".3f", "captions_all_right")),
    ],
    "checker": [
        ("clips", _number("d", "clips")),
        ("precision of true captions", lambda f: f"{f['true']['narrate']['precision']:.3f}"),
        ("recall", lambda f: f"{f['true']['narrate']['recall']:.3f}"),
        ("wrong side caught", _caught("side")),
        ("wrong direction", _caught("direction")),
        ("wrong order", _caught("order")),
        ("wrong count", _caught("count")),
    ],
    "recognition": RUNS,
    "pretraining": RUNS,
}


COMPARED = {"reality": (("3D", "marionette_3d", "captures"), ("2D", "marionette_2d", "records"))}


def compared(name: str, results: Path) -> str:
    """The quantities of NAME_before.json and NAME_after.json beside reality: median (5 to 95 %), * where it differs."""
    figures = [
        json.loads((results / f"{name}_{when}.json").read_text(encoding="utf-8")) for when in ("before", "after")
    ]
    lines = [["quantity", "in", "before", "after", "reality", "of so many"], ["---"] * 6]
    for dimension, ours, theirs in COMPARED[name]:
        for quantity, found in figures[1]["quantities"].items():
            if ours in found and theirs in found:
                cells = []
                for of in figures:
                    differs = quantity in of["differing"][f"{ours} {theirs}"]
                    cells.append(_spread(of["quantities"].get(quantity, {}).get(ours)) + " *" * differs)
                lines.append([quantity, dimension, *cells, _spread(found[theirs]), str(found[theirs][3])])
    said = figures[1]["environment"]
    source = f"commit {said['commit'][:7]}, {said['date'][:10]}, {said['cores']} CPU cores"
    return "\n".join(
        ["| " + " | ".join(line) + " |" for line in lines] + ["", f"({source}; commands in docs/results.)"]
    )


def _spread(found: list[float] | None) -> str:
    return "-" if found is None else f"{found[1]:.3g} ({found[0]:.3g} to {found[2]:.3g})"


def _rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """A file is one row, but for runs that are compared: each has a row, with the commit that it was trained at."""
    if "reference" not in figures:
        return [figures]
    return [run | {"environment": figures["environment"] | {"commit": run["commit"]}} for run in figures["runs"]]


def table(name: str, results: Path) -> str:
    """The table `name` over the files `NAME*.json` of a folder, in the order of their names, and where they come from."""
    if name in COMPARED:
        return compared(name, results)
    columns = TABLES[name]
    files = sorted(results.glob(f"{name}*.json"))
    found = [row for path in files for row in _rows(json.loads(path.read_text(encoding="utf-8")))]
    lines = [
        [heading for heading, _ in columns],
        ["---"] * len(columns),
        *[[cell(row) for _, cell in columns] for row in found],
    ]
    said = {(f["environment"]["commit"][:7], f["environment"]["date"][:10], f["environment"]["cores"]) for f in found}
    source = "; ".join(f"commit {commit}, {day}, {cores} CPU cores" for commit, day, cores in sorted(said))
    return "\n".join(
        ["| " + " | ".join(line) + " |" for line in lines] + ["", f"({source}; commands in docs/results.)"]
    )


def filled(page: str, results: Path) -> str:
    """A page with its tables made from the files in `results`."""
    pattern = r"(<!-- results: (\w+) -->\n).*?(<!-- end of results -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{table(found[2], results)}\n{found[3]}", page, flags=re.DOTALL)


if __name__ == "__main__":
    for path in sorted((ROOT / "docs").glob("*.md")):
        path.write_text(filled(path.read_text(encoding="utf-8"), ROOT / "docs/results"), encoding="utf-8")
