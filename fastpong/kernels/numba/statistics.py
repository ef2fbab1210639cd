"""Statistics, compiled by Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import types

from fastpong.arrays import Array
from fastpong.kernels.numba.cache import F64, I64, U8, helper, kernel, reads, writes


@helper
def sum_of(values: Array) -> float:
    """Return the sum: eight interleaved ones and the rest, a fixed order without a long chain."""
    a = b = c = d = e = f = g = h = 0.0
    whole = len(values) - len(values) % 8
    for t in range(0, whole, 8):
        a += values[t]
        b += values[t + 1]
        c += values[t + 2]
        d += values[t + 3]
        e += values[t + 4]
        f += values[t + 5]
        g += values[t + 6]
        h += values[t + 7]
    rest = 0.0
    for t in range(whole, len(values)):
        rest += values[t]
    return ((a + e) + (b + f)) + ((c + g) + (d + h)) + rest


@helper
def sum_of_squares(values: Array, mean: float) -> float:
    """Return the sum of (v - mean)^2, in the order of ``sum_of``."""
    a = b = c = d = e = f = g = h = 0.0
    whole = len(values) - len(values) % 8
    for t in range(0, whole, 8):
        a += (values[t] - mean) ** 2
        b += (values[t + 1] - mean) ** 2
        c += (values[t + 2] - mean) ** 2
        d += (values[t + 3] - mean) ** 2
        e += (values[t + 4] - mean) ** 2
        f += (values[t + 5] - mean) ** 2
        g += (values[t + 6] - mean) ** 2
        h += (values[t + 7] - mean) ** 2
    rest = 0.0
    for t in range(whole, len(values)):
        rest += (values[t] - mean) ** 2
    return ((a + e) + (b + f)) + ((c + g) + (d + h)) + rest


@helper
def _moments_in_order(values: Array) -> tuple[float, float]:
    """Return mean and sum of squared deviations, added up element by element."""
    total = squares = 0.0
    for t in range(len(values)):
        total += float(values[t])
    mean = total / len(values)
    for t in range(len(values)):
        squares += (float(values[t]) - mean) ** 2
    return mean, squares


@helper
def _are_equal(values: Array) -> bool:
    """Return whether all are, asked of the values: their deviation from a rounded mean is not 0."""
    same = 0
    while same < len(values) and values[same] == values[0]:
        same += 1
    return same == len(values)


@kernel(0, lambda F: (reads(F, 1), writes(F, 1), types.boolean, I64, F64, types.boolean))
def standardize(
    values: Array, out: Array, center: bool, ddof: int, epsilon: float, sequential: bool
) -> None:
    """Write values less their mean, over their deviation plus epsilon.

    Without ``center`` the mean stays. A divisor of 0 gives zeros.

    ``out`` may be ``values``. Two passes, since the mean of the squares minus the square of the
    mean cancels.
    """
    steps = len(values)
    if steps == 0:
        return
    squares = 0.0
    if _are_equal(values):
        mean = float(values[0])
    elif sequential:
        mean, squares = _moments_in_order(values)
    else:
        mean = sum_of(values) / steps
        squares = sum_of_squares(values, mean)
    scale = math.sqrt(squares / (steps - ddof)) + epsilon
    if scale == 0:
        out[:] = 0
        return
    shift = mean if center else 0.0
    for t in range(steps):
        out[t] = (float(values[t]) - shift) / scale


@helper
def _add_one(
    value: float, keep: float, share: float, mean: float, var: float
) -> tuple[float, float]:
    """Return mean and variance with one number more, by Welford.

    share is 1 / (count + 1), keep the rest.
    """
    delta = value - mean
    return mean + share * delta, keep * (var + share * delta * delta)


@kernel(0, lambda F: (reads(F, 2), writes(F64, 1), writes(F64, 1), writes(F64, 1)))
def update_mean_var(batch: Array, mean: Array, var: Array, count: Array) -> None:
    """Add a batch (N, D) to running means and variances (D,) of ``count`` rows (1,)."""
    for low in range(0, len(mean), 64):  # columns whose statistics stay in the cache
        for n in range(len(batch)):
            share = 1 / (count[0] + n + 1)
            keep = (count[0] + n) * share
            for j in range(low, min(low + 64, len(mean))):
                mean[j], var[j] = _add_one(batch[n, j], keep, share, mean[j], var[j])
    count[0] += len(batch)


@helper
def _clipped(value: float, clip: float) -> float:
    return clip if value > clip else (-clip if value < -clip else value)


@kernel(0, lambda F: (reads(F, 2), reads(F64, 1), reads(F64, 1), F64, F64, writes(F, 2)))
def normalize_observations(
    observations: Array, mean: Array, var: Array, epsilon: float, clip: float, out: Array
) -> None:
    """Write (x - mean) / sqrt(var + epsilon), clipped: (N, D)."""
    for n in range(len(observations)):
        for j in range(len(mean)):
            deviation = math.sqrt(var[j] + epsilon)
            out[n, j] = _clipped((observations[n, j] - mean[j]) / deviation, clip)


@kernel(
    0,
    lambda F: (
        *(reads(F, 2), reads(U8, 2), writes(F64, 1), writes(F64, 1), writes(F64, 1)),
        *(writes(F64, 1), F64, F64, F64, types.boolean, writes(F, 2)),
    ),
)
def normalize_rewards(
    rewards: Array, episode_starts: Array, returns: Array, mean: Array, var: Array, count: Array,
    gamma: float, epsilon: float, clip: float, update: bool, out: Array,
) -> None:  # fmt: skip
    """Write r / sqrt(var + epsilon), clipped.

    With ``update`` the returns are added to ``var`` before each step.
    """
    for t in range(len(rewards)):
        if update:
            for n in range(len(returns)):
                before = 0.0 if episode_starts[t, n] else returns[n]
                returns[n] = np.float64(rewards[t, n]) + gamma * before
                share = 1 / (count[0] + 1)
                mean[0], var[0] = _add_one(returns[n], count[0] * share, share, mean[0], var[0])
                count[0] += 1
        scale = math.sqrt(var[0] + epsilon)
        for n in range(len(returns)):
            out[t, n] = _clipped(rewards[t, n] / scale, clip)
