"""Arguments that are numbers. See ``spec``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels import checks
from fastpong.kernels.call import Call

MOST_PIXELS = 32767
"""Rows or columns of a picture that is resized."""


@dataclass(frozen=True)
class Number:
    """A number.

    rule    : returns it as the raw kernel takes it, or raises. Its first argument is the name
    example : a valid one
    """

    name: str
    rule: Callable[[str, object], float]
    example: float
    takes: bool = True

    def check(self, call: Call, value: object) -> float:
        """Return it by the rule."""
        return self.rule(self.name, value)


@dataclass(frozen=True)
class One:
    """A number, alone or in an array of one.

    The raw kernel takes it as such an array.
    """

    name: str
    example: float
    takes: bool = True

    def check(self, call: Call, value: object) -> Array:
        """Return it in the float dtype of the call."""
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        return np.full(1, checks.real(self.name, value), call.float)


@dataclass(frozen=True)
class AboveZero:
    """A number > 0, also in the call's float dtype."""

    name: str
    example: float
    takes: bool = True

    def check(self, call: Call, value: object) -> float:
        """Return it as a float."""
        number = checks.not_negative(self.name, value)
        if not float(np.asarray(number, call.float)) > 0:
            raise ValueError(f"{self.name}: expected > 0 in {call.float}, got {value!r}")
        return number


@dataclass(frozen=True)
class Flag:
    """Anything that is true or false."""

    name: str
    example: bool
    takes: bool = True

    def check(self, call: Call, value: object) -> bool:
        """Return it as a bool."""
        return checks.truth(self.name, value)


@dataclass(frozen=True)
class Choice:
    """One of some names.

    The raw kernel takes its position.
    """

    name: str
    names: tuple[str, ...]
    takes: bool = True

    @property
    def example(self) -> str:
        """Return the first name."""
        return self.names[0]

    def check(self, call: Call, value: object) -> int:
        """Return the position of a name."""
        return self.names.index(checks.choice(self.name, value, self.names))


@dataclass(frozen=True)
class Size:
    """Rows and columns to resize to, or one number for both.

    before  : the sizes of the rows and columns to resize
    after   : those that it sets
    example : a valid one
    """

    name: str
    before: tuple[str, str]
    after: tuple[str, str]
    example: tuple[int, int]
    takes: bool = True

    def check(self, call: Call, value: object) -> tuple[int, int]:
        """Return (rows, columns)."""
        pair = value if isinstance(value, tuple) else (value, value)
        if len(pair) != 2:
            raise ValueError(f"{self.name}: expected (rows, columns), got {len(pair)} numbers")
        size = checks.count(self.name, pair[0]), checks.count(self.name, pair[1])
        before = call.sizes[self.before[0]], call.sizes[self.before[1]]
        if max(size) > MOST_PIXELS:
            raise ValueError(f"{self.name}: expected at most {MOST_PIXELS}, got {value!r}")
        if not all(before) or max(before) > MOST_PIXELS:
            raise ValueError(f"frame: expected 1 to {MOST_PIXELS} rows and columns, got {before}")
        call.sizes.update(zip(self.after, size, strict=True))
        return size
