"""The rollout buffer with compiled advantages, beside Stable-Baselines3's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch
from gymnasium import spaces
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import RolloutBuffer

from fastpong.wrappers.sb3 import GaeRolloutBuffer

# Of the largest advantage: SB3 adds up in float32.
CLOSE = 4e-7


def filled(kind: Any, n_envs: int, steps: int, gae_lambda: float, ends: float) -> Any:
    rng = np.random.default_rng(5)
    buffer = kind(
        steps, spaces.Box(-1, 1, (2,)), spaces.Discrete(2), "cpu", gae_lambda, 0.97, n_envs
    )
    starts = np.ones(n_envs, np.bool_)
    for _ in range(steps):
        values, log_probs = torch.from_numpy(rng.standard_normal((2, n_envs)).astype(np.float32))
        buffer.add(
            np.zeros((n_envs, 2)), np.zeros(n_envs), rng.standard_normal(n_envs), starts, values,
            log_probs,
        )  # fmt: skip
        starts = rng.random(n_envs) < ends
    last = torch.from_numpy(rng.standard_normal((n_envs, 1)).astype(np.float32))
    buffer.compute_returns_and_advantage(last, starts)
    return buffer


@pytest.mark.parametrize("ends", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("gae_lambda", [0.0, 0.95, 1.0])
@pytest.mark.parametrize("n_envs, steps", [(1, 1), (1, 60), (5, 40)])
def test_advantages_and_returns_are_sb3s(
    n_envs: int, steps: int, gae_lambda: float, ends: float
) -> None:
    theirs, ours = (
        filled(kind, n_envs, steps, gae_lambda, ends) for kind in (RolloutBuffer, GaeRolloutBuffer)
    )
    for name in ("advantages", "returns"):
        want, got = getattr(theirs, name), getattr(ours, name)
        assert got.dtype == want.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=0, atol=CLOSE * np.abs(want).max())


@pytest.mark.parametrize("kind", [PPO, A2C])
def test_algorithms_take_it_by_its_class(kind: Any) -> None:
    torch.set_num_threads(1)
    models = [
        kind("MlpPolicy", "CartPole-v1", seed=1, n_steps=64, device="cpu", **given).learn(128)
        for given in ({}, {"rollout_buffer_class": GaeRolloutBuffer})
    ]
    theirs, ours = (model.policy.state_dict() for model in models)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)
