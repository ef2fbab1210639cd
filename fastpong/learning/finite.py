"""Check of a gradient before an optimizer applies it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from fastpong.arrays import Array


def finite_norm(gradients: Iterable[Array], learning_rate: float) -> float:
    """Return the Euclidean norm of all gradients together.

    Raises ArithmeticError if it is not finite: training has diverged, and one more update would
    spoil every weight.
    """
    squares = 0.0
    for gradient in gradients:
        flat = gradient.reshape(-1)
        # einsum and not norm(): BLAS would wake threads that fight the workers for cores.
        squares += float(np.einsum("i,i->", flat, flat))
    return check_finite(squares, learning_rate)


def check_finite(squares: float, learning_rate: float) -> float:
    """Return the root of a gradient's sum of squares.

    Raises ArithmeticError as ``finite_norm`` does.
    """
    if not math.isfinite(squares):
        raise ArithmeticError(
            "training diverged: the gradient is not finite any more; begin again with a smaller "
            f"--learning-rate than {learning_rate:g}, or go on from an older checkpoint"
        )
    return math.sqrt(squares)
