"""The exceptions of the product.

Each message is one sentence: what was expected, what was found, what to do. Tools catch `HybridError`, print
that sentence and end with a nonzero status; anything else is a fault of the program and keeps its traceback.
Errors about videos, skeletons and data files come from `skeleton.errors`.
"""

from skeleton.errors import DataError

__all__ = ["CheckpointError", "ConfigError", "DataError", "HybridError", "ModelError", "sentence"]


class HybridError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(HybridError, ValueError):
    """A configuration that names unknown keys, holds values of a wrong type or contradicts itself."""


class ModelError(HybridError, RuntimeError):
    """A model that cannot be loaded or is used against its contract."""


class CheckpointError(HybridError, RuntimeError):
    """A checkpoint that is missing, unsafe or belongs to another model."""


def sentence(error: Exception) -> str:
    """The one sentence of an error, also of one that a process which loads data has sent on with its traceback."""
    return str(error).rsplit(f"{type(error).__name__}: ", 1)[-1].strip()
