"""Declarations with all that a declaration may have, for kernels that there are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastpong.kernels import checks
from fastpong.kernels.arguments import FLAGS, FLOAT, REAL, Bound, In, InPlace, Number, Out
from fastpong.kernels.parts import bits
from fastpong.kernels.spec import Kernel

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
