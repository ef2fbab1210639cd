"""What every agent asks of its gradient before it applies it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def finite_norm(gradients: Iterable[NDArray[Any]], learning_rate: float) -> float:
    """Return the Euclidean norm of all gradients together.

    Raises ArithmeticError where it is not finite: training has diverged, and one more update would
    spoil every weight.
    """
    squares = 0.0
    for gradient in gradients:
        flat = gradient.reshape(-1)
        # einsum and not norm(): BLAS would wake threads that fight the workers for cores.
        squares += float(np.einsum("i,i->", flat, flat))
    return check_finite(squares, learning_rate)


def check_finite(squares: float, learning_rate: float, option: str = "--learning-rate") -> float:
    """Return the root of ``squares``, a gradient's; raises as ``finite_norm``.

    option : which sets that rate
    """
    if not math.isfinite(squares):
        raise ArithmeticError(
            "training diverged: the gradient is not finite any more; begin again with a smaller "
            f"{option} than {learning_rate}, or go on from an older checkpoint"
        )
    return math.sqrt(squares)
