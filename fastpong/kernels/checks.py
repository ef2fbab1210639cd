"""Checks of kernel arguments: what was expected, what came, and which argument it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastpong.arrays import Array

Dims = Sequence["int | str"]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
U8 = (np.dtype(np.uint8),)
U16 = (np.dtype(np.uint16),)
I8 = (np.dtype(np.int8),)
I32 = (np.dtype(np.int32),)
I64 = (np.dtype(np.int64),)
FRAMES = ("indptr", "indices", "signs")


class Checker:
    """The sizes and the float dtype that the arguments of one call must share.

    The first argument that names a size ("T", "H", ...) or is of a float dtype sets it, the
    later ones must agree.
    """

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self.float: np.dtype[Any] | None = None

    def rounded(self, value: float) -> float:
        """Return ``value`` as the call's float dtype holds it."""
        return float(value) if self.float is None else float(self.float.type(value))

    def above_zero(self, name: str, value: Any) -> float:
        """Return ``value`` as a float > 0 that is no zero in the call's float dtype, either."""
        number = not_negative(name, value)
        if not self.rounded(number) > 0:
            raise ValueError(f"{name}: expected > 0 in {self.float}, got {value!r}")
        return number

    def _dtypes(self, dtypes: Sequence[np.dtype[Any]]) -> Sequence[np.dtype[Any]]:
        return (self.float,) if dtypes is FLOATS and self.float is not None else dtypes

    def _check(self, name: str, value: Any, dtypes: Sequence[np.dtype[Any]], dims: Dims) -> None:
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{name}: expected a NumPy array, got {type(value).__name__}")
        allowed = self._dtypes(dtypes)
        if value.dtype not in allowed:
            wanted = " or ".join(str(dtype) for dtype in allowed)
            raise TypeError(
                f"{name}: expected dtype {wanted}, got {value.dtype}; convert it with .astype()"
            )
        if dtypes is FLOATS:
            self.float = value.dtype
        known = [self.sizes.get(dim) if isinstance(dim, str) else dim for dim in dims]
        if value.ndim != len(dims) or any(
            size is not None and size != got for size, got in zip(known, value.shape, strict=True)
        ):
            raise ValueError(f"{name}: expected shape {self._shape(dims)}, got {value.shape}")
        for dim, size in zip(dims, value.shape, strict=True):
            if isinstance(dim, str):
                self.sizes[dim] = size

    def _shape(self, dims: Dims) -> str:
        parts = [
            f"{dim}={self.sizes[dim]}" if isinstance(dim, str) and dim in self.sizes else str(dim)
            for dim in dims
        ]
        return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"

    def input(self, name: str, value: Any, dtypes: Sequence[np.dtype[Any]], dims: Dims) -> Array:
        """Return ``value`` as a C-contiguous aligned array, itself where it is one already."""
        self._check(name, value, dtypes, dims)
        # asarray(): a subclass such as np.matrix would bring operators of its own along.
        return np.require(np.asarray(value), requirements=("C", "A"))

    def bound(self, name: str, value: Any, dtypes: Sequence[np.dtype[Any]], dims: Dims) -> Array:
        """Return ``value`` itself, to be read now and later: a copy would not follow the caller."""
        self._check(name, value, dtypes, dims)
        if not (value.flags.c_contiguous and value.flags.aligned):
            raise ValueError(
                f"{name}: expected a C-contiguous array, since it is read again at each step, got "
                f"one that is not; pass np.ascontiguousarray({name})"
            )
        return np.asarray(value)

    def given(self, name: str, value: Any, dtypes: Sequence[np.dtype[Any]], dims: Dims) -> Array:
        """Return ``value`` if a kernel can write into it as it is; None is no value."""
        self._check(name, value, dtypes, dims)
        if not (value.flags.c_contiguous and value.flags.aligned and value.flags.writeable):
            raise ValueError(
                f"{name}: expected a writeable, C-contiguous array to write into, got one that is "
                f"not; pass a fresh array"
            )
        return np.asarray(value)

    def output(self, name: str, value: Any, dtypes: Sequence[np.dtype[Any]], dims: Dims) -> Array:
        """Return ``value`` if a kernel can write into it as it is; allocate where it is None."""
        if value is not None:
            return self.given(name, value, dtypes, dims)
        shape = [self.sizes[dim] if isinstance(dim, str) else dim for dim in dims]
        return np.empty(shape, self._dtypes(dtypes)[0])


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """Return the two outputs of ``out=``, (None, None) for None."""
    if value is None:
        return None, None
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name}: expected a tuple of two arrays, got {type(value).__name__}")
    return value


def parts(name: str, value: Any, count: int) -> tuple[Any, ...]:
    """Return the ``count`` outputs of ``out=``, as many None for None."""
    if value is None:
        return (None,) * count
    if not isinstance(value, tuple) or len(value) != count:
        raise TypeError(f"{name}: expected a tuple of {count} arrays, got {type(value).__name__}")
    if any(part is None for part in value):
        raise TypeError(f"{name}: expected {count} arrays, got None among them; pass all or none")
    return value


def no_overlap(outputs: dict[str, Array], inputs: dict[str, Array]) -> None:
    """Raise ValueError where an output shares memory with an input or with another output."""
    names = list(outputs)
    for k, name in enumerate(names):
        others = inputs | {other: outputs[other] for other in names[k + 1 :]}
        for other, value in others.items():
            if np.may_share_memory(outputs[name], value):
                raise ValueError(f"{name}: shares memory with {other}; pass separate arrays")


def same_or_separate(name: str, output: Array, other: str, value: Array) -> None:
    """Allow in-place work, but no output that is shifted against the input it is made from."""
    same = output.ctypes.data == value.ctypes.data and output.nbytes == value.nbytes
    if not same and np.may_share_memory(output, value):
        raise ValueError(f"{name}: overlaps {other} without being it; pass a separate array")


def fraction(name: str, value: object) -> float:
    """Return ``value`` as a float in [0, 1]."""
    number = real(name, value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1], got {value!r}")
    return number


def not_negative(name: str, value: object) -> float:
    """Return ``value`` as a finite float >= 0."""
    number = real(name, value)
    if number < 0.0:
        raise ValueError(f"{name}: expected a number >= 0, got {value!r}")
    return number


def at_least(name: str, value: object, least: float) -> float:
    """Return ``value`` as a finite float >= least."""
    number = real(name, value)
    if number < least:
        raise ValueError(f"{name}: expected a number >= {least:g}, got {value!r}")
    return number


def real(name: str, value: object) -> float:
    """Return ``value`` as a finite float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return number


def below_one(name: str, value: object) -> float:
    """Return ``value`` as a float in [0, 1)."""
    number = real(name, value)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1), got {value!r}")
    return number


def count(name: str, value: object) -> int:
    """Return ``value`` as an int >= 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    if not 1 <= value < 2**62:
        raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")
    return int(value)


def table(value: object) -> Array:
    """Return a palette table: (256,) uint8 of 0 (background) and 1."""
    checked = Checker().input("table", value, U8, (256,))
    if checked.max() > 1:
        raise ValueError(f"table: expected only 0 and 1, got {checked.max()}")
    return checked


def share(name: str, value: object, size: int) -> tuple[int, int]:
    """Return (first, last) with 0 <= first <= last <= size; all of it for None."""
    if value is None:
        return 0, size
    whole = isinstance(value, tuple) and len(value) == 2 and all(type(v) is int for v in value)
    if not isinstance(value, tuple) or not whole:
        raise TypeError(f"{name}: expected a tuple of two integers or None, got {value!r}")
    if not 0 <= value[0] <= value[1] <= size:
        raise ValueError(f"{name}: expected 0 <= first <= last <= {size}, got {value!r}")
    return value[0], value[1]


def within(name: str, array: Array, low: int, below: int) -> Array:
    """Return an array of integers all of which are in [low, below)."""
    if array.size and (array.min() < low or array.max() >= below):
        raise ValueError(
            f"{name}: expected numbers in [{low}, {below}), got {array.min()}..{array.max()}"
        )
    return array


def sparse_frames(
    check: Checker, indptr: Any, indices: Any, signs: Any, third: str = "signs"
) -> tuple[Array, ...]:
    """Return checked CSR frames; ``check.sizes["D"]`` bounds the indices, "T" is set."""
    indptr = check.input("indptr", indptr, I64, ("T+1",))
    indices = check.input("indices", indices, U16, ("nnz",))
    signs = check.input(third, signs, I8, ("nnz",))
    if indptr.size == 0:
        raise ValueError("indptr: expected T + 1 >= 1 entries, got none")
    if indptr[0] < 0 or indptr[-1] > indices.size or np.any(indptr[1:] < indptr[:-1]):
        raise ValueError(
            f"indptr: expected a rising sequence within 0..{indices.size} (the length of "
            f"indices), got {indptr[0]}..{indptr[-1]}, or a falling step between them"
        )
    used = indices[indptr[0] : indptr[-1]]
    if used.size and used.max() >= check.sizes["D"]:
        raise ValueError(f"indices: expected pixels below {check.sizes['D']}, got {used.max()}")
    check.sizes["T"] = indptr.size - 1
    return indptr, indices, signs
