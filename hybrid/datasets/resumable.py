"""Data sets that are made piece by piece: an interrupted run goes on, a bad piece is set aside, other settings are refused.

A piece is done when its part file (.parts/NAME.jsonl) is there; info.json is written last and marks a finished set.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from hybrid.errors import DataError
from skeleton.errors import SkeletonError
from skeleton.jsonl import read_jsonl, write_json, write_jsonl

Progress = Callable[[int, int], object]


def make_set(
    folder: Path, name: str, what: str, settings: dict, pieces: Mapping[str, tuple[str, Callable[[], list[dict]]]],
    assemble: Callable[[list[dict]], dict], progress: Progress,
) -> dict:  # fmt: skip
    """Makes what is missing and returns what info.json says; a finished set is only read, failed pieces are tried again.

    what: the word for a piece ("capture"). pieces: name of the part file -> (name of the piece, lines of its part).
    assemble: all lines -> what info.json says of them. progress(done, total) is called after each piece. Raises DataError
    where the folder holds a set made with other settings, or where no piece can be used.
    """
    claim(folder, settings)
    if (folder / "info.json").is_file() and not (folder / "failures.jsonl").is_file():
        return json.loads((folder / "info.json").read_text(encoding="utf-8"))
    (folder / ".parts").mkdir(parents=True, exist_ok=True)
    write_json(folder / ".parts" / "settings.json", settings)
    lines, failures = [], []
    for done, (part, (piece, make)) in enumerate(pieces.items(), 1):
        path = folder / ".parts" / f"{part}.jsonl"
        try:
            if not path.is_file():
                write_jsonl(path, make())
            lines += read_jsonl(path)
        except (SkeletonError, DataError) as error:
            failures.append({what: piece, "reason": str(error)})
        progress(done, len(pieces))
    (folder / "failures.jsonl").unlink(missing_ok=True)
    if failures:
        write_jsonl(folder / "failures.jsonl", failures)
    if not lines:
        reason = f"the first of {len(failures)}: {failures[0]['reason']}"
        raise DataError(f"expected {what}s that can be used, found none; {reason}")
    info = {"name": name, "settings": settings, f"{what}s": len(pieces), "left_out": len(failures)}
    info |= assemble(lines)
    write_json(folder / "info.json", info)
    if not failures:
        shutil.rmtree(folder / ".parts")
    return info


def claim(folder: Path, settings: dict) -> None:
    """DataError where the folder holds a set made with other settings."""
    for path, key in ((folder / "info.json", "settings"), (folder / ".parts" / "settings.json", None)):
        if not path.is_file():
            continue
        data = json.loads(path.read_text(encoding="utf-8"))
        found = data.get(key, {}) if key else data
        differing = sorted(name for name in settings | found if found.get(name) != settings.get(name))
        if differing:
            raise DataError(
                f"expected {folder} to hold nothing or a set made with { ({k: settings.get(k) for k in differing}) }, "
                f"found { ({k: found.get(k) for k in differing}) }: choose another output or remove the folder"
            )
