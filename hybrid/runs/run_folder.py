"""The folder of one run, and its files of JSON.

runs/NAME/config.yaml  checkpoints/{last,best}.ckpt  metrics.csv  predictions.jsonl
runs/NAME/report.json  report.html  environment.json
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hybrid.config.loading import to_yaml
from hybrid.errors import DataError
from skeleton.files import atomic

PACKAGES = (
    "torch", "torchvision", "numpy", "transformers", "lightning", "peft", "torch-geometric", "av", "einops",
    "omegaconf", "mmcv", "mmcv-lite", "mmengine", "mmdet", "mmpose", "mmaction2",
)  # fmt: skip


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run; `create` makes the folder, everything else only names files."""

    path: Path

    @classmethod
    def create(cls, output: str | Path, name: str) -> RunFolder:
        """The folder output/name with its checkpoints folder, made when missing."""
        folder = cls(Path(output) / name)
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.jsonl"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    @property
    def page(self) -> Path:
        return self.path / "report.html"

    def checkpoint(self, name: str) -> Path:
        """The path of `best` or `last`; anything else is a path already."""
        return self.checkpoints / f"{name}.ckpt" if name in ("best", "last") else Path(name)

    def describe(self, config: Any) -> None:
        """Write config.yaml and environment.json."""
        with atomic(self.path / "config.yaml") as file:
            file.write(to_yaml(config))
        write_json(self.path / "environment.json", environment())


def environment() -> dict[str, Any]:
    """What a figure depends on besides its config: versions, commit, device, command, date."""
    import torch

    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "device": device,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": packages,
    }


def commit() -> str | None:
    """The checked-out commit of this code, with "+changes" when files differ from it; None outside git."""
    root = Path(__file__).resolve().parents[2]
    try:
        run = {"cwd": root, "capture_output": True, "text": True, "check": True}
        head = subprocess.run(["git", "rev-parse", "HEAD"], **run).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], **run).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changed.strip() else "")


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON value, indented; NaN is refused, because JSON has none."""
    with atomic(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def write_jsonl(path: str | Path, values: Iterable[Any]) -> None:
    """Write one JSON value a line."""
    with atomic(path) as file:
        for value in values:
            file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: str | Path) -> list[Any]:
    """The values of a JSONL file. Raises: DataError naming file:line."""
    return [value for _, value in numbered_jsonl(path)]


def numbered_jsonl(path: str | Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, value) of each line that is not blank. Raises: DataError naming file:line."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"expected a JSONL file at {path}, found none; check the path")
    with path.open(encoding="utf-8") as file:
        try:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield number, _parse(text, f"{path}:{number}")
        except UnicodeDecodeError as error:
            raise DataError(f"expected UTF-8 text in {path}, found {error.reason}; save it as UTF-8") from error


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        found = f"{error.msg} at column {error.colno}"
        raise DataError(f"{place}: expected JSON, found {found}; mend that line") from error
