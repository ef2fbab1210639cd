"""Foreign weights: every writing of the reference program's pickle, and no other pickle."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import PATIENCE

from fastpong.storage.weights.pickle import (
    MAX_FILE_BYTES,
    ForeignError,
    read_reference_pickle,
)
from fastpong.storage.weights.pickle_machine import PickleReader


def model(hidden: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {"W1": rng.standard_normal((hidden, 6400)), "W2": rng.standard_normal(hidden)}


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    path = tmp_path / "save.p"
    path.write_bytes(data)
    return read_reference_pickle(path)


def assert_is(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == np.float64
        assert found[name].flags.writeable
        assert found[name].flags.c_contiguous
        np.testing.assert_array_equal(found[name], array)


# Python 2 and its NumPy, by hand: what cPickle writes with protocol 0 (its default, text) and 2.
# The test of these two writers is Python 3's own unpickler, below.


def python2_text(arrays: dict[str, np.ndarray], order: str = "<") -> bytes:
    """Protocol 0, with Python 2's repr of byte strings."""
    escapes = {10: b"\\n", 13: b"\\r", 9: b"\\t", 92: b"\\\\", 39: b"\\'"}
    table = [escapes.get(b, bytes([b]) if 32 <= b < 127 else b"\\x%02x" % b) for b in range(256)]
    out = b"(dp1\n"
    for name, a in arrays.items():
        raw = b"".join(table[b] for b in a.astype(a.dtype.newbyteorder(order)).tobytes())
        shape = b"(" + b"".join(b"I%d\n" % n for n in a.shape) + b"t"
        out += b"S'%s'\np2\ncnumpy.core.multiarray\n_reconstruct\np3\n" % name.encode()
        out += b"(cnumpy\nndarray\np4\n(I0\ntp5\nS'b'\np6\ntp7\nRp8\n"
        out += b"(I1\n%sp9\ncnumpy\ndtype\np10\n(S'f8'\np11\nI0\nI1\ntp12\nRp13\n" % shape
        out += b"(I3\nS'%s'\np14\nNNNI-1\nI-1\nI0\ntp15\nbI00\n" % order.encode()
        out += b"S'%s'\np16\ntp17\nbs" % raw
    return out + b"."


def python2_binary(arrays: dict[str, np.ndarray]) -> bytes:
    out = b"\x80\x02}q\x01("
    for name, a in arrays.items():
        raw = a.astype("<f8").tobytes()
        shape = b"".join(b"M" + struct.pack("<H", n) for n in a.shape)
        shape += {1: b"\x85", 2: b"\x86"}[a.ndim]
        out += (
            b"U\x02" + name.encode() + b"q\x02cnumpy.core.multiarray\n_reconstruct\nq\x03"
            b"cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01" + shape + b"cnumpy\ndtype\n"
            b"q\x06U\x02f8K\x00K\x01\x87Rq\x07(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
            b"K\x00tb\x89T" + struct.pack("<i", len(raw)) + raw + b"tb"
        )
    return out + b"u."


PYTHON2: dict[str, Callable[[dict[str, np.ndarray]], bytes]] = {
    "0": python2_text,
    "0, big-endian": lambda arrays: python2_text(arrays, ">"),
    "2": python2_binary,
}


@pytest.mark.parametrize("protocol", PYTHON2)
def test_python_2_pickles(tmp_path: Path, protocol: str) -> None:
    data = PYTHON2[protocol](model())
    # The hand-written bytes are a true pickle: Python's own unpickler agrees.
    assert_is(
        {k: v.astype("=f8") for k, v in pickle.loads(data, encoding="latin1").items()}, model()
    )
    assert_is(read(tmp_path, data), model())


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "change",
    [
        lambda a: a,
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: a.astype(">f8"),
        lambda a: a.round().astype(np.int8).astype(np.float64),
    ],
    ids=["plain", "fortran", "strided", "big-endian", "round"],
)
def test_python_3_pickles(tmp_path: Path, protocol: int, change: Callable[..., Any]) -> None:
    arrays = {name: change(array) for name, array in model().items()}
    data = pickle.dumps(arrays, protocol)
    assert_is(read(tmp_path, data), arrays)
    # NumPy 1 wrote the same under its older name.
    older = data.replace(b"numpy._core.", b"numpy.core.")
    older = older.replace(b"\x8c\x16numpy.core.multi", b"\x8c\x15numpy.core.multi")
    older = older.replace(b"\x8c\x13numpy.core.num", b"\x8c\x12numpy.core.num")
    assert b"numpy._core." not in older
    assert_is(read(tmp_path, older), arrays)


@pytest.mark.parametrize("dtype", ["f2", "f4", "i1", "i8", "u2"])
def test_other_numbers_become_float64(tmp_path: Path, dtype: str) -> None:
    arrays = {name: (array * 9).astype(dtype) for name, array in model().items()}
    assert_is(read(tmp_path, pickle.dumps(arrays)), arrays)


def test_the_real_size(tmp_path: Path) -> None:
    assert_is(read(tmp_path, python2_binary(model(200))), model(200))


class Call:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
def test_calls_are_refused_and_nothing_is_executed(tmp_path: Path, protocol: int) -> None:
    witness = tmp_path / "executed"
    source = f"open({str(witness)!r}, 'w')"
    attacks = [
        Call(os.system, f"touch {witness}"),
        Call(eval, source),
        Call(exec, source),
        Call(open, str(witness), "w"),
        Call(getattr, "text", "upper"),
        Call(np.load, str(witness)),
        Call(pickle.loads, pickle.dumps(Call(eval, source))),
        Call(__import__, "os"),
    ]
    for attack in attacks:
        for value in (attack, {"W1": attack, "W2": 1}, model() | {"W2": attack}):
            with pytest.raises(ForeignError, match="names"):
                read(tmp_path, pickle.dumps(value, protocol))
    assert not witness.exists()
    # The same pickles do execute under an ordinary unpickler: the attacks are real.
    pickle.loads(pickle.dumps(attacks[0], protocol))
    assert witness.exists()


NDARRAY = b"cnumpy\nndarray\n"
DTYPE = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR"
BLANK = b"cnumpy.core.multiarray\n_reconstruct\n(" + NDARRAY + b"(I0\ntS'b'\ntR"
ENCODE = b"c_codecs\nencode\n"


def array(shape: bytes = b"(I2\nt", dtype: bytes = DTYPE, raw: bytes = b"S'0123456789abcdef'\n"):
    """A pickled array with one part replaced."""
    return BLANK + b"(I1\n" + shape + dtype + b"I00\n" + raw + b"tb"


def as_model(w1: bytes, w2: bytes = b"I1\n") -> bytes:
    return b"(dS'W1'\n" + w1 + b"sS'W2'\n" + w2 + b"s."


MALICIOUS = {
    "copyreg": b"ccopyreg\n_reconstructor\n(cos\nsystem\nN.",
    "copy_reg": b"ccopy_reg\n_reconstructor\n.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0adtype.type\x93.",
    "name from the stack that is no text": b"\x80\x04}}\x93.",
    "numpy's own eval": b"cnumpy.testing._private.utils\nrunstring\n.",
    "an instance": b"(ios\nsystem\n.",
    "an object": b"(cos\nsystem\nS'x'\no.",
    "an extension": b"\x80\x02\x82\x01.",
    "a persistent id": b"Pos.system\n.",
    "new object": b"cnumpy\nndarray\n(I1\nt\x81.",
    "state for a function": b"cnumpy\nndarray\n(N(dS'__class__'\nI1\nstb.",
    "state for a dictionary": b"(d(dS'a'\nI1\nsb.",
    "an array class called": NDARRAY + b"((I2\ntDtR.",
    "dtype called with a class": b"cnumpy\ndtype\n(" + NDARRAY + b"tR.",
    "encode with another codec": ENCODE + b"(S'abc'\nS'zip'\ntR.",
    "dtype with fields": b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.",
    "dtype with fields in its state": DTYPE + b"(I3\nS'<'\nN(dS'x'\nNsNI-1\nI-1\nI0\ntb.",
    "objects": as_model(array(dtype=b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR", raw=b"(dS'x'\nNs")),
    "negative shape": as_model(array(b"(I-1\nI-2\nt")),
    "huge shape": as_model(array(b"(I1000000\nI1000000\nt")),
    "overflowing shape": as_model(array(b"(L4611686018427387905L\nI4\nt")),
    "boolean shape": as_model(array(b"(I01\nI2\nt")),
    "no shape": as_model(array(b"N")),
    "empty shape": as_model(array(b"(t", raw=b"S'01234567'\n")),
    "many dimensions": as_model(array(b"(" + b"I1\n" * 300 + b"t")),
    "no dtype": as_model(array(dtype=b"N")),
    "no bytes": as_model(array(raw=b"I5\n")),
    "text that is not bytes": as_model(
        array(raw="V01234567\u0142bcdefgh\n".encode("raw-unicode-escape"))
    ),
    "a blank array": as_model(BLANK),
    "wrong byte order": DTYPE + b"(I3\nS'@'\nNNNI-1\nI-1\nI0\ntb.",
    "huge memo index": b"\x80\x02Nr\xff\xff\xff\x7f" + b".",
    "memo never set": b"g7\n.",
    "more than there is": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "bytearray bomb": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "frame bomb": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "huge decimal": b"L" + b"9" * 100_000 + b"L\n.",
    "deep nesting": b"(" * 500 + b"t" * 500 + b".",
    "deeper nesting": b"N" + b"\x85" * 100_000 + b".",
    "exponential key": b"}N" + b"\x86".join([b"q\x00h\x00"] * 300) + b"\x86Ns.",
    "exponential value": b"N" + b"q\x00h\x00\x86" * 200 + b".",
    "operations without end": b"N" * 10_000_000,
    "marks without end": b"(" * 1_000_000,
    "repeated encoding": ENCODE + b"S'" + b"x" * 100_000 + b"'\n" + b"2" * 300 + b".",
    "nothing on the stack": b".",
    "pop of nothing": b"\x85.",
    "group without a mark": b"t.",
    "odd items": b"(dS'W1'\n(S'a'\nu.",
    "an unhashable key": b"}}Ns.",
    "a quote missing": b"S'abc\n.",
    "a quote alone": b"S'\n.",
    "invalid escape": b"S'\\x'\n.",
    "no opcode": b"\xff.",
    "a name": b"S'W1'\n.",
    "none": b"N.",
    "nothing": b"",
    "a text file": b"Wakefield, 1834\n",
}

HARMLESS = {"frame bomb", "exponential value", "a name", "none", "huge memo index"}
ENDLESS = {"operations without end", "marks without end", "deeper nesting", "deep nesting"}


@pytest.mark.parametrize("name", MALICIOUS)
def test_malicious_and_broken_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ForeignError) as caught:
        read(tmp_path, MALICIOUS[name])
    message = str(caught.value)
    assert len(message) < 600
    # Refused while it is read, not because something harmless came out of it in the end.
    assert ("dictionary of W1 and W2" in message) == (name in HARMLESS)
    assert ("at most 1000 pickle operations" in message) == (name in ENDLESS)


def test_the_parts_of_the_malicious_files_are_sound() -> None:
    """What they are refused for is the part that was replaced."""
    found = PickleReader(as_model(array(), array(b"(I2\nt"))).load()
    assert isinstance(found, dict)
    assert found.keys() == {"W1", "W2"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("W2"), "dictionary of W1 and W2, got a dictionary of W1"),
        (lambda m: m.update(b1=m["W2"]), "got a dictionary of W1, W2, b1"),
        (lambda m: m.update(W1=m["W1"].T), r"got \(6400, 2\)"),
        (lambda m: m.update(W1=m["W1"][:, :-1]), "80x80"),
        (lambda m: m.update(W2=m["W2"][:1]), r"got \(2, 6400\) and \(1,\)"),
        (lambda m: m.update(W1=m["W1"][:0], W2=m["W2"][:0]), "H >= 1|expected a"),
        (lambda m: m["W1"].__setitem__((1, 5), np.nan), "finite"),
        (lambda m: m["W2"].__setitem__(0, -np.inf), "finite"),
        (lambda m: m.update(W2="text"), "W2: expected an array"),
        (lambda m: m.update(W2=m["W2"].astype(complex)), "c16"),
        (lambda m: m.update(W2=m["W2"].astype(object)), "expected numbers"),
        (lambda m: m.update(W2=m["W2"] > 0), "b1"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, change: Callable[..., Any], message: str) -> None:
    changed = model()
    change(changed)
    for protocol in (2, 4):
        with pytest.raises(ForeignError, match=message):
            read(tmp_path, pickle.dumps(changed, protocol))


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    for protocol in range(6):
        data = pickle.dumps(model(1), protocol)
        for length in (1, 10, 100, len(data) // 2, len(data) - 1):
            with pytest.raises(ForeignError):
                read(tmp_path, data[:length])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    small = {"W1": np.ones((1, 3)), "W2": np.ones(1)}
    content = bytearray(pickle.dumps(small, data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        PickleReader(bytes(content)).load()
    except ForeignError as error:
        assert len(str(error)) < 600


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ForeignError, match=r"expected a (regular )?file"):
            read_reference_pickle(path)


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "save.p"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ForeignError, match="at most"):
        read_reference_pickle(path)


def test_the_reader_imports_no_unpickler() -> None:
    code = (
        "from fastpong.storage.weights import pickle, pickle_machine\n"
        "assert not any('pickle' in vars(module) for module in (pickle, pickle_machine))"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=PATIENCE)
