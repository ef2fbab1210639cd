"""Arrays as callers have them, read as plain NumPy arrays.

Anything with ``__array__`` or ``__dlpack__`` is taken: CPU tensors of PyTorch, series of pandas.
Lists, memoryviews and numbers are no arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastpong.arrays import Array

ON_CPU = (1, 3)
"""Devices of DLPack whose memory the CPU reads: its own, and CUDA's of the host."""


def plain(name: str, value: Any, kept: bool = False) -> Array:
    """Return a plain array, in the caller's memory where it can be.

    kept : it must be the caller's memory

    Raises TypeError for what is no array, is masked, lies on a GPU or requires a gradient.
    """
    if value.__class__ is np.ndarray:
        array: Array = value
        return array
    if not is_array(value):
        raise TypeError(f"{name}: expected a NumPy array, got {type(value).__name__}")
    _refuse(name, value)
    array = _read(name, value)
    # What copies gives other memory each time.
    if kept and array.size and array.ctypes.data != _read(name, value).ctypes.data:
        raise TypeError(
            f"{name}: expected memory that NumPy can share, got {type(value).__name__}, of which "
            f"it sees a copy; pass a NumPy array"
        )
    return array


def is_array(value: object) -> bool:
    """Return whether this is an array of some library."""
    kind = type(value)
    if issubclass(kind, np.generic):
        return False
    return hasattr(kind, "__array__") or hasattr(kind, "__dlpack__")


def dtype_of(value: object) -> np.dtype[np.generic] | None:
    """Return the dtype of an array of one axis or more."""
    if not is_array(value):
        return None
    try:
        array = plain("", value)
    except TypeError:
        return None
    return array.dtype if array.ndim else None


def _refuse(name: str, value: object) -> None:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected a plain array, got a masked one, whose mask would be ignored; pass "
            f"{name}.filled(...)"
        )
    if getattr(value, "requires_grad", False) is True:
        raise TypeError(
            f"{name}: expected an array, got a {type(value).__name__} that requires grad; pass "
            f"{name}.detach()"
        )
    if not isinstance(value, np.ndarray) and not _on_cpu(value):
        where = getattr(value, "device", "another device")
        raise TypeError(
            f"{name}: expected an array in the CPU's memory, got a {type(value).__name__} on "
            f"{where}; pass {name}.cpu()"
        )


def _on_cpu(value: object) -> bool:
    device = getattr(value, "__dlpack_device__", None)
    try:
        return device is None or device()[0] in ON_CPU
    except Exception:  # a device that DLPack has no number for
        return False


def _read(name: str, value: Any) -> Array:
    try:
        array: Array = np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
    except Exception as error:  # each library raises its own
        raise TypeError(
            f"{name}: expected an array that NumPy can read, got {type(value).__name__}: {error}"
        ) from error
    return array


def as_flags(name: str, array: Array) -> Array:
    """Return uint8, not 0 where the array is not 0.

    A copy, unless it is of bools or bytes.
    """
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype == np.uint8 or array.dtype.kind not in "iuf":
        return array
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{name}: expected 0 or not 0, got nan")
    flags: Array = array != 0
    return flags.view(np.uint8)
