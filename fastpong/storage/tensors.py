"""Arrays in safetensors files, written and read without a second copy of them all.

A file is the one that ``safetensors.numpy.save`` gives, byte for byte: the length of the header in
8 bytes, a header of JSON padded by spaces to a multiple of 8, and the arrays, those of the widest
dtypes first, in the order of their names. The library holds a file as a whole, once or twice,
beside the arrays. Of a replay buffer that is the larger part of a trainer's memory.

Source: the format's description at https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastpong.arrays import Array, Arrays
from fastpong.printable import brief

NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16",
    "int32": "I32", "uint32": "U32", "float32": "F32", "float64": "F64", "int64": "I64",
    "uint64": "U64",
}  # fmt: skip
"""Dtypes and their names in a header, the last ones first in a file."""

_RANKS = {dtype: rank for rank, dtype in enumerate(NAMES)}
_BLOCK = 1 << 20
"""Bytes of an array that are hashed at a time."""

Signature = Mapping[str, Mapping[str, Any]]
"""Of arrays: {name: {"shape": [2, 3], "dtype": "float32"}}."""


class Place(NamedTuple):
    """Hold the place of an array in a file: its bytes from ``start`` to ``stop``."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    stop: int


def signature(arrays: Arrays) -> dict[str, dict[str, Any]]:
    """Return the shapes and dtypes of arrays as JSON."""
    return {
        name: {"shape": list(array.shape), "dtype": array.dtype.name}
        for name, array in arrays.items()
    }


def layout(arrays: Signature) -> tuple[bytes, dict[str, Place]]:
    """Return the beginning of a file, and the places of its arrays in their order.

    Raises ValueError or TypeError for what is no signature.
    """
    if not isinstance(arrays, Mapping):
        raise TypeError(f"expected arrays by name, got {type(arrays).__name__}")
    header: dict[str, object] = {}
    sizes: dict[str, tuple[tuple[int, ...], np.dtype[Any], int]] = {}
    for name in sorted(arrays, key=lambda name: (-_RANKS[arrays[name]["dtype"]], name)):
        dtype, shape = np.dtype(arrays[name]["dtype"]), tuple(arrays[name]["shape"])
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError(f"{name}: expected a shape of integers >= 0, got {shape}")
        sizes[name] = shape, dtype.newbyteorder("<"), math.prod(shape) * dtype.itemsize
    end = 0
    for name, (shape, dtype, size) in sizes.items():
        offsets = [end, end := end + size]
        header[name] = {"dtype": NAMES[dtype.name], "shape": shape, "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    beginning, places, at = struct.pack("<Q", len(text)) + text, {}, 8 + len(text)
    for name, (shape, dtype, size) in sizes.items():
        places[name] = Place(shape, dtype, at, at := at + size)
    return beginning, places


def pieces(arrays: Arrays) -> list[memoryview]:
    """Return the bytes of a file of these arrays, in parts, those of arrays as views of them.

    arrays : C-contiguous and little-endian, of the dtypes of ``NAMES``
    """
    beginning, places = layout(signature(arrays))
    return [memoryview(beginning), *(_bytes_of(arrays[name]) for name in places)]


def digest(parts: Sequence[memoryview]) -> str:
    """Return the sha256 of parts of a file."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


class Stored(Mapping[str, Array]):
    """Read the arrays of a file one by one, each when it is asked for.

    descriptor : of the open file, closed with this object
    arrays     : their shapes and dtypes
    broken     : makes an error from a reason

    Each access reads an array anew and returns a writable copy. Raises what ``broken`` makes where
    the file cannot be read, or where an array has changed since ``digest``.
    """

    def __init__(
        self, descriptor: int, arrays: Signature, broken: Callable[[str], Exception]
    ) -> None:
        self._descriptor, self._broken = descriptor, broken
        self._end = weakref.finalize(self, os.close, descriptor)
        self._beginning, self._places = layout(arrays)
        self._digests: dict[str, bytes] = {}

    @property
    def nbytes(self) -> int:
        """Return the bytes of the whole file."""
        return max((place.stop for place in self._places.values()), default=len(self._beginning))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes, which are known before anything is read."""
        return {name: place.shape for name, place in self._places.items()}

    @property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Return the dtypes."""
        return {name: place.dtype for name, place in self._places.items()}

    def digest(self) -> str:
        """Return the sha256 of the file, and remember those of its arrays."""
        whole = hashlib.sha256()
        whole.update(self._bytes(0, len(self._beginning)))
        for name, place in self._places.items():
            one = hashlib.sha256()
            for block in self._blocks(place.start, place.stop):
                whole.update(block)
                one.update(block)
            self._digests[name] = one.digest()
        return whole.hexdigest()

    def difference(self) -> str | None:
        """Describe how the file's header differs from that of these arrays. None: it does not."""
        if self._bytes(0, len(self._beginning)) == self._beginning:
            return None
        size = int.from_bytes(self._bytes(0, 8), "little")
        try:
            found = _described(json.loads(self._bytes(8, min(8 + size, self.nbytes))))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return "expected a header of safetensors, got another one"
        wanted = _described(json.loads(self._beginning[8:]))
        for name in sorted(found.keys() | wanted.keys()):
            if (got := found.get(name)) != (expected := wanted.get(name)):
                return f"array {brief(name)}: expected {brief(expected)}, got {brief(got)}"
        return "expected its arrays in the order of safetensors, got another one"

    def read_into(self, name: str, out: Array) -> None:
        """Read an array into one of the same shape."""
        place = self._places[name]
        if out.dtype != place.dtype or not out.flags.carray:
            out[...] = self[name]
            return
        room = _bytes_of(out)
        self._read(place.start, room)
        if self._digests.get(name) != hashlib.sha256(room).digest():
            raise self._broken(f"was altered while it was read: {name}")

    def close(self) -> None:
        """Close the file. May be called again."""
        self._descriptor = -1
        self._end()

    def __getitem__(self, name: str) -> Array:
        place = self._places[name]
        array = np.empty(place.shape, place.dtype)
        self.read_into(name, array)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def _bytes(self, start: int, stop: int) -> bytes:
        return b"".join(self._blocks(start, stop))

    def _blocks(self, start: int, stop: int) -> Iterator[memoryview]:
        room = memoryview(bytearray(min(_BLOCK, stop - start)))
        for at in range(start, stop, _BLOCK):
            block = room[: min(_BLOCK, stop - at)]
            self._read(at, block)
            yield block

    def _read(self, start: int, room: memoryview) -> None:
        """Fill room with the file's bytes from ``start`` on."""
        done = 0
        while done < room.nbytes:
            try:
                got = os.preadv(self._descriptor, [room[done:]], start + done)
            except OSError as error:
                raise self._broken(f"cannot be read ({error.strerror})") from error
            if not got:
                raise self._broken(f"was cut off while it was read, at {start + done} bytes")
            done += got


def _described(header: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a header as a signature."""
    dtypes = {name: dtype for dtype, name in NAMES.items()}
    return {
        name: {"shape": entry["shape"], "dtype": dtypes.get(entry["dtype"], entry["dtype"])}
        for name, entry in header.items()
    }


def _bytes_of(array: Array) -> memoryview:
    """Return the memory of a C-contiguous array as bytes."""
    memory: memoryview = array.reshape(-1).view(np.uint8).data
    return memory


class Under(Mapping[str, Array]):
    """Show the arrays whose names begin with a prefix, by the rest of their names."""

    def __init__(self, arrays: Arrays, prefix: str) -> None:
        self._arrays, self._prefix = arrays, prefix

    def __getitem__(self, name: str) -> Array:
        return self._arrays[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        names = (name for name in self._arrays if name.startswith(self._prefix))
        return (name.removeprefix(self._prefix) for name in names)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def float_names(arrays: Arrays) -> list[str]:
    """Return the names of arrays of floats, and read none that is in a file."""
    return [name for name, dtype in _dtypes(arrays) if dtype.kind == "f"]


def _dtypes(arrays: Arrays) -> Iterator[tuple[str, np.dtype[Any]]]:
    if isinstance(arrays, Stored):
        return iter(arrays.dtypes.items())
    return ((name, array.dtype) for name, array in arrays.items())


def shapes_of(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """Return the shapes of arrays, and read none that is in a file."""
    if isinstance(arrays, Stored):
        return arrays.shapes
    return {name: array.shape for name, array in arrays.items()}


def read_into(arrays: Arrays, name: str, out: Array) -> None:
    """Copy an array into one of its shape, from a file without a copy between."""
    if isinstance(arrays, Stored):
        arrays.read_into(name, out)
    else:
        out[...] = arrays[name]
