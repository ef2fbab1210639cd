"""Standardized values and running statistics, from all values at once."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array
from fastpong.oracle.arrays import to_float64


def standardize(
    values: Array, out: Array, center: bool = True, ddof: int = 0, epsilon: float = 0.0,
    sequential: bool = False,
) -> None:  # fmt: skip
    """Write values less their mean, over their deviation plus epsilon.

    Equal values have no deviation, and a divisor of 0 gives zeros. Without ``center`` the mean
    stays. ``sequential`` is of the compiled kernels: it changes roundings.
    """
    exact = to_float64(values)
    if not exact.size:
        return
    equal = np.all(exact == exact[:1])
    mean = exact[0] if equal else np.mean(exact)
    divisor = (0.0 if equal else np.std(exact, ddof=ddof)) + epsilon
    # A deviation too small for float64 is none, either.
    out[:] = (exact - mean * center) / divisor if divisor != 0 else 0


def update_mean_var(batch: Array, mean: Array, var: Array, count: Array) -> None:
    """Add a batch (N, D) to running means and variances (D,) of ``count`` rows (1,).

        mean = weighted mean of rows,   var = weighted mean of (row - mean)^2

    The rows seen before weigh ``count`` and spread by ``var`` around their mean.
    """
    rows = np.concatenate([mean[None], to_float64(batch)])
    weights = np.concatenate([count, np.ones(len(batch))])
    if weights.sum() == 0:
        return
    together = np.average(rows, axis=0, weights=weights)
    spread = np.square(rows - together)
    spread[0] += var
    mean[:], var[:] = together, np.average(spread, axis=0, weights=weights)
    count[:] = weights.sum()


def normalize_observations(
    observations: Array, mean: Array, var: Array, epsilon: float, clip: float, out: Array
) -> None:
    """Write (x - mean) / sqrt(var + epsilon), clipped to [-clip, clip]."""
    out[:] = np.clip((to_float64(observations) - mean) / np.sqrt(var + epsilon), -clip, clip)


def normalize_rewards(
    rewards: Array, episode_starts: Array, returns: Array, mean: Array, var: Array, count: Array,
    gamma: float, epsilon: float, clip: float, update: bool, out: Array,
) -> None:  # fmt: skip
    """Write r / sqrt(var + epsilon), clipped, var being that of the returns so far.

        G_t = sum_k gamma^(t-k) r_k   over the steps k <= t since the last start of an episode

    ``returns`` is the G of the step before, and of the last step afterwards.
    """
    exact, divisors = to_float64(rewards), np.full(len(rewards), float(var[0]))
    if update and exact.size:
        together = _returns(exact, np.asarray(episode_starts) != 0, returns, gamma)
        for t, row in enumerate(together):
            update_mean_var(row[:, None], mean, var, count)
            divisors[t] = var[0]
        returns[:] = together[-1]
    out[:] = np.clip(exact / np.sqrt(divisors + epsilon)[:, None], -clip, clip)


def _returns(rewards: Array, starts: Array, before: Array, gamma: float) -> Array:
    """Return every G, as an explicit sum."""
    rewards = np.concatenate([before[None], rewards])
    starts = np.concatenate([np.zeros((1, starts.shape[1]), bool), starts])
    found = np.zeros_like(rewards)
    for t in range(len(rewards)):
        for k in range(t + 1):
            together = ~starts[k + 1 : t + 1].any(axis=0)
            found[t] += np.where(together, gamma ** (t - k) * rewards[k], 0.0)
    return found[1:]
