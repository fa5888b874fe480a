"""Families of errors that tools can catch."""

import pytest

from hybrid import errors
from skeleton.errors import SkeletonError


@pytest.mark.parametrize("name", ["ConfigError", "ModelError", "CheckpointError"])
def test_family(name):
    assert issubclass(getattr(errors, name), errors.HybridError)


def test_data_errors_are_those_of_the_skeleton_package():
    assert issubclass(errors.DataError, SkeletonError)
