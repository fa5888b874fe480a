"""Work in pieces, one core each: small convolutions lose more by being split over cores than they gain."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Cores:
    """Threads that share pieces of work: one for each core on a CPU, the caller alone on another device."""

    def __init__(self, device: str | torch.device):
        self.count = cores() if torch.device(device).type == "cpu" else 1
        # torch counts threads for each thread of ours apart
        self._pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))

    def each(self, work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
        """What `work` returns for each piece, in order."""
        if self.count == 1:
            return [work(piece) for piece in pieces]
        return list(self._pool.map(work, pieces))

    def split(self, count: int, most: int) -> list[slice]:
        """`count` things in pieces of at most `most`, at least one for each core as far as they go."""
        size = max(1, min(most, -(-count // self.count)))
        return [slice(begin, min(begin + size, count)) for begin in range(0, count, size)]
