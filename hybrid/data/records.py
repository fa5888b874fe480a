"""The stored skeletons of a folder."""

import hashlib
from pathlib import Path

from hybrid.errors import DataError
from skeleton.files import sha256


def list_records(folder: str) -> tuple[list[Path], str]:
    """(records in order, a hash of their names and bytes). Raises DataError where there are none."""
    root = Path(folder).expanduser()
    paths = sorted(path for path in root.rglob("*.npz") if not path.name.startswith("."))
    if not paths:
        raise DataError(f"expected records (.npz) at skeletons={folder}, found none: extract skeletons first")
    told = "\n".join(f"{path.relative_to(root).as_posix()} {sha256(path)}" for path in paths)
    return paths, hashlib.sha256(told.encode()).hexdigest()[:16]
