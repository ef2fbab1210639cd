"""Arrays that begin on a cache line, for what kernels go over again and again.

NumPy's own begin anywhere at multiples of 16 bytes, so that every second vector that is loaded lies
on two lines, and that two threads with half a row each share the line in the middle.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE = 64
"""Bytes of a cache line."""


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
    """Return a C-contiguous array of zeros whose address is a multiple of 64."""
    shape, kind = (shape,) if isinstance(shape, int) else shape, np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    room = np.zeros(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size].view(kind).reshape(shape)


def copy(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a C-contiguous copy whose address is a multiple of 64."""
    made = zeros(array.shape, array.dtype)
    made[...] = array
    return made
