"""Discounted returns and advantages, as explicit sums over the rest of an episode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastpong.arrays import Array, Doubles
from fastpong.oracle.arrays import to_float64


class Episodes(NamedTuple):
    """Where episodes end.

    cut   : (T, N) bool, step t ended an episode, or it is the last step of all
    after : (T, N), the value of the observation after step t, 0 after a terminal one
    """

    cut: Array
    after: Doubles


def discount_rewards(
    rewards: Array, gamma: float, out: Array, reset_on_reward: bool,
    terminated: Array | None = None, truncated: Array | None = None,
    dones_before: Array | None = None, last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write G_t = sum_{k=t}^{e(t)} gamma^(k-t) r_k: (T, N) -> (T, N).

    e(t) is the first k >= t that ended an episode or, if ``reset_on_reward``, has r_k != 0. It is
    T - 1 where there is none.
    """
    exact = to_float64(rewards)
    cut = _ended(exact, terminated, dones_before, last_done)
    if truncated is not None:
        cut |= np.asarray(truncated) != 0
    if reset_on_reward:
        cut |= exact != 0
    cut[-1:] = True
    for t, n, rest in _steps(cut):
        out[t, n] = _powers(gamma, len(rest)) @ exact[rest, n]


def gae(
    rewards: Array, values: Array, terminated: Array | None, last_value: Array, gamma: float,
    lambda_: float, out: Array, truncated: Array | None = None, next_values: Array | None = None,
    dones_before: Array | None = None, last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write generalised advantage estimates: (T, N) each, last_value (N,).

    delta_t = r_t + gamma V'_t - V_t,   A_t = sum_{k=t}^{e(t)} (gamma lambda)^{k - t} delta_k

    V'_t is 0 where terminated, next_values where truncated, else V_{t+1} or last_value.
    """
    r, v = to_float64(rewards), to_float64(values)
    cut, after = _episodes(
        v, last_value, terminated, truncated, next_values, dones_before, last_done
    )
    delta = r + gamma * after - v
    for t, n, rest in _steps(cut):
        out[t, n] = _powers(gamma * lambda_, len(rest)) @ delta[rest, n]


def lambda_returns(
    rewards: Array, values: Array, terminated: Array | None, last_value: Array, gamma: float,
    lambda_: float, out: Array, truncated: Array | None = None, next_values: Array | None = None,
    dones_before: Array | None = None, last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write the mean of all m-step returns, weighted by lambda: (T, N).

    (1 - lambda) sum_{m=1}^{M-1} lambda^(m-1) G_t^m + lambda^(M-1) G_t^M,   M = e(t) - t + 1
    """
    r, v = to_float64(rewards), to_float64(values)
    cut, after = _episodes(
        v, last_value, terminated, truncated, next_values, dones_before, last_done
    )
    for t, n, rest in _steps(cut):
        powers = _powers(gamma, len(rest))
        all_steps = np.cumsum(powers * r[rest, n]) + gamma * powers * after[rest, n]
        weights = _powers(lambda_, len(rest))
        weights[:-1] *= 1 - lambda_
        out[t, n] = weights @ all_steps


def n_step_returns(
    rewards: Array, values: Array | None, terminated: Array | None, last_value: Array, n: int,
    gamma: float, out: Array, truncated: Array | None = None, next_values: Array | None = None,
    dones_before: Array | None = None, last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write G_t = sum_{k < m} gamma^k r_{t+k} + gamma^m V'_{t+m-1},   m = min(n, e(t) - t + 1)."""
    r = to_float64(rewards)
    v = np.zeros_like(r) if values is None else to_float64(values)
    cut, after = _episodes(
        v, last_value, terminated, truncated, next_values, dones_before, last_done
    )
    for t, column, rest in _steps(cut):
        used = rest[:n]
        powers = _powers(gamma, len(used))
        out[t, column] = powers @ r[used, column] + gamma * powers[-1] * after[used[-1], column]


def vtrace(
    log_rhos: Array, rewards: Array, values: Array, terminated: Array | None, last_value: Array,
    gamma: float, lambda_: float, clip_rho: float, clip_c: float, clip_pg_rho: float,
    vs: Array, pg_advantages: Array, truncated: Array | None = None,
    next_values: Array | None = None, dones_before: Array | None = None,
    last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write V-trace targets and policy-gradient advantages: (T, N) each.

    delta_t = min(clip_rho, rho_t) (r_t + gamma V'_t - V_t),   c_t = lambda min(clip_c, rho_t)
    v_t = V_t + sum_{k=t}^{e(t)} gamma^{k-t} (product of c_j, t <= j < k) delta_k
    A_t = min(clip_pg_rho, rho_t) (r_t + gamma v_{t+1} - V_t),   v_{t+1} = V'_t at an end
    """
    r, v, rho = to_float64(rewards), to_float64(values), np.exp(to_float64(log_rhos))
    cut, after = _episodes(
        v, last_value, terminated, truncated, next_values, dones_before, last_done
    )
    delta = np.minimum(clip_rho, rho) * (r + gamma * after - v)
    traces = lambda_ * np.minimum(clip_c, rho)
    targets = np.zeros_like(v)
    for t, n, rest in _steps(cut):
        reach = np.cumprod(np.concatenate([np.ones(1), traces[rest[:-1], n]]))
        targets[t, n] = v[t, n] + np.sum(_powers(gamma, len(rest)) * reach * delta[rest, n])
    following = np.where(cut, after, np.concatenate([targets[1:], targets[:1]]))
    vs[:] = targets
    pg_advantages[:] = np.minimum(clip_pg_rho, rho) * (r + gamma * following - v)


# --- episodes -------------------------------------------------------------------------------------


def _ended(
    like: Array, terminated: Array | None, dones_before: Array | None, last_done: Array | None
) -> Array:
    """Return (T, N) bool: step t ended an episode, by whichever flags are given."""
    ended = np.zeros(like.shape, bool)
    if terminated is not None:
        ended |= np.asarray(terminated) != 0
    if dones_before is not None and last_done is not None:
        ended |= np.concatenate([dones_before, last_done[None]])[1:] != 0
    return ended


def _episodes(
    values: Doubles, last_value: Array, terminated: Array | None, truncated: Array | None,
    next_values: Array | None, dones_before: Array | None, last_done: Array | None,
) -> Episodes:  # fmt: skip
    """Return where episodes end, and the value after each step."""
    ended = _ended(values, terminated, dones_before, last_done)
    after = np.concatenate([values, to_float64(last_value)[None]])[1:]
    cut = ended.copy()
    if truncated is not None and next_values is not None:
        cut |= np.asarray(truncated) != 0
        after = np.where(cut, to_float64(next_values), after)
    cut[-1:] = True
    return Episodes(cut, np.where(ended, 0.0, after))


def _steps(cut: Array) -> Iterator[tuple[int, int, Array]]:
    """Yield every step and column, with the steps from there to the end of the episode."""
    for n in range(cut.shape[1]):
        ends = np.flatnonzero(cut[:, n])
        for t in range(len(cut)):
            yield t, n, np.arange(t, ends[np.searchsorted(ends, t)] + 1)


def _powers(base: float, count: int) -> Doubles:
    """Return 1, base, base^2, ..."""
    powers: Doubles = np.float64(base) ** np.arange(count)
    return powers
