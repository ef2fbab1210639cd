"""The array types that annotations name. A leaf module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""An array whose dtype is known at run time only."""

Arrays: TypeAlias = Mapping[str, Array]
"""Arrays by name: parameters, or an agent's state as a checkpoint holds it."""
