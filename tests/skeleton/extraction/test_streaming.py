"""Reading ahead in a thread: order, bound, errors, early ends."""

import threading
import time

import pytest

from skeleton.extraction.streaming import Stages, blocks, read_ahead


def test_everything_comes_in_order():
    assert list(read_ahead(iter(range(100)), 3)) == list(range(100))
    assert list(read_ahead([], 3)) == []


def test_the_thread_is_never_further_ahead_than_the_bound():
    taken = []

    def numbers():
        for number in range(20):
            taken.append(number)
            yield number

    for number in read_ahead(numbers(), 4):
        time.sleep(0.005)
        # one in the hand of the thread, four in the queue, one here
        assert len(taken) <= number + 1 + 4 + 1


def test_an_error_comes_after_the_items_before_it():
    def broken():
        yield 1
        raise ValueError("damaged")

    frames = read_ahead(broken(), 2)
    assert next(frames) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(frames)


def test_stopping_early_ends_the_thread():
    before = threading.active_count()
    frames = read_ahead(iter(range(10**9)), 2)
    assert next(frames) == 0
    frames.close()
    assert threading.active_count() == before


def test_blocks_know_the_last():
    assert list(blocks(range(5), 2)) == [([0, 1], False), ([2, 3], False), ([4], True)]
    assert list(blocks(range(4), 2)) == [([0, 1], False), ([2, 3], True)]
    assert list(blocks([], 2)) == []


def test_stages_add_up():
    stages = Stages()
    for _ in range(2):
        with stages.timed("wait", 3):
            time.sleep(0.01)
    assert stages.counts["wait"] == 6
    assert 0.02 <= stages.seconds["wait"] < 1
