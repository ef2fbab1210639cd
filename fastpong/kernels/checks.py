"""Checks of kernel arguments: what was expected, what came, and which argument it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from fastpong.arrays import Array


def parts(name: str, value: Any, count: int) -> tuple[Any, ...]:
    """Return the ``count`` outputs of ``out=``, or None each."""
    if value is None:
        return (None,) * count
    if not isinstance(value, tuple) or len(value) != count:
        raise TypeError(f"{name}: expected a tuple of {count} arrays, got {type(value).__name__}")
    for part in value:  # any() would take as long as a small kernel
        if part is None:
            raise TypeError(
                f"{name}: expected {count} arrays, got None among them; pass all or none"
            )
    return value


def no_overlap(outputs: dict[str, Array], inputs: dict[str, Array]) -> None:
    """Refuse outputs that share memory with others."""
    names = list(outputs)
    for k, name in enumerate(names):
        others = inputs | {other: outputs[other] for other in names[k + 1 :]}
        for other, value in others.items():
            if np.may_share_memory(outputs[name], value):
                raise ValueError(f"{name}: shares memory with {other}; pass separate arrays")


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


def threshold(name: str, value: object) -> float:
    """Return ``value`` as a float >= 0, infinity too."""
    infinite = isinstance(value, (float, np.floating)) and value == math.inf
    return math.inf if infinite else not_negative(name, value)


def not_tiny(name: str, value: object) -> float:
    """Return ``value`` as a finite float >= 1e-12."""
    number = real(name, value)
    if number < 1e-12:
        raise ValueError(f"{name}: expected a number >= 1e-12, got {value!r}")
    return number


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether this is an integer: no bool, and no time, which NumPy counts among them."""
    integer = isinstance(value, (int, np.integer))
    return integer and not isinstance(value, (bool, np.timedelta64))


def real(name: str, value: object) -> float:
    """Return ``value`` as a finite float."""
    if not (is_whole(value) or isinstance(value, (float, np.floating))):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        bits = int(value).bit_length()
        raise ValueError(
            f"{name}: expected a number that a float can hold, got an integer of {bits} bits"
        ) from None
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
    return _from(1, name, value)


def whole(name: str, value: object) -> int:
    """Return ``value`` as an int >= 0."""
    return _from(0, name, value)


def _from(least: int, name: str, value: object) -> int:
    if not is_whole(value):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    number = int(value)
    if not least <= number < 2**62:
        # Python writes no integers of more than 4,300 digits.
        got = repr(value) if abs(number) < 2**64 else f"one of {number.bit_length()} bits"
        raise ValueError(f"{name}: expected an integer from {least} to 2^62 - 1, got {got}")
    return number


def truth(name: str, value: object) -> bool:
    """Return whether ``value`` is true."""
    try:
        return bool(value)
    except Exception as error:  # an array of several, and what others raise
        raise TypeError(
            f"{name}: expected True or False, got {type(value).__name__}: {error}"
        ) from error


def choice(name: str, value: object, names: Sequence[str]) -> str:
    """Return ``value`` if it is one of some names."""
    wanted = ", ".join(map(repr, names))
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected one of {wanted}, got {type(value).__name__}")
    if value not in names:
        raise ValueError(f"{name}: expected one of {wanted}, got {value!r}")
    return value


def addressable(name: str, *factors: int) -> None:
    """Refuse sizes whose product, in bytes, no address space holds."""
    if math.prod(factors) >= 1 << 62:
        raise ValueError(f"{name}: expected a size that memory can hold, got {factors[0]}")


def limit(name: str, value: object) -> float:
    """Return ``value`` as a finite float > 0, infinity for None."""
    if value is None:
        return math.inf
    number = real(name, value)
    if not number > 0:
        raise ValueError(f"{name}: expected a number > 0, or None for no limit, got {value!r}")
    return number


def within(name: str, array: Array, low: int, below: int) -> Array:
    """Return integers that lie in [low, below)."""
    if array.size and (array.min() < low or array.max() >= below):
        raise ValueError(
            f"{name}: expected numbers in [{low}, {below}), got {array.min()}..{array.max()}"
        )
    return array
