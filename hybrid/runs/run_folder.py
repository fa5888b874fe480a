"""The folder of one run, and its files of JSON.

runs/NAME/config.yaml  checkpoints/{last,best}.ckpt  metrics.csv  predictions.jsonl
runs/NAME/report.json  report.html  environment.json
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hybrid.config.loading import to_yaml
from skeleton.files import atomic
from skeleton.jsonl import write_json

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
