"""Arrays that begin on a cache line, for kernels that go over them again and again.

NumPy's own begin anywhere at multiples of 16 bytes, and then every second vector lies on two lines.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE = 64
"""Bytes of a cache line."""


def zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
    """Return a C-contiguous, cache-aligned array of zeros."""
    shape, kind = (shape,) if isinstance(shape, int) else shape, np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    room = np.zeros(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size].view(kind).reshape(shape)
