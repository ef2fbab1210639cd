"""Declarations with all that one may have, and the arguments of any declared kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastpong.kernels import checks
from fastpong.kernels.arguments import FLAGS, FLOAT, REAL, Bound, In, InPlace, Number, Out
from fastpong.kernels.parts import bits
from fastpong.kernels.spec import Group, Kernel

ROWS = ("T", "*N")
STACK = Kernel(
    "stack",
    "none",
    (
        In("rewards", REAL, ROWS),
        In("values", FLOAT, ROWS),
        In("ends", FLAGS, ROWS, None, bits, optional=True),
        In("last", REAL, ("*N",)),
        Number("gamma", checks.fraction, 0.9),
        Out("out", FLOAT, ROWS, aliases=("rewards",)),
        Out("more", FLOAT, ("T+1", "*N")),
    ),
    {"": {"T": 3, "N": 2}, "one": {"T": 3, "N": 1}},
)
LINE = Kernel(
    "line",
    "none",
    (
        In("x", REAL, ("T",)),
        In("y", FLAGS, ("T",), None, bits),
        Out("out", FLOAT, ("T",), aliases=("x",)),
    ),
    {"": {"T": 4}},
)
HELD = Kernel(
    "held",
    "none",
    (Bound("a", FLOAT, ("T",)), InPlace("b", FLOAT, ("T",))),
    {"": {"T": 4}},
)
DECLARED = {kernel.name: kernel for kernel in (STACK, LINE, HELD)}


class NoRaw:
    """Raw kernels that do nothing."""

    def __getitem__(self, kernel: Kernel) -> Callable[..., Any]:
        return lambda *arguments: None


def in_order(kernel: Kernel, values: dict[str, Any]) -> Iterator[Any]:
    """Yield values by the items' names as the kernel's caller gives them."""
    for item in kernel.items:
        if isinstance(item, Group):
            given = [values[part.name] for part in item.items if part.takes]
            yield from [Bundle(given)] if item.name else given
        elif item.takes:
            yield values[item.name]


class Bundle(tuple[Any, ...]):
    """What callers pass is often a named tuple."""


SIZES = {"encode_cells": {"entries": 800}}
"""Sizes that follow from no array."""


def raw_arguments(
    kernel: Kernel, dtype: str, read_only: bool = True
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the raw kernel's arguments of a valid call, and the caller's outputs by name.

    read_only : the inputs are
    """
    drawn = kernel.example(dtype, next(iter(kernel.sizes)))
    for array in drawn.inputs.values():
        array.flags.writeable = not read_only
    values = {**drawn.inputs, **drawn.outputs, **drawn.scalars}
    sizes = SIZES.get(kernel.name, {})
    return tuple(kernel.check(*in_order(kernel, values), **sizes).arguments), drawn.outputs
