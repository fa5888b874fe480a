"""The stored skeletons of a folder."""

import hashlib
from pathlib import Path

from hybrid.errors import DataError
from skeleton.files import sha256


def find_records(folder: str) -> list[Path]:
    """The records of a folder, searched to the bottom, in order."""
    return sorted(path for path in Path(folder).expanduser().rglob("*.npz") if not path.name.startswith("."))


def name_of(record: Path, folder: str) -> str:
    """A record's name: its path below the folder, without .npz."""
    return record.relative_to(Path(folder).expanduser()).with_suffix("").as_posix()


def list_records(folder: str) -> tuple[list[Path], str]:
    """(records in order, a hash of their names and bytes). Raises DataError where there are none."""
    root, paths = Path(folder).expanduser(), find_records(folder)
    if not paths:
        raise DataError(f"expected records (.npz) at skeletons={folder}, found none: extract skeletons first")
    told = "\n".join(f"{path.relative_to(root).as_posix()} {sha256(path)}" for path in paths)
    return paths, hashlib.sha256(told.encode()).hexdigest()[:16]
