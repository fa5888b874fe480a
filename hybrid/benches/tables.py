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
}


def table(name: str, results: Path) -> str:
    """The table `name` over the files `NAME*.json` of a folder, in the order of their names, and where they come from."""
    columns = TABLES[name]
    files = sorted(results.glob(f"{name}*.json"))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    rows = [[cell(figures) for _, cell in columns] for figures in found]
    lines = [[heading for heading, _ in columns], ["---"] * len(columns), *rows]
    said = {(f["environment"]["commit"][:7], f["environment"]["date"][:10], f["environment"]["cores"]) for f in found}
    source = "; ".join(f"commit {commit}, {day}, {cores} CPU cores" for commit, day, cores in sorted(said))
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", f"({source}; commands in docs/results.)"])


def filled(page: str, results: Path) -> str:
    """A page with its tables made from the files in `results`."""
    pattern = r"(<!-- results: (\w+) -->\n).*?(<!-- end of results -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{table(found[2], results)}\n{found[3]}", page, flags=re.DOTALL)


if __name__ == "__main__":
    for path in sorted((ROOT / "docs").glob("*.md")):
        path.write_text(filled(path.read_text(encoding="utf-8"), ROOT / "docs/results"), encoding="utf-8")
