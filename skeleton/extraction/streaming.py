"""Frames read ahead by a thread, so that decoding goes on while the networks work."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


@dataclass(frozen=True)
class Frame:
    """One decoded frame: its number among those taken, its time, and the picture RGB uint8 [H, W, 3]."""

    number: int
    seconds: float
    image: np.ndarray


class Stages:
    """Seconds spent in each stage of the work, and how often things were done; several threads may add."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    @contextmanager
    def timed(self, stage: str, count: int = 1) -> Iterator[None]:
        """Adds the time of the block to `stage`, and `count` to its count."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - begin
            self.counts[stage] += count


def read_ahead(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """The items in their order, taken by a thread that is at most `depth` items ahead.

    What `items` raises is raised here, after the items before it. A reader that stops early ends the thread.
    """
    ready: queue.Queue = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple) -> bool:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def fill() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=fill, name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        thread.join()


def blocks(items: Iterable[Item], size: int) -> Iterator[tuple[list[Item], bool]]:
    """Lists of up to `size` items, each with whether it is the last."""
    items = iter(items)
    block = list(islice(items, size))
    while block:
        following = list(islice(items, size))
        yield block, not following
        block = following
