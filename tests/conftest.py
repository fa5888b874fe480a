"""Fixtures shared by all tests."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # the networks of tests are tiny: threads that wait for each other cost more than they save


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository; tests that need it are skipped where it is missing."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the folder ../shared with real data is not on this machine")
    return folder
