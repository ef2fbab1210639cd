"""Returns and advantages."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels import checks
from fastpong.kernels.arguments import FLOAT, U8, Flag, In, Item, Number, One, Out, Shaped
from fastpong.kernels.parts import bits, column, points
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Kernel

DISCOUNT_REWARDS = Kernel(
    "discount_rewards",
    "returns",
    (
        In("rewards", FLOAT, ("T",), None, points),
        Number("gamma", checks.fraction, 0.9),
        Out("out", FLOAT, ("T",), aliases=("rewards",)),
        Flag("reset_on_reward", True),
    ),
    {"": {"T": 6}},
)


def _gae(name: str, dims: tuple[str, ...], last: Item, shaped: Shaped | None = None) -> Kernel:
    return Kernel(
        name,
        "returns",
        (
            In("rewards", FLOAT, dims, shaped=shaped),
            In("values", FLOAT, dims, shaped=shaped),
            In("dones", U8, dims, None, bits, shaped),
            last,
            Number("gamma", checks.fraction, 0.99),
            Number("lambda_", checks.fraction, 0.95),
            Out("out", FLOAT, dims, shaped=shaped, aliases=("rewards",)),
        ),
        {"": {"T": 4, "N": 2}},
        raw="gae",
        public="gae",
    )


GAE = _gae("gae", ("T", "N"), In("last_value", FLOAT, ("N",)))
GAE_ROW = _gae("gae_row", ("T",), One("last_value", 0.5), column)


class Returns(Runner):
    """The part of a ``Backend`` that this family adds."""

    def discount_rewards(
        self,
        rewards: Array,
        gamma: float,
        out: Array | None = None,
        reset_on_reward: bool = True,
    ) -> Array:
        """Return the discounted return of every step.

            G_t = r_t + gamma G_{t+1},   G_T = 0,
            with G_{t+1} taken as 0 where r_t != 0 if ``reset_on_reward``.

        rewards : (T,), points of the game: -1, 0 or +1
        gamma   : in [0, 1], per step of the agent (not per emulated frame)
        out     : (T,), may be ``rewards`` itself
        """
        return self._run_one(DISCOUNT_REWARDS, rewards, gamma, out, reset_on_reward)

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

        rewards, values : (T,), or (T, N) for N side by side, float32 or float64, all alike
        dones           : the same shape, uint8 or bool: not 0 for the last step of an episode
        last_value      : the value after the last step, a number for (T,), (N,) for (T, N)
        gamma, lambda_  : in [0, 1]
        out             : as rewards, may be ``rewards`` itself, else shares memory with none

        A + values are the returns a value is learned from. With lambda 1 A is the discounted return
        less the value, with lambda 0 it is delta. Source: Schulman et al. (2016), eq. 16.
        """
        if isinstance(dones, np.ndarray) and dones.dtype == np.bool_:
            dones = dones.view(np.uint8)
        if not isinstance(rewards, np.ndarray) or rewards.ndim != 1:
            return self._run_one(GAE, rewards, values, dones, last_value, gamma, lambda_, out)
        return self._run_one(GAE_ROW, rewards, values, dones, last_value, gamma, lambda_, out)
