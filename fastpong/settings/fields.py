"""Settings as dataclass fields that know their help line and bounds.

One declaration serves the config file, the command line's help and the checks:

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        hidden: int = option(200, "hidden units, whose number costs time in proportion", minimum=1)

        def __post_init__(self) -> None:
            check(self)

Fields are of type ``int``, ``float``, ``str``, ``bool`` or ``Schedule``, and perhaps None.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Collection, Mapping
from functools import cache
from types import NoneType
from typing import Any, TypeAlias, get_args, get_type_hints

from fastpong.printable import brief
from fastpong.settings.schedules import Schedule

Plain: TypeAlias = int | float | str | bool
"""A value as TOML and JSON have it."""
Value: TypeAlias = Plain | Schedule | None
"""A value as a field has it."""

_NAMES = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    Schedule: "a number",
}
_END = 1 << 63
"""Of integers, but for seeds, which NumPy takes of any size."""
_SIGNS = {"minimum": ">=", "above": ">", "maximum": "<=", "below": "<"}


@dataclasses.dataclass(frozen=True)
class Field:
    """A setting: its name, type, help line and bounds.

    kind     : int, float, str, bool or Schedule
    optional : whether it may be None
    bounds   : minimum, maximum (inclusive), above, below (exclusive), as far as given
    choices  : the only values, if they are limited
    """

    name: str
    kind: type
    optional: bool
    help: str
    default: Value
    bounds: Mapping[str, float]
    choices: Collection[str] | None

    @property
    def limits(self) -> str:
        """Describe the bounds, as in ``>= 1``."""
        low, high = self.bounds.get("minimum"), self.bounds.get("maximum")
        if low is not None and high is not None:
            return f"in [{low}, {high}]"
        return " and ".join(
            f"{sign} {self.bounds[name]}" for name, sign in _SIGNS.items() if name in self.bounds
        )

    @property
    def expected(self) -> str:
        """Describe the values, as in ``an integer >= 1``."""
        if self.choices is not None:
            return "one of " + ", ".join(self.choices)
        text = f"{_NAMES[self.kind]} {self.limits}".strip()
        return text + (", or linear:START:END:STEPS" if self.kind is Schedule else "")

    def convert(self, value: object) -> Value:
        """Return a value as the field stores it.

        An int becomes a float or a Schedule where one is expected.

        Raises ValueError, naming the setting, for a wrong type or a broken bound.
        """
        if value is None and self.optional:
            return None
        try:
            found = Schedule.parse(value) if self.kind is Schedule else self._number(value)
        except ValueError:
            found = None
        if found is None or not self._within(found):
            expected = self.expected + ", below 2^63" * self._is_huge(value)
            raise ValueError(f"{self.name}: expected {expected}, got {brief(value)}")
        return found

    def _number(self, value: object) -> Plain | None:
        """Return the value, or None for a wrong type."""
        if isinstance(value, bool) or self.kind is bool:
            return value if isinstance(value, bool) and self.kind is bool else None
        if self.kind is float:
            return _as_float(value)
        if self._is_huge(value):
            return None
        if isinstance(value, (int, str)) and isinstance(value, self.kind):
            return value
        return None

    def _is_huge(self, value: object) -> bool:
        """Return whether it is an integer that kernels do not take."""
        bounded = self.kind is int and self.name != "seed"
        return bounded and isinstance(value, int) and not -_END <= value < _END

    def _within(self, value: Plain | Schedule) -> bool:
        if isinstance(value, Schedule):
            return all(math.isfinite(x) and self._within(x) for x in (value.start, value.end))
        if isinstance(value, str):
            return self.choices is None or value in self.choices
        below, above = self.bounds.get("below", math.inf), self.bounds.get("above", -math.inf)
        if value >= below < math.inf or value <= above > -math.inf:
            return False
        return self.bounds.get("minimum", value) <= value <= self.bounds.get("maximum", value)


def option(
    default: object,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Collection[str] | None = None,
) -> Any:
    """Declare a field with default, help line and bounds.

    default          : the value, or a function without arguments that computes it
    minimum, maximum : inclusive bounds
    above, below     : exclusive bounds
    choices          : the only values allowed. A register given here may grow later
    """
    bounds = {"minimum": minimum, "maximum": maximum, "above": above, "below": below}
    metadata = {
        "help": help,
        "bounds": {name: bound for name, bound in bounds.items() if bound is not None},
        "choices": choices,
    }
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def fields(cls: type) -> Mapping[str, Field]:
    """Return the settings of a dataclass by name."""
    return {
        field.name: Field(
            field.name,
            *_kind(cls, field.name),
            field.metadata["help"],
            _default(field),
            field.metadata["bounds"],
            field.metadata["choices"],
        )
        for field in dataclasses.fields(cls)
        if "help" in field.metadata
    }


def check(instance: object) -> None:
    """Check and convert every setting of a dataclass instance.

    Raises ValueError for the first that is ill-typed or out of range. An int is accepted for a
    float, a bool for no number, and NaN and the infinities are refused.
    """
    for name, field in fields(type(instance)).items():
        object.__setattr__(instance, name, field.convert(getattr(instance, name)))


def plain(value: Value) -> Plain | None:
    """Return a value as TOML has it.

    A constant schedule is a number.
    """
    if not isinstance(value, Schedule):
        return value
    return str(value) if value.steps else value.start


def plain_values(instance: object) -> dict[str, Plain]:
    """Return an instance's settings by name.

    None is left out.
    """
    values = {name: plain(getattr(instance, name)) for name in fields(type(instance))}
    return {name: value for name, value in values.items() if value is not None}


def spelled(name: str, value: object) -> str:
    """Return a setting as it is typed on the command line."""
    words = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{words}" if value else f"--no-{words}"
    return f"--{words} {'never' if value is None else shlex.quote(str(value))}"


@cache
def _hints(cls: type) -> Mapping[str, object]:
    return get_type_hints(cls)


def _kind(cls: type, name: str) -> tuple[type, bool]:
    """Return a field's type, and whether None is allowed."""
    hint = _hints(cls)[name]
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    assert len(kinds) == 1 and isinstance(kinds[0], type), f"{cls.__name__}.{name}: {hint}"
    return kinds[0], NoneType in get_args(hint)


def _default(field: dataclasses.Field[Value]) -> Value:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()  # type: ignore[return-value]


def _as_float(value: object) -> float | None:
    try:
        found = float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:  # an int beyond the range of floats
        return None
    return found if math.isfinite(found) else None
