"""Returns and advantages, compiled by Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import types

from fastpong.arrays import Array
from fastpong.kernels.numba.cache import (
    F64,
    I64,
    U8,
    Type,
    helper,
    kernel,
    maybe,
    reads,
    writes,
)

ENDS = (maybe(reads(U8, 2)), maybe(reads(U8, 2)), maybe(reads(U8, 1)))
"""Of truncated, dones_before, last_done."""
TERMINATED, TRUNCATED = 1, 2


@helper
def end_of(
    t: int, n: int, steps: int, terminated: Array | None, truncated: Array | None,
    dones_before: Array | None, last_done: Array | None,
) -> int:  # fmt: skip
    """Return how an episode ended with this step, 0 where none did."""
    if terminated is not None and terminated[t, n]:
        return TERMINATED
    if dones_before is not None and t + 1 < steps and dones_before[t + 1, n]:
        return TERMINATED
    if last_done is not None and t + 1 == steps and last_done[n]:
        return TERMINATED
    if truncated is not None and truncated[t, n]:
        return TRUNCATED
    return 0


@helper
def value_after(
    end: int, t: int, n: int, steps: int, values: Array | None, last_value: Array,
    next_values: Array | None,
) -> float:  # fmt: skip
    """Return V' of the oracle."""
    if end == TERMINATED:
        return 0.0
    if end == TRUNCATED and next_values is not None:
        return np.float64(next_values[t, n])
    if t + 1 == steps:
        return np.float64(last_value[n])
    return np.float64(values[t + 1, n]) if values is not None else 0.0


@helper
def least(bound: float, x: float) -> float:
    """Return the lesser one, NaN for NaN."""
    return bound if x > bound else x


def _discount_types(F: Type) -> tuple[Type, ...]:
    return (reads(F, 2), F64, writes(F, 2), types.boolean, maybe(reads(U8, 2)), *ENDS)


@kernel(0, _discount_types)
def discount_rewards(
    rewards: Array, gamma: float, out: Array, reset_on_reward: bool,
    terminated: Array | None = None, truncated: Array | None = None,
    dones_before: Array | None = None, last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write G_t = r_t + gamma G_{t+1}, G_T = 0.

    G_{t+1} counts as 0 after the end of an episode, and with ``reset_on_reward`` where r_t != 0.
    """
    steps = len(rewards)
    for n in range(rewards.shape[1]):
        later = 0.0
        for t in range(steps - 1, -1, -1):
            reward = np.float64(rewards[t, n])
            cut = end_of(t, n, steps, terminated, truncated, dones_before, last_done)
            if cut or (reset_on_reward and reward != 0):
                later = 0.0
            later = reward + gamma * later
            out[t, n] = later


def _lambda_types(F: Type) -> tuple[Type, ...]:
    return (
        *(reads(F, 2), reads(F, 2), maybe(reads(U8, 2)), reads(F, 1), F64, F64, writes(F, 2)),
        *(ENDS[0], maybe(reads(F, 2)), *ENDS[1:]),
    )


@kernel(0, _lambda_types)
def gae(
    rewards: Array, values: Array, terminated: Array | None, last_value: Array, gamma: float,
    lambda_: float, out: Array, truncated: Array | None = None, next_values: Array | None = None,
    dones_before: Array | None = None, last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write generalised advantage estimates, column by column."""
    steps = len(rewards)
    for n in range(rewards.shape[1]):
        carried = 0.0
        for t in range(steps - 1, -1, -1):
            end = end_of(t, n, steps, terminated, truncated, dones_before, last_done)
            after = value_after(end, t, n, steps, values, last_value, next_values)
            if end:
                carried = 0.0
            delta = np.float64(rewards[t, n]) + gamma * after - np.float64(values[t, n])
            carried = delta + gamma * lambda_ * carried
            out[t, n] = carried


@kernel(0, _lambda_types)
def lambda_returns(
    rewards: Array, values: Array, terminated: Array | None, last_value: Array, gamma: float,
    lambda_: float, out: Array, truncated: Array | None = None, next_values: Array | None = None,
    dones_before: Array | None = None, last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write advantages and values, added before they are rounded."""
    steps = len(rewards)
    for n in range(rewards.shape[1]):
        carried = 0.0
        for t in range(steps - 1, -1, -1):
            end = end_of(t, n, steps, terminated, truncated, dones_before, last_done)
            after = value_after(end, t, n, steps, values, last_value, next_values)
            if end:
                carried = 0.0
            value = np.float64(values[t, n])
            delta = np.float64(rewards[t, n]) + gamma * after - value
            carried = delta + gamma * lambda_ * carried
            out[t, n] = carried + value


@kernel(
    0,
    lambda F: (
        *(reads(F, 2), maybe(reads(F, 2)), maybe(reads(U8, 2)), reads(F, 1), I64, F64),
        *(writes(F, 2), ENDS[0], maybe(reads(F, 2)), *ENDS[1:]),
    ),
)
def n_step_returns(
    rewards: Array, values: Array | None, terminated: Array | None, last_value: Array, n: int,
    gamma: float, out: Array, truncated: Array | None = None, next_values: Array | None = None,
    dones_before: Array | None = None, last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write the sum of n rewards and the value after them.

    Within n steps of an end from the step after, so that a large n costs no more than a small one.
    """
    steps = len(rewards)
    for column in range(rewards.shape[1]):
        until = steps - 1  # the last step of the episode
        later = 0.0
        for t in range(steps - 1, -1, -1):
            end = end_of(t, column, steps, terminated, truncated, dones_before, last_done)
            if end or t == steps - 1:
                until = t
                later = value_after(end, t, column, steps, values, last_value, next_values)
            if until - t < n:
                later = np.float64(rewards[t, column]) + gamma * later
                out[t, column] = later
                continue
            total = value_after(0, t + n - 1, column, steps, values, last_value, next_values)
            for k in range(t + n - 1, t - 1, -1):
                total = np.float64(rewards[k, column]) + gamma * total
            out[t, column] = total


@kernel(
    0,
    lambda F: (
        *(reads(F, 2), reads(F, 2), reads(F, 2), maybe(reads(U8, 2)), reads(F, 1)),
        *(F64, F64, F64, F64, F64, writes(F, 2), writes(F, 2)),
        *(ENDS[0], maybe(reads(F, 2)), *ENDS[1:]),
    ),
)
def vtrace(
    log_rhos: Array, rewards: Array, values: Array, terminated: Array | None, last_value: Array,
    gamma: float, lambda_: float, clip_rho: float, clip_c: float, clip_pg_rho: float,
    vs: Array, pg_advantages: Array, truncated: Array | None = None,
    next_values: Array | None = None, dones_before: Array | None = None,
    last_done: Array | None = None,
) -> None:  # fmt: skip
    """Write V-trace's targets and advantages, column by column."""
    steps = len(rewards)
    for n in range(rewards.shape[1]):
        carried = 0.0
        for t in range(steps - 1, -1, -1):
            end = end_of(t, n, steps, terminated, truncated, dones_before, last_done)
            after = value_after(end, t, n, steps, values, last_value, next_values)
            if end:
                carried = 0.0
            rho, reward = math.exp(np.float64(log_rhos[t, n])), np.float64(rewards[t, n])
            value = np.float64(values[t, n])
            pg_advantages[t, n] = least(clip_pg_rho, rho) * (
                reward + gamma * (after + carried) - value
            )
            delta = least(clip_rho, rho) * (reward + gamma * after - value)
            carried = delta + gamma * lambda_ * least(clip_c, rho) * carried
            vs[t, n] = value + carried
