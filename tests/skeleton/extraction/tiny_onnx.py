"""ONNX models of a few nodes, written by hand, since the package `onnx` is not needed otherwise.

Only the fields of the protocol buffers that onnxruntime asks for.
"""

import numpy as np

_TYPES = {np.dtype(np.float32): 1, np.dtype(np.int64): 7}


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def tensor(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(_field(1, side) for side in array.shape)
    return dims + _field(2, _TYPES[array.dtype]) + _field(8, name) + _field(9, array.tobytes())


def value(name: str, shape: tuple, kind: int = 1) -> bytes:
    """A graph's input or output; a text in `shape` leaves that side open."""
    sides = b"".join(_field(1, _field(2 if isinstance(side, str) else 1, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, sides)))


def node(kind: str, inputs: list[str], outputs: list[str], **attributes: int | list[int]) -> bytes:
    made = b"".join(_field(1, name) for name in inputs) + b"".join(_field(2, name) for name in outputs)
    made += _field(4, kind)
    for name, content in attributes.items():
        if isinstance(content, int):
            body = _field(1, name) + _field(3, content) + _field(20, 2)
        else:
            body = _field(1, name) + b"".join(_field(8, number) for number in content) + _field(20, 7)
        made += _field(5, body)
    return made


def model(nodes: list[bytes], constants: list[bytes], inputs: list[bytes], outputs: list[bytes]) -> bytes:
    graph = b"".join(_field(1, one) for one in nodes) + _field(2, "tiny")
    graph += b"".join(_field(5, one) for one in constants)
    graph += b"".join(_field(11, one) for one in inputs) + b"".join(_field(12, one) for one in outputs)
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))


def heatmap_model(weights: np.ndarray, size: tuple[int, int]) -> bytes:
    """A convolution [V, 3, 4, 4] of stride 4 over crops of `size` (width, height)."""
    joints = len(weights)
    return model(
        [node("Conv", ["data", "weights"], ["maps"], strides=[4, 4], kernel_shape=[4, 4])],
        [tensor("weights", weights.astype(np.float32))],
        [value("data", (1, 3, size[1], size[0]))],
        [value("maps", (1, joints, size[1] // 4, size[0] // 4))],
    )


def simcc_model(weights: np.ndarray, size: tuple[int, int]) -> bytes:
    """The maxima along both axes of a convolution [V, 3, 1, 1] over crops of `size`; any number of crops."""
    joints = len(weights)
    return model(
        [
            node("Conv", ["data", "weights"], ["maps"], kernel_shape=[1, 1]),
            node("ReduceMax", ["maps"], ["x"], axes=[2], keepdims=0),
            node("ReduceMax", ["maps"], ["y"], axes=[3], keepdims=0),
        ],
        [tensor("weights", weights.astype(np.float32))],
        [value("data", ("batch", 3, size[1], size[0]))],
        [value("x", ("batch", joints, size[0])), value("y", ("batch", joints, size[1]))],
    )


def constant_model(answers: dict[str, np.ndarray], shape: tuple) -> bytes:
    """Always the same answers, whatever is shown in `shape`."""
    return model(
        [node("Identity", [f"{name}_"], [name]) for name in answers],
        [tensor(f"{name}_", array) for name, array in answers.items()],
        [value("input", shape)],
        [value(name, array.shape, _TYPES[array.dtype]) for name, array in answers.items()],
    )
