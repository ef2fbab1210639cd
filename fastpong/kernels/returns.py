"""Returns and advantages."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels import checks
from fastpong.kernels.checks import FLOATS, U8, Checker
from fastpong.kernels.raw import Raw


class Returns:
    """The part of a ``Backend`` that this family adds."""

    raw: Raw

    def discount_rewards(
        self,
        rewards: Array,
        gamma: float,
        out: Array | None = None,
        reset_on_reward: bool = True,
    ) -> Array:
        """Return the discounted return of every step of one episode.

            G_t = r_t + gamma G_{t+1},   G_T = 0,
            with G_{t+1} taken as 0 where r_t != 0 if ``reset_on_reward``.

        rewards : (T,), points of the game: -1, 0 or +1
        gamma   : in [0, 1], per step of the agent (not per emulated frame)
        out     : (T,); may be ``rewards`` itself
        """
        check = Checker()
        rewards = check.input("rewards", rewards, FLOATS, ("T",))
        gamma = checks.fraction("gamma", gamma)
        out = check.output("out", out, FLOATS, ("T",))
        checks.same_or_separate("out", out, "rewards", rewards)
        self.raw.returns.discount_rewards(rewards, gamma, out, bool(reset_on_reward))
        return out

    def standardize(self, values: Array, out: Array | None = None, center: bool = True) -> Array:
        """Return (v - mean(v)) / std(v), with the population standard deviation.

        values : (T,); where all are equal (or there are none) the result is 0, never NaN
        center : subtract the mean; without it v / std(v)
        out    : (T,); may be ``values`` itself
        """
        check = Checker()
        values = check.input("values", values, FLOATS, ("T",))
        out = check.output("out", out, FLOATS, ("T",))
        checks.same_or_separate("out", out, "values", values)
        self.raw.returns.standardize(values, out, bool(center))
        return out

    def gae(
        self,
        rewards: Array,
        values: Array,
        dones: Array,
        last_value: Array | float,
        gamma: float = 0.99,
        lambda_: float = 0.95,
        out: Array | None = None,
    ) -> Array:
        """Return generalised advantage estimates.

            delta_t = r_t + gamma (1 - done_t) V_{t+1} - V_t,   V_T = last_value
            A_t = delta_t + gamma lambda (1 - done_t) A_{t+1},   A_T = 0

        rewards, values : (T,), or (T, N) for N side by side; float32 or float64, all alike
        dones           : the same shape, uint8 or bool: not 0 for the last step of an episode
        last_value      : the value after the last step, a number for (T,), (N,) for (T, N)
        gamma, lambda_  : in [0, 1]
        out             : as rewards; may be ``rewards`` itself, else shares memory with none

        A + values are the returns a value is learned from. With lambda 1 A is the discounted return
        less the value, with lambda 0 it is delta. Source: Schulman et al. (2016), eq. 16.
        """
        check = Checker()
        single = np.ndim(rewards) == 1
        if isinstance(rewards, np.ndarray) and rewards.ndim not in (1, 2):
            raise ValueError(f"rewards: expected shape (T,) or (T, N), got {rewards.shape}")
        dims = ("T",) if single else ("T", "N")
        rewards = check.input("rewards", rewards, FLOATS, dims)
        values = check.input("values", values, FLOATS, dims)
        if isinstance(dones, np.ndarray) and dones.dtype == np.bool_:
            dones = dones.view(np.uint8)
        elif isinstance(dones, np.ndarray) and dones.dtype != np.uint8:
            raise TypeError(f"dones: expected dtype uint8 or bool, got {dones.dtype}")
        dones = check.input("dones", dones, U8, dims)
        if single:
            last_value = np.full(1, _number("last_value", last_value), rewards.dtype)
        last_value = check.input("last_value", last_value, FLOATS, (1 if single else "N",))
        gamma, lambda_ = checks.fraction("gamma", gamma), checks.fraction("lambda_", lambda_)
        out = check.output("out", out, FLOATS, dims)
        checks.same_or_separate("out", out, "rewards", rewards)
        checks.no_overlap({"out": out}, {"values": values, "dones": dones, "last": last_value})
        flat = [a.reshape(-1, 1) if single else a for a in (rewards, values, dones, out)]
        self.raw.returns.gae(*flat[:3], last_value, gamma, lambda_, flat[3])
        return out


def _number(name: str, value: Any) -> float:
    """Return a number, also one that comes in an array of one."""
    one = isinstance(value, np.ndarray) and value.size == 1
    return checks.real(name, value.item() if one else value)
