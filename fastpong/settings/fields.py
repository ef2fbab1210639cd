"""Options: dataclass fields that know their help text and what values they take.

One declaration serves the config file, the command line's help and the checks:

    @dataclass(frozen=True, kw_only=True)
    class Hyperparameters:
        hidden: int = option(200, "hidden units", minimum=1)

        def __post_init__(self) -> None:
            check(self)

Fields are ``int``, ``float``, ``str``, ``bool`` or ``Schedule``, each perhaps ``| None``. A config
that needs more is too clever.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from types import NoneType
from typing import Any, get_args, get_type_hints

from fastpong.settings.schedules import Schedule

_NAMES = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    Schedule: "a number or linear:START:END:STEPS",
}


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Collection[str] | None = None,
) -> Any:
    """Declare a dataclass field with its default, help line and bounds.

    default        : the value, or a function without arguments that computes it
    minimum, maximum : inclusive bounds;  above, below : exclusive bounds
    choices        : the only values allowed; a register given here may grow later

    Returns a ``dataclasses.field`` whose metadata hold ``help`` and the bounds that were given.
    """
    bounds = {
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "below": below,
        "choices": choices,
    }
    metadata = {name: value for name, value in bounds.items() if value is not None} | {"help": help}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def types(cls: type) -> Mapping[str, type]:
    """Return the type of every option of a dataclass by name, without its ``| None``."""
    hints = get_type_hints(cls)
    return {
        field.name: _without_none(hints[field.name])
        for field in dataclasses.fields(cls)
        if "help" in field.metadata
    }


def _without_none(hint: Any) -> type:
    (kind,) = [part for part in get_args(hint) or (hint,) if part is not NoneType]
    found: type = kind
    return found


def expected(kind: type, bounds: Mapping[str, Any]) -> str:
    """Describe the values an option takes, as in ``an integer >= 1`` or ``one of a, b``."""
    if "choices" in bounds:
        return "one of " + ", ".join(str(choice) for choice in bounds["choices"])
    low, high = bounds.get("minimum"), bounds.get("maximum")
    if low is not None and high is not None:
        return f"{_NAMES[kind]} in [{low}, {high}]"
    words = {"minimum": ">=", "above": ">", "maximum": "<=", "below": "<"}
    limits = [f"{sign} {bounds[name]}" for name, sign in words.items() if name in bounds]
    return " ".join([_NAMES[kind], " and ".join(limits)]).strip()


def describe(cls: type, name: str) -> str:
    """Describe the values of the option ``name`` of the dataclass ``cls``, for a help text."""
    return expected(types(cls)[name], _field(cls, name).metadata)


def help_text(cls: type, name: str) -> str:
    """Return the help line of the option ``name`` of the dataclass ``cls``."""
    return str(_field(cls, name).metadata["help"])


def convert(cls: type, name: str, value: Any) -> Any:
    """Return ``value`` as the option stores it: an int given for a float becomes a float.

    Raises ValueError, naming the option, when the type is wrong or a bound is broken.
    """
    kind, field = types(cls)[name], _field(cls, name)
    if value is None and field.default is None:
        return None
    try:
        converted = Schedule.parse(value) if kind is Schedule else value
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    parts = (converted.start, converted.end) if kind is Schedule else (converted,)
    plain = float if kind is Schedule else kind
    if not all(_has_type(plain, part) and _within(field.metadata, part) for part in parts):
        raise ValueError(f"{name}: expected {expected(kind, field.metadata)}, got {value!r}")
    return converted if kind is Schedule else kind(value)


def check(instance: Any) -> None:
    """Raise ValueError for the first ill-typed or out-of-range option of a dataclass instance.

    An int is accepted for a float (``convert`` turns it into one), a bool for no number,
    and NaN and the infinities are refused.
    """
    cls = type(instance)
    for name in types(cls):
        convert(cls, name, getattr(instance, name))


def _field(cls: type, name: str) -> dataclasses.Field[Any]:
    for field in dataclasses.fields(cls):
        if field.name == name:
            return field
    raise KeyError(name)


def _has_type(kind: type, value: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if kind is float:
        return isinstance(value, (int, float)) and _is_finite(value)
    return isinstance(value, kind)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the range of floats
        return False


def _within(bounds: Mapping[str, Any], value: Any) -> bool:
    if "choices" in bounds and value not in bounds["choices"]:
        return False
    return not (
        ("minimum" in bounds and value < bounds["minimum"])
        or ("maximum" in bounds and value > bounds["maximum"])
        or ("above" in bounds and value <= bounds["above"])
        or ("below" in bounds and value >= bounds["below"])
    )
