"""Train PPO of Stable-Baselines3 with fastpong's frames and advantages.

    python examples/sb3_ppo.py                       Breakout, 100,000 steps
    python examples/sb3_ppo.py --plain               the same with SB3's own, to compare
    python examples/sb3_ppo.py --env fastpong/PongNoFrameskip-v4

Two lines change: the wrapper and the rollout buffer. Observations are the same to the last byte,
and advantages to the rounding of float32.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import ale_py
import gymnasium as gym
from stable_baselines3 import PPO
from stable_baselines3.common.atari_wrappers import AtariWrapper as PlainWrapper
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecTransposeImage

from fastpong.wrappers.sb3 import AtariWrapper, GaeRolloutBuffer

gym.register_envs(ale_py)


def train(env: str, steps: int, plain: bool = False, seed: int = 1, verbose: int = 1) -> Any:
    """Return the trained model."""
    wrapper = PlainWrapper if plain else AtariWrapper
    games = make_vec_env(env, n_envs=8, seed=seed, wrapper_class=wrapper)
    model = PPO(
        "CnnPolicy",
        VecTransposeImage(VecFrameStack(games, n_stack=4)),
        n_steps=128,
        batch_size=256,
        n_epochs=4,
        learning_rate=2.5e-4,
        clip_range=0.1,
        ent_coef=0.01,
        rollout_buffer_class=RolloutBuffer if plain else GaeRolloutBuffer,
        seed=seed,
        verbose=verbose,
    )
    return model.learn(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="BreakoutNoFrameskip-v4")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    start = time.perf_counter()
    train(given.env, given.steps, given.plain)
    print(f"{given.steps / (time.perf_counter() - start):,.0f} steps a second")


if __name__ == "__main__":
    main()
