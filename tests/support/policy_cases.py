"""Agents with random weights, and gymnasium's own Pong for them."""

from __future__ import annotations

from typing import Any

import ale_py
import gymnasium
import numpy as np
from training_cases import stages_of

from fastpong.agents.protocol import Chance
from fastpong.api.policy import Policy
from fastpong.envs.draws import EVAL, Draw, uniforms
from fastpong.training.evaluation import Player

ENV = "PongDeterministic-v4"
SEED = 7
SMALL = {"hidden": 8, "n_envs": 2, "n_steps": 16}
DQN = SMALL | {"frame_history": 2, "last_action": True, "eval_eps": 0.2}
FINER = {"from_step": 64, "frame_skip": 2}
AGENTS: dict[str, dict[str, Any]] = {
    "karpathy": {"agent": "karpathy", "hidden": 8},
    "keras": {"agent": "keras"},
    "ppo": {"agent": "ppo", **SMALL},
    "dqn": {"agent": "dqn", **DQN},
    "dqn, finer": {"agent": "dqn", **DQN, "stages": [FINER]},
}
"""Settings by name. The last one compares screens two steps apart."""


def make_player(name: str, greedy: bool = False, env: str = ENV) -> Player:
    stages = tuple(stages_of(**AGENTS[name], env=env))
    return Player(env, stages, len(stages) - 1, "cython", "float32", SEED, greedy, "console")


def random_parameters(player: Player) -> dict[str, Any]:
    """Return weights that do choose: initial ones are nearly indifferent."""
    rng = np.random.default_rng(1)
    shapes = player.plan().stages[player.stage].spec.shapes
    return {n: rng.normal(0, 0.3, shape).astype(np.float32) for n, shape in shapes.items()}


def make_policy(name: str, **options: Any) -> Policy:
    player = make_player(name)
    return Policy(player, random_parameters(player), **options)


def make_env(**changes: Any) -> Any:
    """Return gymnasium's Pong without sticky actions."""
    gymnasium.register_envs(ale_py)
    kwargs = {"id": "ALE/Pong-v5", "frameskip": 4, "repeat_action_probability": 0.0}
    return gymnasium.make(**kwargs | changes)


def worker_plays(player: Player, parameters: dict[str, Any], number: int) -> tuple[float, int]:
    """Return the score and the steps of one episode as a worker plays it."""
    planned = player.plan().stages[player.stage]
    chance = Chance(player.seed, EVAL, player.greedy)
    result: Any = planned.spec.actor(planned, chance).play(number, parameters)
    return result.score, result.length


def begin(env: Any, player: Player, number: int) -> tuple[Any, Draw]:
    """Begin an episode as a worker does, and return its first screen and what is left to draw."""
    observation, _ = env.reset(seed=0)
    draw = uniforms(player.seed, EVAL, number)
    most = getattr(player.stages[0].settings, "noop_max", 0)
    frames = int(draw() * (most + 1)) if most else 0
    for _ in range(frames):
        env.unwrapped.ale.act(0)
    return (env.unwrapped._get_obs() if frames else observation), draw


def screens(count: int, obs_type: str = "rgb") -> list[Any]:
    """Return screens of a game of random actions."""
    env = make_env(obs_type=obs_type)
    observation, _ = env.reset(seed=0)
    rng, found = np.random.default_rng(0), [observation]
    while len(found) < count:
        observation, _, _, _, _ = env.step(int(rng.integers(6)))
        found.append(observation)
    return found
