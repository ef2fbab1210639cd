"""Types of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Of a dtype that is known at run time only."""

Tuple = tuple[Array, ...]

Floats: TypeAlias = NDArray[np.floating]
Doubles: TypeAlias = NDArray[np.float64]
Order: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.uint8]

Arrays: TypeAlias = Mapping[str, Array]
"""Arrays by name: parameters, or an agent's state as a checkpoint holds it."""
