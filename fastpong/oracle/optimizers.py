"""Optimizers, each in one line of the formula."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array, Tuple
from fastpong.oracle.arrays import to_float64


def rmsprop_update(
    parameter: Array, gradient: Array, cache: Array, learning_rate: float, decay: float, epsilon:
    float, maximize: bool = True,
) -> None:  # fmt: skip
    """Climb, or descend, one RMSProp step in place.

    c = decay c + (1 - decay) g^2,   w = w +- rate g / (sqrt(c) + epsilon)
    """
    g = to_float64(gradient)
    exact = decay * to_float64(cache) + (1.0 - decay) * np.square(g)
    step = learning_rate * g / (np.sqrt(exact) + epsilon)
    parameter[:] = parameter + step if maximize else parameter - step
    cache[:] = exact


def adam_update(
    parameter: Array, gradient: Array, mean: Array, square: Array, step: int, learning_rate: float,
    beta1: float, beta2: float, epsilon: float, epsilon_hat: bool,
) -> None:  # fmt: skip
    """Descend one step of Adam in place.

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        w = w - rate m' / (sqrt(v') + e),   m' = m / (1 - b1^step),  v' = v / (1 - b2^step)

    With ``epsilon_hat`` epsilon stands beside the root of the uncorrected v, as Keras has it: e is
    then epsilon / sqrt(1 - b2^step).
    """
    g = to_float64(gradient)
    m = beta1 * to_float64(mean) + (1.0 - beta1) * g
    v = beta2 * to_float64(square) + (1.0 - beta2) * np.square(g)
    mean[:], square[:] = m, v
    scale = 1.0 - beta2**step
    small = epsilon / np.sqrt(scale) if epsilon_hat else epsilon
    parameter[:] = parameter - learning_rate * (m / (1.0 - beta1**step)) / (
        np.sqrt(v / scale) + small
    )


def cells_adam(
    network: Tuple, gradient: Array, moments: Tuple, tree: Tuple, step: int,
    coefficients: tuple[float, ...],
) -> None:  # fmt: skip
    """Take one step of Adam with ``factor`` times the gradient.

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        W = W - rate m / (1 - b1^step) / (sqrt(v / (1 - b2^step)) + epsilon)

    Of W only E = W + sum of scaled parents is kept, in ``rows``, and moves by the same sum of
    steps. Overwrites moments (R + 3, H), rows and units, and gradient by the steps of W.
    """
    rows, units = network
    mean, square = moments
    _, parents, scales, seen = tree
    factor, learning_rate, beta1, beta2, epsilon = coefficients
    g = factor * to_float64(gradient)
    m = beta1 * to_float64(mean) + (1.0 - beta1) * g
    v = beta2 * to_float64(square) + (1.0 - beta2) * np.square(g)
    mean[:], square[:] = m, v
    moved = -learning_rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    by_row = moved[: len(rows)].copy()
    for above, scale in zip(parents, scales, strict=True):
        by_row += scale * np.where(above[:, None] >= 0, moved[above], 0.0)
    gradient[:] = moved
    rows[:] = rows + by_row
    units[:] = units + moved[len(seen) :]


def squared_norm(gradient: Array) -> float:
    """Return the sum of the squares."""
    exact = to_float64(gradient)
    return float(exact @ exact)


def scale(gradient: Array, factor: float) -> None:
    """Multiply by a factor, in place."""
    with np.errstate(invalid="ignore"):  # 0 times infinity
        gradient[:] = factor * to_float64(gradient)
