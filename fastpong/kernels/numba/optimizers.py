"""Optimizers, compiled by Numba."""

from __future__ import annotations

import math

from numba import types

from fastpong.arrays import Array, Tuple
from fastpong.kernels.numba.cache import F64, I64, helper, kernel, pack, reads, writes
from fastpong.kernels.numba.cells import TREE
from fastpong.kernels.numba.statistics import sum_of_squares

TINY = 1e-35  # as in cython/cells.pyx


@kernel(0, lambda F: (writes(F, 1), reads(F, 1), writes(F, 1), F64, F64, F64, types.boolean))
def rmsprop_update(
    parameter: Array, gradient: Array, cache: Array, learning_rate: float, decay: float, epsilon:
    float, maximize: bool,
) -> None:  # fmt: skip
    """Climb, or descend, one RMSProp step in place.

    c = decay c + (1 - decay) g^2,   w = w +- rate g / (sqrt(c) + epsilon)
    """
    kind = parameter.dtype.type
    # 1 - decay before rounding: in float32 the difference would be off by 1e-6 of itself.
    keep, take = kind(decay), kind(1.0 - decay)
    rate, small = kind(learning_rate if maximize else -learning_rate), kind(epsilon)
    for i in range(len(parameter)):
        g = gradient[i]
        c = keep * cache[i] + take * g * g
        cache[i] = c
        parameter[i] += rate * g / (math.sqrt(c) + small)


# Adam as in cython/optimizers.pxd, which explains it: the bias corrections are folded into two
# numbers.


@helper
def adam_rates(
    step: int, learning_rate: float, beta1: float, beta2: float, epsilon_hat: bool
) -> tuple[float, float]:
    """Return rate and root_scale.

    With ``epsilon_hat`` epsilon's root is not corrected.
    """
    first, second = 1 - beta1 ** float(step), 1 - beta2 ** float(step)
    if epsilon_hat:
        return learning_rate * (math.sqrt(second) / first), 1.0
    return learning_rate / first, 1 / math.sqrt(second)


@helper
def adam_moments(
    g: float, mean: float, square: float, keep1: float, take1: float, keep2: float, take2: float
) -> tuple[float, float]:
    """Return both moments with a new gradient in.

    m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
    """
    return keep1 * mean + take1 * g, keep2 * square + take2 * g * g


@helper
def adam_step(mean: float, square: float, rate: float, root_scale: float, small: float) -> float:
    """Return rate m / (root_scale sqrt(v) + epsilon)."""
    return rate * mean / (root_scale * math.sqrt(square) + small)


@kernel(
    0,
    lambda F: (
        *(writes(F, 1), reads(F, 1), writes(F, 1), writes(F, 1)),
        *(I64, F64, F64, F64, F64, types.boolean),
    ),
)
def adam_update(
    parameter: Array, gradient: Array, mean: Array, square: Array, step: int, learning_rate: float,
    beta1: float, beta2: float, epsilon: float, epsilon_hat: bool,
) -> None:  # fmt: skip
    """Descend in place, by Adam's step number ``step``."""
    kind = parameter.dtype.type
    rate, root_scale = adam_rates(step, learning_rate, beta1, beta2, epsilon_hat)
    rate, root_scale, small = kind(rate), kind(root_scale), kind(epsilon)
    keep1, take1, keep2, take2 = kind(beta1), kind(1 - beta1), kind(beta2), kind(1 - beta2)
    for i in range(len(parameter)):
        m, v = adam_moments(gradient[i], mean[i], square[i], keep1, take1, keep2, take2)
        mean[i], square[i] = m, v
        parameter[i] -= adam_step(m, v, rate, root_scale, small)


@helper
def _moments(
    gradient: Array, mean: Array, square: Array, seen: Array, step: int,
    coefficients: tuple[float, ...],
) -> None:  # fmt: skip
    """Write the moments, and the steps in place of the gradient."""
    factor, learning_rate, beta1, beta2, epsilon = coefficients
    kind = gradient.dtype.type
    zero, tiny, by, small = kind(0), kind(TINY), kind(factor), kind(epsilon)
    keep1, take1, keep2, take2 = kind(beta1), kind(1 - beta1), kind(beta2), kind(1 - beta2)
    rates = adam_rates(step, learning_rate, beta1, beta2, False)
    rate, root_scale = kind(rates[0]), kind(rates[1])
    for r in range(len(seen) + 3):
        if r >= len(seen) or seen[r]:
            for j in range(gradient.shape[1]):
                g = by * gradient[r, j]
                m, v = adam_moments(g, mean[r, j], square[r, j], keep1, take1, keep2, take2)
                m = m if m > tiny or m < -tiny else zero
                v = v if v > tiny else zero
                mean[r, j], square[r, j] = m, v
                gradient[r, j] = -adam_step(m, v, rate, root_scale, small)


@kernel(
    1,
    lambda F: (
        *(pack(writes(F, 2), writes(F, 2)), writes(F, 2), pack(writes(F, 2), writes(F, 2))),
        *(TREE, I64),
        pack(F64, F64, F64, F64, F64),
    ),
)
def cells_adam(
    network: Tuple, gradient: Array, moments: Tuple, tree: Tuple, step: int,
    coefficients: tuple[float, ...],
) -> None:  # fmt: skip
    """Take one step of Adam with ``factor`` times the gradient."""
    rows, units = network
    mean, square = moments
    _, parents, scales, seen = tree
    kind, size = rows.dtype.type, rows.shape[1]
    _moments(gradient, mean, square, seen, step, coefficients)
    for r in range(len(rows)):
        if seen[r]:
            for j in range(size):
                rows[r, j] += gradient[r, j]
        for k in range(len(scales)):
            above = parents[k, r]
            if above >= 0 and seen[above]:
                scale = kind(scales[k])
                for j in range(size):
                    rows[r, j] += scale * gradient[above, j]
    for r in range(3):
        for j in range(size):
            units[r, j] += gradient[len(seen) + r, j]


@kernel(0, lambda F: (reads(F, 1),))
def squared_norm(gradient: Array) -> float:
    """Return the sum of the squares."""
    return sum_of_squares(gradient, 0.0)


@kernel(0, lambda F: (writes(F, 1), F64))
def scale(gradient: Array, factor: float) -> None:
    """Multiply by a factor, in place."""
    by = gradient.dtype.type(factor)
    for i in range(len(gradient)):
        gradient[i] *= by
