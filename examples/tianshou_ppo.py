"""Train PPO of Tianshou with fastpong's advantages.

    python examples/tianshou_ppo.py                  CartPole, 20,000 steps

One method changes. Tianshou marks ends by flags and keeps the value of every next observation, so
nothing has to be shifted: its flags are the kernel's.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from tianshou.algorithm import PPO
from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, CollectStats, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OnPolicyTrainerParams
from tianshou.utils.net.common import Net
from tianshou.utils.net.discrete import DiscreteActor, DiscreteCritic

from fastpong import kernels


class FastPPO(PPO):
    """PPO whose advantages are computed by ``kernels.gae``."""

    @staticmethod
    def compute_episodic_return(
        batch: Any, buffer: Any, indices: Any, v_s_: Any = None, v_s: Any = None,
        gamma: float = 0.99, gae_lambda: float = 0.95,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Return (returns, advantages), as Tianshou's method does."""
        rewards = np.asarray(batch.rew, np.float64)
        values, next_values = (np.asarray(v, np.float64).ravel() for v in (v_s, v_s_))
        # The last step of a game that goes on is cut there, as a truncated one is.
        cut = np.logical_or(batch.truncated, np.isin(indices, buffer.unfinished_index()))
        advantages = kernels.gae(
            rewards, values, batch.terminated, 0.0, gamma, gae_lambda,
            truncated=cut, next_values=next_values,
        )  # fmt: skip
        return advantages + values, advantages


def make_algorithm(kind: type[PPO], env: gym.Env) -> PPO:
    """Return PPO with two small networks."""
    shape, actions = env.observation_space.shape, int(env.action_space.n)
    body = Net(state_shape=shape, hidden_sizes=[64, 64])
    actor = DiscreteActor(preprocess_net=body, action_shape=actions, softmax_output=False)
    policy = ProbabilisticActorPolicy(
        actor=actor,
        dist_fn=lambda logits: torch.distributions.Categorical(logits=logits),
        action_space=env.action_space,
        action_scaling=False,
        action_bound_method=None,
    )
    critic = DiscreteCritic(preprocess_net=Net(state_shape=shape, hidden_sizes=[64, 64]))
    return kind(policy=policy, critic=critic, optim=AdamOptimizerFactory(lr=3e-4))


def train(kind: type[PPO] = FastPPO, epochs: int = 10, seed: int = 1) -> PPO:
    """Return the trained algorithm."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 Tianshou draws from it
    games = DummyVectorEnv([lambda: gym.make("CartPole-v1") for _ in range(4)])
    games.seed(seed)
    algorithm = make_algorithm(kind, gym.make("CartPole-v1"))
    collector = Collector[CollectStats](algorithm, games, VectorReplayBuffer(8_000, 4))
    algorithm.run_training(
        OnPolicyTrainerParams(
            training_collector=collector,
            test_collector=None,
            max_epochs=epochs,
            epoch_num_steps=2_000,
            collection_step_num_env_steps=2_000,
            update_step_num_repetitions=4,
            batch_size=256,
        )
    )
    return algorithm


if __name__ == "__main__":
    train()
