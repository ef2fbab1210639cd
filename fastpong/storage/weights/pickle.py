"""Foreign weights: the pickled model of the reference program, read without unpickling it.

The reference program keeps ``{"W1": (H, 6400), "W2": (H,)}`` in a pickle, written by Python 2 or 3
with any protocol and by any NumPy. ``pickle_machine`` runs the pickle without calling anything.
Only when its program has ended are the recorded bytes of the two arrays turned into arrays.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastpong.geometry import PONG
from fastpong.printable import summary
from fastpong.storage.files import reason
from fastpong.storage.opening import read_regular
from fastpong.storage.weights.pickle_machine import (
    ArrayParts,
    DtypeParts,
    PickleReader,
    Text,
    describe,
)
from fastpong.storage.weights.pickle_machine import ForeignError as ForeignError

Doubles: TypeAlias = NDArray[np.float64]

PIXELS = PONG.pixels
_OF_ANOTHER = re.compile(r"[bBwW]\d+")
"""Names of biases and further layers, which make a network another one."""
#: Text pickles (protocol 0) take up to four bytes per byte: room for some 600 hidden units there.
MAX_FILE_BYTES = 128 << 20


def read_reference_pickle(path: str | Path) -> dict[str, Doubles]:
    """Read the reference program's ``save.p``.

    Returns ``{"W1": (H, 6400) float64, "W2": (H,) float64}``, finite, writable.
    Raises ForeignError for anything else. Nothing of the file is executed.
    """
    return read_pickled(path, read_file(Path(path)))


def read_pickled(path: str | Path, data: bytes) -> dict[str, Doubles]:
    """Read the weights of a pickle's bytes, as ``read_reference_pickle``.

    The dictionary of W1 and W2 may stand in another one, and may have more keys than these.
    """
    try:
        return _weights(_model(PickleReader(data).load()))
    except ForeignError as error:
        raise ForeignError(f"{path}: {error}") from error


def read_arrays(path: str | Path, found: Mapping[str, bytes]) -> dict[str, Doubles]:
    """Read the weights among .npy files by name, as ``read_reference_pickle``."""
    try:
        _check_names(found)
        return _checked(*(_of_npy(name, found[name]) for name in ("W1", "W2")))
    except ForeignError as error:
        raise ForeignError(f"{path}: {error}") from error


def _of_npy(name: str, data: bytes) -> Doubles:
    try:
        # Objects would be a pickle.
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a header that is made to harm raises anything
        raise ForeignError(
            f"expected NumPy's .npz, got a damaged one ({name}.npy: {summary(error)})"
        ) from error
    if array.dtype.kind not in "fiu":
        raise ForeignError(f"{name}: expected an array of numbers, got {array.dtype}")
    return array.astype(np.float64)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises ForeignError for a larger one than any model, and for what is no file.
    """
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise ForeignError(f"{path}: expected a file, found none; name the file save.p") from error
    except OSError as error:
        raise ForeignError(f"{path}: cannot be read ({reason(error)})") from error


def _model(value: object) -> object:
    """Return the dictionary with W1 in it, which another one may hold."""
    if isinstance(value, dict) and "W1" not in value:
        for inner in value.values():
            if isinstance(inner, dict) and "W1" in inner:
                return inner
    return value


def _weights(model: object) -> dict[str, Doubles]:
    """Check the model and make its arrays."""
    _check_names(model)
    assert isinstance(model, dict)
    return _checked(*(_array(name, model[name]) for name in ("W1", "W2")))


def _check_names(model: object) -> None:
    """Refuse what is no model of two layers without biases. Other keys are let be."""
    names = model.keys() if isinstance(model, Mapping) else set[str]()
    if not names >= {"W1", "W2"} or any(_OF_ANOTHER.fullmatch(n) for n in names - {"W1", "W2"}):
        raise ForeignError(
            f"expected a dictionary of W1 and W2, got {describe(model)}; "
            "give the file save.p of the reference program"
        )


def _checked(w1: Doubles, w2: Doubles) -> dict[str, Doubles]:
    if w1.ndim != 2 or w1.shape[1] != PIXELS or not len(w1) or w2.shape != w1.shape[:1]:
        raise ForeignError(
            f"expected W1 of shape (H, {PIXELS}) and W2 of shape (H,), H >= 1, "
            f"got {w1.shape} and {w2.shape}; only models for 80x80 pixels can be imported"
        )
    if not (np.isfinite(w1).all() and np.isfinite(w2).all()):
        raise ForeignError("expected finite weights, got NaN or infinity; take another file")
    return {"W1": w1, "W2": w2}


def _array(name: str, parts: object) -> Doubles:
    """Check an array's parts and make it."""
    if not isinstance(parts, ArrayParts) or not isinstance(parts.dtype, DtypeParts):
        raise ForeignError(f"{name}: expected an array of numbers, got {describe(parts)}")
    shape, dtype = parts.shape, np.dtype(parts.dtype.order + parts.dtype.code)
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 2**31 for n in shape):
        raise ForeignError(f"{name}: expected a shape of whole numbers, got another")
    if not 1 <= len(shape) <= 2:
        raise ForeignError(f"{name}: expected one or two dimensions, got {len(shape)}")
    raw = _bytes(parts.raw)
    if raw is None or len(raw) != math.prod(shape) * dtype.itemsize:
        raise ForeignError(f"{name}: expected the bytes of an array of shape {shape}, got others")
    if type(parts.fortran) not in (bool, int):
        raise ForeignError(f"{name}: expected a memory order, got {describe(parts.fortran)}")
    flat = np.frombuffer(raw, dtype).astype(np.float64)
    return np.ascontiguousarray(flat.reshape(shape, order="F" if parts.fortran else "C"))


def _bytes(raw: object) -> bytes | bytearray | None:
    """Return an array's bytes from any pickled form."""
    text = raw.text if isinstance(raw, Text) else raw
    if isinstance(text, str):
        # Only characters up to 255 are bytes.
        return text.encode("latin-1") if text.isascii() or max(text) <= "\xff" else None
    return text if isinstance(text, (bytes, bytearray)) else None
