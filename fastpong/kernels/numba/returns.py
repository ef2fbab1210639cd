"""Returns and advantages, compiled by Numba."""

from __future__ import annotations

import numpy as np
from numba import types

from fastpong.arrays import Array
from fastpong.kernels.numba.cache import F64, U8, kernel, reads, writes


@kernel(0, lambda F: (reads(F, 1), F64, writes(F, 1), types.boolean))
def discount_rewards(rewards: Array, gamma: float, out: Array, reset_on_reward: bool) -> None:
    """Write G_t = r_t + gamma G_{t+1}, G_T = 0.

    With ``reset_on_reward`` G_{t+1} counts as 0 where r_t != 0: a point ends a rally.
    """
    later = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        reward = float(rewards[t])
        later = reward if reset_on_reward and reward != 0 else reward + gamma * later
        out[t] = later


@kernel(0, lambda F: (reads(F, 2), reads(F, 2), reads(U8, 2), reads(F, 1), F64, F64, writes(F, 2)))
def gae(
    rewards: Array, values: Array, dones: Array, last_value: Array, gamma: float, lambda_: float,
    out: Array,
) -> None:  # fmt: skip
    """Write generalised advantage estimates, column by column."""
    for n in range(rewards.shape[1]):
        carried: float = 0.0
        after: float = np.float64(last_value[n])
        for t in range(len(rewards) - 1, -1, -1):
            if dones[t, n]:
                carried = after = 0.0
            value = np.float64(values[t, n])
            carried = np.float64(rewards[t, n]) + gamma * after - value + gamma * lambda_ * carried
            after = value
            out[t, n] = carried
