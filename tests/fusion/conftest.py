"""The toy model of tests/hybrid, whose joint branch is tested here."""

from tests.hybrid.conftest import asked, body, make, row, tiny_config, tiny_samples

__all__ = ["asked", "body", "make", "row", "tiny_config", "tiny_samples"]
