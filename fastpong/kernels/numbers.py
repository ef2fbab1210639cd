"""Arguments that are numbers. See ``spec``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels import checks
from fastpong.kernels.call import Call


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
        return bool(value)
