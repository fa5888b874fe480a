"""Pickles: arrays of every kind come through, and nothing in one is ever run."""

import os
import pickle

import numpy as np
import pytest

from skeleton.errors import FormatError
from skeleton.formats import clips, read
from skeleton.formats.unpickling import read_pickle


def dump(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


class Malicious:
    """Unpickled the usual way, it makes a file."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def test_a_pickle_never_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "ran"
    attacks = {
        "system": (os.system, f"touch {mark}"),
        "eval": (eval, f"open({str(mark)!r}, 'w')"),
        "exec": (exec, f"open({str(mark)!r}, 'w')"),
        "open": (open, str(mark), "w"),
        "getattr": (getattr, "text", "upper"),
        "__import__": (__import__, "this"),
    }
    for name, (call, *arguments) in attacks.items():
        for value in (
            Malicious(call, *arguments),
            {"annotations": [{"frame_dir": "a", "label": Malicious(call, *arguments)}]},
        ):
            path = dump(tmp_path / "bad.pkl", value)
            with pytest.raises(FormatError, match=rf"found the object \w+\.{name}, which was not loaded because"):
                read(path, "pyskl", fps=30)
    assert not mark.exists()
    # It is the attack that works: without the closed list the file would be there.
    pickle.loads(pickle.dumps(Malicious(os.system, f"touch {mark}")))
    assert mark.exists()


def test_other_ways_in_are_closed(tmp_path):
    """Dotted names, numpy functions that run text, objects by extension code or persistent id, object arrays."""
    cases = {
        b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.": "found the object numpy.ndarray.__class__",
        b"cnumpy.testing._private.utils\nrunstring\n(S'1'\ntR.": "the object numpy.testing._private.utils.runstring",
        b"cnumpy.dtypes\nObjectDType\n.": "the object numpy.dtypes.ObjectDType",
        b"cnumpy\nload\n.": "the object numpy.load",
        b"ccollections\nnamedtuple\n.": "the object collections.namedtuple",
        b"Pname\n.": "unreadable pickle .UnpicklingError",
        b"\x82\x01.": "unreadable pickle .ValueError unregistered extension code",
        b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.": "unreadable pickle .UnpicklingError bytes in the encoding",
    }
    for text, message in cases.items():
        (tmp_path / "bad.pkl").write_bytes(text)
        with pytest.raises(FormatError, match=message):
            read(tmp_path / "bad.pkl", "pyskl", fps=30)
    structured = np.zeros(3, [("a", "O"), ("b", "f4")])
    for array in (np.empty((1, 4, 17, 2), object), structured, np.zeros(3, "M8[s]"), np.zeros(3, "f4,f4")):
        for protocol in (2, 4, 5):
            with pytest.raises(FormatError, match="found an unreadable pickle .UnpicklingError an array of"):
                clips(dump(tmp_path / "c.pkl", [{"frame_dir": "a", "keypoint": array}], protocol), "pyskl", fps=30)
    loads = clips(
        dump(tmp_path / "d.pkl", [{"frame_dir": "a", "keypoint": np.zeros((1, 4, 17, 2), "U3")}]), "pyskl", fps=30
    )
    with pytest.raises(FormatError, match="expected numbers in keypoint, found <U3"):
        loads[0][1]()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_kind(tmp_path, protocol):
    """Types, orders of bytes and of memory, and numpy's scalars."""
    rng = np.random.default_rng(0)
    arrays = [
        (rng.random((3, 4)) * 9).astype(code) for code in ("?", "i1", "<i8", ">i4", "u2", "f2", ">f4", "f8", "c16")
    ]
    arrays += [np.asfortranarray(arrays[7]), arrays[7].T, arrays[7][::2], np.zeros((0, 3)), np.array(5.0)]
    arrays += [np.array(["one", "fifteen"]), np.array([b"a", b"bc"])]
    scalars = [np.float32(0.5), np.int64(-3), np.bool_(True), np.str_("name")]
    plain = {"a": [1, (2.5, None)], "b": {frozenset({1}), "x"}, "c": bytearray(b"xy"), "d": b"\xff\x00"}
    value = read_pickle(dump(tmp_path / "a.pkl", [arrays, scalars, plain], protocol), "a pickle")
    for found, array in zip(value[0], arrays, strict=True):
        assert found.dtype == array.dtype and found.flags.writeable
        np.testing.assert_array_equal(found, array)
    assert value[1] == [0.5, -3, True, "name"] and value[2] == plain
