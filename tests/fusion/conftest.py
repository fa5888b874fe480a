"""The toy model of tests/hybrid, whose joint branch is tested here."""

from tests.hybrid.conftest import body, make, row, tiny_config, tiny_samples

__all__ = ["body", "make", "row", "tiny_config", "tiny_samples"]
