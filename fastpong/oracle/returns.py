"""Discounted returns and generalised advantages, as explicit sums."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array
from fastpong.oracle.arrays import to_float64


def discount_rewards(rewards: Array, gamma: float, out: Array, reset_on_reward: bool) -> None:
    """Write G_t = sum_{k=t}^{e(t)} gamma^(k-t) r_k: (T,) -> (T,).

    e(t) is the first k >= t with r_k != 0 if ``reset_on_reward`` and there is one, else T - 1.
    """
    exact = to_float64(rewards)
    returns = np.zeros(len(exact))
    points = np.flatnonzero(exact) if reset_on_reward else np.zeros(0, np.intp)
    for t in range(len(exact)):
        later = points[np.searchsorted(points, t) :]
        end = int(later[0]) + 1 if later.size else len(exact)
        returns[t] = np.sum(gamma ** np.arange(end - t) * exact[t:end])
    out[:] = returns


def gae(
    rewards: Array, values: Array, dones: Array, last_value: Array, gamma: float, lambda_: float,
    out: Array,
) -> None:  # fmt: skip
    """Write generalised advantage estimates: (T, N) each, last_value (N,).

    delta_t = r_t + gamma (1 - done_t) V_{t+1} - V_t,   V_T = last_value
    A_t = sum_{k >= t} (gamma lambda)^{k - t} (product of (1 - done_j), t <= j < k) delta_k
    """
    r, v, going = to_float64(rewards), to_float64(values), 1.0 - (np.asarray(dones) != 0)
    after = np.concatenate([v[1:], to_float64(last_value)[None]]) if len(v) else v
    delta = r + gamma * going * after - v
    for t in range(len(r)):
        reach = np.ones(r.shape[1:])
        total = np.zeros(r.shape[1:])
        for k in range(t, len(r)):
            total += (gamma * lambda_) ** (k - t) * reach * delta[k]
            reach = reach * going[k]
        out[t] = total
