"""Files written whole or not at all, hashed, and worked on by one process at a time."""

import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: no locks; two processes may do the same work twice, with the same result
    fcntl = None


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
    lock = Path(path).with_name(f".{_short(Path(path))}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield True
        return
    while True:
        file = lock.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            yield False
            return
        # Whoever held the lock before may have removed the file since it was opened here.
        try:
            if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                break
        except FileNotFoundError:
            pass
        file.close()
    try:
        sweep(path)
        yield True
    finally:
        lock.unlink(missing_ok=True)
        file.close()
