"""A call under way, and the dtypes that declarations name."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastpong.arrays import Array

DType = np.dtype[np.generic]
Dtypes = tuple[DType, ...]
Values = dict[str, Array]

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
U8, U16 = np.dtype(np.uint8), np.dtype(np.uint16)
I8, I32, I64 = np.dtype(np.int8), np.dtype(np.int32), np.dtype(np.int64)
FLOAT: Dtypes = (F32, F64)
"""One of these, the same for all arrays of a call that are declared so."""
REAL: Dtypes = (F32, F64)
"""As FLOAT, or integers and bools, converted to the float dtype of the call (else float64)."""
FLAGS: Dtypes = (U8,)
"""Not 0 is true: bool and uint8 as they are, other integers and floats converted."""
ANY: tuple[str, ...] = ("...",)
"""Dimensions of arrays that have any shape, all the same one."""


class Call:
    """A call under way, with its sizes and arrays."""

    __slots__ = (
        "arguments", "arrays", "cleared", "float", "outputs", "short", "sizes", "source", "tall",
        "written",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.float: DType | None = None
        self.arrays: Values = {}
        self.written: list[tuple[str, tuple[str, ...]]] = []
        self.cleared: list[Array] = []
        self.outputs: list[Any] = []  # as the caller has them
        self.arguments: list[object] = []
        self.source: dict[str, str] = {}  # the argument that has set a size
        self.short = False  # the first array has no axis for "*N"
        self.tall = False  # the first array is (T, 1) for (T,)
