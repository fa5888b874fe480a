"""The bench of encoders at a small size: equal outputs, every key that it promises, and how growth is measured."""

import pytest
import torch

from hybrid.benches.encoder import EncoderBench, exponent, kept, measure
from hybrid.errors import ConfigError


def test_figures_of_a_small_network():
    threads = torch.get_num_threads()
    figures = measure(
        EncoderBench(
            "x",
            clips=1,
            frames=16,
            width=16,
            depth=4,
            rounds=2,
            threads=1,
            compiled=False,
            lengths=[8, 16],
            crowds=[1, 2],
        )
    )
    assert torch.get_num_threads() == threads
    for key in ("forward_ratio", "train_ratio", "forward_seconds", "train_seconds_mmaction2"):
        assert figures[key] > 0
    assert figures["max_abs_difference"] < 1e-4
    assert figures["max_abs_difference_training"] < 1e-3
    assert set(figures["seconds_by_frames"]) == {8, 16} and set(figures["seconds_by_persons"]) == {1, 2}


def test_growth_is_an_exponent():
    assert exponent({1: 3.0, 2: 6.0, 4: 12.0}) == pytest.approx(1)
    assert exponent({10: 1.0, 20: 4.0, 40: 16.0}) == pytest.approx(2)


def test_kept_bytes_count_a_storage_once_and_no_weights():
    layer = torch.nn.Linear(10, 10)
    assert kept(torch.nn.Sequential(layer), torch.randn(4, 10)) == 160  # the input

    class Twice(torch.nn.Module):
        def forward(self, inputs):
            return inputs.requires_grad_() * inputs

    assert kept(Twice(), torch.randn(4, 10)) == 160


def test_sizes_that_cannot_be():
    with pytest.raises(ConfigError, match="must be above 0"):
        EncoderBench("x", clips=0).check()
