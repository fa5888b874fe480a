"""Pickles of numpy arrays and plain Python types, read without running anything that they ask for.

A pickle is a program, and what it can call is decided by `find_class`: here a closed list. numpy's own functions
are not on it, because arrays and types of a crafted state can point at memory that is not theirs. Stand-ins take
what a pickle says of an array (shape, type, bytes) and build it from a copy of the bytes; numbers and text only.
Both spellings of numpy's inner modules are known (`numpy.core` of NumPy 1, `numpy._core` of NumPy 2).
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.common import require_file

_KINDS = "biufcSU"  # truth, whole, real and complex numbers, bytes, text
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ImportError,
    OverflowError,
    MemoryError,
    RecursionError,
)


class _Type:
    """Stands for numpy.dtype."""

    dtype = np.dtype("u1")

    def __init__(self, code: str, align: bool = False, copy: bool = False):
        dtype = np.dtype(code) if isinstance(code, str) else np.dtype("O")
        if dtype.kind not in _KINDS:
            raise pickle.UnpicklingError(f"an array of {code!r}")
        self.dtype = dtype

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands for numpy.ndarray, called as such or filled by the state of a pickled array."""

    value = np.empty(0)

    def __init__(self, shape: tuple = (0,), code: str = "u1", buffer: bytes = b""):
        self.value = _built(_Type(code), buffer, shape)

    def __setstate__(self, state: tuple) -> None:
        shape, kind, by_columns, content = state[-4:]
        self.value = _built(kind, content, shape, "F" if by_columns else "C")


def _built(kind: _Type, content: bytes | str, shape: tuple, order: str = "C") -> np.ndarray:
    content = content.encode("latin1") if isinstance(content, str) else bytes(content)
    if not kind.dtype.itemsize:
        return np.zeros(shape, kind.dtype)
    return np.frombuffer(content, kind.dtype).reshape(shape, order=order).copy()


def _rebuild(owner: type, shape: tuple, code: bytes) -> _Array:
    return _Array()


def _from_buffer(content: Any, kind: _Type, shape: tuple, order: str, axes: tuple | None = None) -> _Array:
    result = _Array()
    if axes is not None:
        raise pickle.UnpicklingError(f"an array with its axes in the order {axes}")
    result.value = _built(kind, content, shape, order)
    return result


def _scalar(kind: _Type, content: bytes | str) -> Any:
    return _built(kind, content, (1,))[0].item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _type_of(name: str) -> Callable[[], _Type]:
    return lambda: _Type(getattr(np.dtypes, name)().str)


_SIZED = (f"{kind}{bits}DType" for kind in ("Int", "UInt", "Float") for bits in (8, 16, 32, 64))
_ALLOWED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    **{("numpy.dtypes", name): _type_of(name) for name in (*_SIZED, "BoolDType") if hasattr(np.dtypes, name)},
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _rebuild
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _from_buffer
for _module in ("builtins", "__builtin__"):
    _ALLOWED |= {(_module, kind.__name__): kind for kind in (set, frozenset, bytes, bytearray, complex)}


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, path: Path):
        # latin1 is what arrays in pickles of Python 2 need.
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise FormatError(
                f"{self._path} must hold only numpy arrays and plain Python types, found the object {module}.{name}, "
                "which was not loaded because it could run code; save the data as dicts, lists and arrays"
            )
        found = _ALLOWED[module, name]
        # A pickle may set attributes of what it is given: a function goes out behind one made for this once.
        return (lambda *arguments: found(*arguments)) if isinstance(found, FunctionType) else found


def read_pickle(path: str | Path, kind: str) -> Any:
    """The value in a pickle; numpy's scalars come as plain numbers.

    Raises FormatError for a missing, cut or foreign file, for foreign objects and for arrays of objects in it.
    """
    path = require_file(path, kind)
    with path.open("rb") as file:
        try:
            return _real(_Reader(file, path).load())
        except FormatError:
            raise
        except _BROKEN as error:
            reason = " ".join(f"{type(error).__name__} {error}".split())[:90]
            raise FormatError(f"{path} must be {kind}, found an unreadable pickle ({reason}); copy it again") from error


def _real(value: Any) -> Any:
    """The value with arrays in place of what stands for them."""
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {key: _real(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_real(part) for part in value)
    return value
