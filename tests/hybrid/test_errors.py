"""One family that tools can catch."""

import pytest

from hybrid import errors


@pytest.mark.parametrize("name", ["ConfigError", "DataError", "ModelError", "CheckpointError"])
def test_family(name):
    assert issubclass(getattr(errors, name), errors.HybridError)
