"""Values that are not what a kernel expects, and arrays that are bent out of shape."""

from __future__ import annotations

import contextlib
import enum
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
FLOATS = (np.float16, np.float32, np.float64, np.longdouble)


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


class Word(enum.StrEnum):
    RESET = "reset"


class Plain(enum.Enum):
    ONE = 1


class Stubborn:
    """Raises whatever is asked of it."""

    def __index__(self) -> int:
        raise OverflowError("not an index")

    __float__ = __bool__ = __len__ = __index__  # type: ignore[assignment]


def of_numpy() -> list[Any]:
    """Return scalars of every width: small ones, and those at the ends of their ranges."""
    found: list[Any] = [np.bool_(True), np.bool_(False), np.complex64(1), np.str_("1")]
    for kind in INTEGERS:
        info = np.iinfo(kind)
        found += [kind(value) for value in (0, 1, 2, 4, 10, info.min, info.max)]
    for kind in FLOATS:
        values = (0.0, -0.0, 0.5, 1.0, 2.0, -1.0, np.nan, np.inf, -np.inf)
        found += [kind(value) for value in values]
        limits = np.finfo(kind)
        found += [limits.max, limits.min, np.float64(limits.tiny)]
    return [*found, np.datetime64("2026-11-30"), np.timedelta64(1, "s"), np.void(b"12")]


def of_python() -> list[Any]:
    """Return numbers, words and other objects."""
    numbers: list[Any] = [
        0,
        1,
        2,
        4,
        10,
        -1,
        2**31,
        2**50,
        2**61,
        2**62,
        2**63,
        2**64,
        -(2**63),
        10**400,
    ]
    numbers += [10**5000, -(10**5000), 0.5, 1.0, -0.0, 1e308, 5e-324, float("nan"), float("inf")]
    numbers += [True, False, 1j, Decimal("0.5"), Decimal("NaN"), Fraction(1, 2), Fraction(1)]
    words = [
        None,
        "",
        "1",
        "sb3",
        "é",
        "\ud800",
        b"1",
        Word.RESET,
        Number.ONE,
        Number.TWO,
        Plain.ONE,
    ]
    return numbers + words + [[], [1], (), (1,), (1, 1, 1), {}, {1}, range(3), object(), Stubborn()]


def of_arrays() -> list[Any]:
    """Return arrays of no axes or few elements."""
    found = [np.array(1, kind) for kind in (*INTEGERS, *FLOATS, np.bool_)]
    found += [np.array(10**30), np.array(None), np.array("1"), np.array([1]), np.array([[0.5]])]
    return [*found, np.zeros(0), np.ones(2), np.array([1, 2], object), np.ma.masked_array([1], [1])]


VALUES: tuple[Any, ...] = (*of_numpy(), *of_python(), *of_arrays())


def plain(value: Any) -> Any:
    """Return a number as Python has it, else the value itself."""
    if isinstance(value, (np.integer, enum.IntEnum)) and not isinstance(value, np.timedelta64):
        return int(value)
    return float(value) if isinstance(value, np.floating) else value


# --- arrays -------------------------------------------------------------------------------------

Rng = np.random.Generator


def _other_dtype(rng: Rng, array: Any) -> Any:
    kinds = ["?", "i1", "u1", "i2", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "g", "c8", "O", "U3"]
    kinds += ["M8[s]", "V4", array.dtype.newbyteorder()]
    kind = kinds[rng.integers(len(kinds))]
    return np.zeros(array.shape, kind) if kind in ("M8[s]", "V4") else array.astype(kind)


def _other_bytes(rng: Rng, array: Any) -> Any:
    """Return random bytes: infinities, NaN and integers of any size."""
    if not array.dtype.itemsize or array.dtype.hasobject:
        return array
    raw = rng.integers(0, 256, array.size * array.dtype.itemsize, np.uint8)
    return raw.view(array.dtype).reshape(array.shape)


def _other_items(rng: Rng, array: Any) -> Any:
    """Return it with a few elements at the ends of their range, or just beyond."""
    bent = array.copy()
    if bent.size and bent.dtype.kind in "iuf":
        floats = bent.dtype.kind == "f"
        info: Any = np.finfo(bent.dtype) if floats else np.iinfo(bent.dtype)
        ends = [info.min, info.max, 0, 1, *([np.nan, np.inf] if floats else [])]
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(bent.size)
            near = int(bent.flat[at]) + 1 if not floats and bent.flat[at] < info.max else 1
            bent.flat[at] = [*ends, near][rng.integers(len(ends) + 1)]
    return bent


def _other_shape(rng: Rng, array: Any) -> Any:
    choices: list[Callable[[], Any]] = [
        lambda: array[None],
        lambda: array[..., None],
        lambda: array.reshape(-1),
        lambda: array[:0],
        lambda: array[..., :0],
        lambda: array[1:],
        lambda: array[..., :-1],
        lambda: np.concatenate([array, array]),
        lambda: array.T,
        lambda: array.reshape(-1)[0],
        lambda: np.zeros((0,) * max(1, array.ndim), array.dtype),
    ]
    return choices[rng.integers(len(choices))]()


def _other_layout(rng: Rng, array: Any) -> Any:
    def read_only() -> Any:
        copy = array.copy()
        copy.flags.writeable = False
        return copy

    def unaligned() -> Any:
        raw = np.zeros(array.nbytes + 1, np.uint8)
        shifted = raw[1:].view(array.dtype).reshape(array.shape)
        shifted[...] = array
        return shifted

    choices: list[Callable[[], Any]] = [
        read_only,
        unaligned,
        lambda: np.asfortranarray(array),
        lambda: np.repeat(array, 2, axis=-1)[..., ::2],
        lambda: np.ascontiguousarray(array[::-1])[::-1],
        lambda: np.broadcast_to(array.reshape(-1)[:1], array.shape),
        lambda: np.ma.masked_array(array),
        lambda: array.tolist(),
        lambda: memoryview(np.ascontiguousarray(array)),
    ]
    return choices[rng.integers(len(choices))]()


BENDS = (_other_dtype, _other_bytes, _other_items, _other_shape, _other_layout)


def bent(rng: Rng, value: Any) -> Any:
    """Return a value in another's place: an odd one, or an array that is bent."""
    if not isinstance(value, np.ndarray) or rng.random() < 0.15:
        return VALUES[rng.integers(len(VALUES))]
    array: Any = value
    for _ in range(rng.integers(1, 3)):
        if isinstance(array, np.ndarray) and array.ndim:
            # NumPy cannot bend all of them so, each for a reason of its own.
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                array = BENDS[rng.integers(len(BENDS))](rng, array)
    return array
