"""Arrays in safetensors files: byte for byte the library's, and read one by one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fastpong.storage.tensors import (
    NAMES,
    Stored,
    Under,
    digest,
    layout,
    pieces,
    read_into,
    shapes_of,
    signature,
)

ARRAYS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(list(NAMES)).flatmap(
        lambda dtype: arrays(dtype, st.just(()) | array_shapes(min_dims=1, min_side=0, max_side=4))
    ),
    max_size=6,
)
SOME = {
    "b": np.arange(6, dtype=np.uint16).reshape(2, 3),
    "a": np.linspace(0, 1, 700_000),
    "none": np.zeros((0, 2)),
    "flag": np.array(True),
}


class Refused(Exception):
    pass


def written(path: Path, given: dict[str, Any]) -> str:
    parts = pieces(given)
    path.write_bytes(b"".join(part.tobytes() for part in parts))
    return digest(parts)


def opened(path: Path, given: dict[str, Any]) -> Stored:
    return Stored(os.open(path, os.O_RDONLY), signature(given), Refused)


@given(given=ARRAYS)
@example(given=dict.fromkeys(['"', "\\", "é", "\n", "\x7f", "\x00", "𝄞"], np.ones(1)))
@example(given={name: np.ones((2, 1), name) for name in NAMES})
def test_the_bytes_are_the_librarys(given: dict[str, Any]) -> None:
    whole = b"".join(part.tobytes() for part in pieces(given))
    assert whole == safetensors.numpy.save(given)


def test_arrays_come_back_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    expected = written(path, SOME)
    stored = opened(path, SOME)
    assert stored.nbytes == path.stat().st_size
    assert stored.digest() == expected and stored.difference() is None
    assert stored.keys() == SOME.keys() and len(stored) == len(SOME) and "z" not in stored
    assert stored.shapes == shapes_of(SOME)
    for name, array in stored.items():
        np.testing.assert_array_equal(array, SOME[name], strict=True)
        assert array.flags.writeable and array is not stored[name]
    for out in (np.zeros((2, 3), np.uint16), np.zeros((2, 3)), np.zeros((3, 2), np.uint16).T):
        read_into(stored, "b", out)
        np.testing.assert_array_equal(out, SOME["b"])
    with pytest.raises(KeyError):
        stored["z"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**SOME, "flag": np.array(1, np.int8)}, "array 'flag': expected .*'int8'.*, got .*'bool'"),
        ({**SOME, "b": SOME["b"].T}, r"array 'b': expected .*\[3, 2\].*, got .*\[2, 3\]"),
        ({n: a for n, a in SOME.items() if n != "none"}, "array 'none': expected None, got .*"),
        ({**SOME, "z": np.zeros(0)}, "array 'z': expected .*, got None"),
    ],
)
def test_arrays_that_a_file_has_otherwise(tmp_path: Path, given: Any, said: str) -> None:
    written(tmp_path / "x", SOME)
    difference = opened(tmp_path / "x", given).difference()
    assert difference is not None and re.match(said, difference), difference


@pytest.mark.parametrize("header", [b"", b"[" * 9000, b"[1]", b'{"a": 3}', b"\xff" * 100])
def test_a_file_of_another_header(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(10**4))
    difference = opened(path, {"a": np.zeros(1000)}).difference()
    assert difference == "expected a header of safetensors, got another one"


def test_a_file_that_changes_after_it_was_verified_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    written(path, SOME)
    stored = opened(path, SOME)
    stored.digest()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:  # in place: the open file is this one
        file.write(content)
    with pytest.raises(Refused, match="was altered while it was read: flag"):
        stored["flag"]
    np.testing.assert_array_equal(stored["a"], SOME["a"])
    os.truncate(path, 1000)
    with pytest.raises(Refused, match="was cut off"):
        stored["a"]


def test_a_file_that_was_deleted_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    written(path, SOME)
    stored = opened(path, SOME)
    stored.digest()
    path.unlink()
    np.testing.assert_array_equal(stored["a"], SOME["a"])
    stored.close()
    stored.close()
    with pytest.raises(Refused, match="cannot be read"):
        stored["a"]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    written(path, SOME)
    before = open_files()
    for _ in range(20):
        opened(path, SOME)
    assert open_files() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"a": {"shape": [2], "dtype": "complex64"}},
        {"a": {"shape": [2], "dtype": []}},
        {"a": {"shape": [-1], "dtype": "int8"}},
        {"a": {"shape": [True], "dtype": "int8"}},
        {"a": {"shape": [1.0], "dtype": "int8"}},
        {"a": {"shape": "12", "dtype": "int8"}},
        {"a": {"shape": 3, "dtype": "int8"}},
        {"a": {"dtype": "int8"}},
        {"a": []},
        [3],
        None,
    ],
)
def test_what_is_no_signature_is_refused(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        layout(wrong)


def test_a_prefix_shows_the_arrays_below_it() -> None:
    held = {"state/a": np.ones(1), "state/b/c": np.ones(2), "other": np.ones(3)}
    below = Under(held, "state/")
    assert list(below) == ["a", "b/c"] and len(below) == 2
    assert below["b/c"] is held["state/b/c"]
    with pytest.raises(KeyError):
        below["other"]
