"""Fixtures shared by all tests, and their tiers: those marked slow start programs, train, or read real data."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # the networks of tests are tiny: threads that wait for each other cost more than they save

SHARED = Path(__file__).resolve().parents[2] / "shared"
MISSING = "the folder ../shared with real data is not on this machine"
SLOW = ("tests/tools/", "tests/hybrid/benches/", "tests/hybrid/runs/", "tests/skeleton/pretraining/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what `make test-fast` leaves out."""
    for item in items:
        if item.nodeid.startswith(SLOW) or "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter) -> None:
    """Says aloud how many tests on real data did not run."""
    skipped = [report for report in terminalreporter.stats.get("skipped", ()) if MISSING in str(report.longrepr)]
    if skipped:
        terminalreporter.section(f"{len(skipped)} tests on real data did NOT run: {MISSING}", yellow=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository; tests that need it are skipped where it is missing."""
    if not (SHARED / "data").is_dir():
        pytest.skip(MISSING)
    return SHARED
