"""Files written whole or not at all, hashed, and worked on by one process at a time."""

import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout


@contextmanager
def atomic(path: str | Path, binary: bool = False) -> Iterator[IO]:
    """Open a file that takes its name only when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_name(path)
    try:
        with partial.open("wb") if binary else partial.open("w", encoding="utf-8") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partial_name(path: Path) -> Path:
    """Where a file is written before it takes its name; of this process alone."""
    return path.with_name(f".{_short(path)}.{os.getpid()}.partial")


def _short(path: Path) -> str:
    """A name that leaves room for an ending, in file systems that take 255 bytes."""
    return path.name if len(os.fsencode(path.name)) < 200 else hashlib.sha256(os.fsencode(path.name)).hexdigest()


def sweep(path: str | Path) -> None:
    """Removes what processes that were killed left half written of a file. Only for who has claimed the file."""
    path = Path(path)
    for left in path.parent.glob(f".{glob.escape(_short(path))}.*.partial"):
        left.unlink(missing_ok=True)


@contextmanager
def claimed(path: str | Path, wait: bool = False) -> Iterator[bool]:
    """Whether this process alone works on `path` until the block ends; with `wait`, once nobody else does.

    The claim is a lock on .NAME.lock beside the file. It ends with the process, however that ends. What a process
    that was killed left half written is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{_short(path)}.lock"))
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    try:
        sweep(path)
        yield True
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: whoever waits for it sees that, and tries anew
        lock.release()
