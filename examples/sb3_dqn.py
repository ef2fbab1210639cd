"""Train DQN of Stable-Baselines3 with fastpong's frames and prioritised replay.

    python examples/sb3_dqn.py                       Pong on fastpong's console, 200,000 steps

SB3's own DQN samples uniformly. ``PrioritizedDQN`` adds weights and priorities to its update.
"""

from __future__ import annotations

import argparse
from typing import Any

from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecTransposeImage

from fastpong.wrappers.sb3 import AtariWrapper, PrioritizedDQN, PrioritizedReplayBuffer

ENV = "fastpong/PongNoFrameskip-v4"


def train(env: str, steps: int, size: int = 100_000, seed: int = 1, verbose: int = 1) -> Any:
    """Return the trained model. size: transitions in the buffer, 56 kB each."""
    games = make_vec_env(env, n_envs=4, seed=seed, wrapper_class=AtariWrapper)
    model = PrioritizedDQN(
        "CnnPolicy",
        VecTransposeImage(VecFrameStack(games, n_stack=4)),
        learning_rate=1e-4,
        buffer_size=size,
        learning_starts=min(10_000, steps // 2),
        batch_size=32,
        target_update_interval=1_000,
        exploration_final_eps=0.01,
        replay_buffer_class=PrioritizedReplayBuffer,
        replay_buffer_kwargs={"alpha": 0.6, "beta": 0.4},
        seed=seed,
        verbose=verbose,
    )
    return model.learn(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default=ENV)
    parser.add_argument("--steps", type=int, default=200_000)
    given = parser.parse_args()
    train(given.env, given.steps)


if __name__ == "__main__":
    main()
