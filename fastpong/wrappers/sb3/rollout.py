"""The rollout buffer of PPO and A2C, with the compiled advantages."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.buffers import RolloutBuffer

from fastpong import kernels
from fastpong.arrays import Array


class GaeRolloutBuffer(RolloutBuffer):  # type: ignore[misc]
    """Estimate advantages by ``kernels.gae``.

    PPO("CnnPolicy", env, rollout_buffer_class=GaeRolloutBuffer)

    The sums are of float64, rounded once. SB3's are of float32: the two differ by at most 4e-7 of
    the largest advantage.
    """

    def compute_returns_and_advantage(self, last_values: Any, dones: Array) -> None:
        """Write ``advantages`` and ``returns``.

        last_values : tensor (n_envs, 1) or (n_envs,), of the observations after the last step
        dones       : (n_envs,), whether the last step ended an episode
        """
        # SB3 marks the step after an episode's end, the kernel marks the end.
        ends = np.concatenate([self.episode_starts[1:], dones[None]]) != 0
        after = last_values.detach().cpu().numpy().ravel().astype(np.float32)
        kernels.gae(
            self.rewards, self.values, ends, after, self.gamma, self.gae_lambda, out=self.advantages
        )
        self.returns = self.advantages + self.values
