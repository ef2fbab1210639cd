"""Arithmetic of the oracle: all of it in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array


def to_float64(array: Array) -> NDArray[np.float64]:
    """Return the array in float64."""
    return np.asarray(array, np.float64)
