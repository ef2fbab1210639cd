"""Environments that are stepped: preprocessed Atari games, one or eight at once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from itertools import cycle
from typing import Any

import ale_py
import gymnasium as gym
import numpy as np
from gymnasium.wrappers import AtariPreprocessing
from shared import load

import fastpong.wrappers
from fastpong import kernels
from fastpong.wrappers import AtariFrame

Step = Callable[[], object]

HAS_SB3 = importlib.util.find_spec("stable_baselines3") is not None
HAS_ENVPOOL = importlib.util.find_spec("envpool") is not None
GAMES = ("Pong", "Breakout", "SpaceInvaders", "Seaquest", "Qbert", "BeamRider")
N_ENVS, SKIP, SEED = 8, 4, 1
assert fastpong.wrappers  # registers the console's games

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)


def console_is_compiled() -> None:
    """Wait until the console runs machine code."""
    from fastpong.console.cartridge import load_rom
    from fastpong.console.machine import Cartridge
    from fastpong.console.translate.translation import attach

    attach(Cartridge(load_rom("pong")), background=False)


def plain(game: str) -> Any:
    """Return a game of ale_py, or of the console as "fastpong/Pong"."""
    name = game if "/" in game else f"ALE/{game}"
    return gym.make(f"{name}-v5", frameskip=1, repeat_action_probability=0.0)


def single(game: str) -> dict[str, Any]:
    """Return the same game in several wrappers."""
    envs = {
        "AtariPreprocessing": AtariPreprocessing(plain(game)),
        "AtariFrame": AtariFrame(plain(game)),
    }
    if game == "Pong":
        envs["AtariFrame, console"] = AtariFrame(plain("fastpong/Pong"))
    return envs | (_sb3(game) if HAS_SB3 else {})


def _sb3(game: str) -> dict[str, Any]:
    """Return SB3's wrapper and its twin, as ``make_vec_env`` of SB3 stacks them."""
    from stable_baselines3.common.atari_wrappers import AtariWrapper as Theirs
    from stable_baselines3.common.monitor import Monitor

    from fastpong.wrappers.sb3 import AtariWrapper

    envs = {
        "SB3's AtariWrapper": Theirs(Monitor(plain(game))),
        "twin of AtariWrapper": AtariWrapper(Monitor(plain(game))),
    }
    if game == "Pong":
        envs["twin of AtariWrapper, console"] = AtariWrapper(Monitor(plain("fastpong/Pong")))
    return envs


PAIRS = (("AtariPreprocessing", "AtariFrame"), ("SB3's AtariWrapper", "twin of AtariWrapper"))
"""Theirs and ours."""
ON_CONSOLE = ", console"


def check(game: str, steps: int = 150) -> None:
    """Raise AssertionError unless theirs and ours return the same."""
    alike = load("wrapped_games").assert_alike
    for theirs, ours in PAIRS:
        for name in (ours, ours + ON_CONSOLE):
            envs = single(game)  # fresh ones: SB3's wrapper goes on where an episode is not over
            if name in envs:
                alike(envs[theirs], envs[name], steps, after_ends=0)


def stepper(env: Any) -> Step:
    """Return a function that plays a step at random, and resets at an end."""
    env.reset(seed=SEED)
    actions = cycle(np.random.default_rng(SEED).integers(env.action_space.n, size=4096).tolist())

    def step() -> None:
        _, _, terminated, truncated, _ = env.step(next(actions))
        if terminated or truncated:
            env.reset()

    return step


def bare(game: str) -> Step:
    """Return a function that plays a step on ALE itself and looks at nothing."""
    env = plain(game)
    env.reset(seed=SEED)
    ale, numbers = env.unwrapped.ale, env.unwrapped._action_set
    drawn = np.random.default_rng(SEED).integers(len(numbers), size=4096)
    actions = cycle([numbers[k] for k in drawn])

    def step() -> None:
        action = next(actions)
        for _ in range(SKIP):
            ale.act(action)
        if ale.game_over():
            ale.reset_game()

    return step


def many(game: str) -> dict[str, Step]:
    """Return functions that play a step in each of eight environments, with stacks of four."""
    runs = {"AtariFrame under make_vec": _stacked(_vec(f"ALE/{game}-v5"))}
    runs["AtariVectorEnv"] = _vector(
        gym.make_vec(
            f"ALE/{game}-v5", N_ENVS, "vector_entry_point", repeat_action_probability=0.0,
            num_threads=1, noop_max=30, reward_clipping=False, use_fire_reset=False,
        )
    )  # fmt: skip
    if game == "Pong":
        runs["AtariFrame under make_vec, console"] = _stacked(_vec("fastpong/Pong-v5"))
    if HAS_ENVPOOL:
        import envpool

        pool = envpool.make(
            f"{game}-v5", env_type="gymnasium", num_envs=N_ENVS, num_threads=1, seed=SEED,
            stack_num=4, episodic_life=False, reward_clip=False, noop_max=30,
        )  # fmt: skip
        runs["EnvPool"] = _vector(pool)
    return runs


def _vec(name: str) -> Any:
    return gym.make_vec(
        name, N_ENVS, "sync", wrappers=[AtariFrame], frameskip=1, repeat_action_probability=0.0
    )


def _actions(envs: Any) -> Any:
    """Return an endless source of actions of all environments."""
    space = getattr(envs, "single_action_space", envs.action_space)
    drawn = np.random.default_rng(SEED).integers(space.n, size=(512, N_ENVS), dtype=np.int32)
    return cycle(drawn)


def _vector(envs: Any) -> Step:
    """Return a step of environments that stack frames themselves."""
    envs.reset()
    actions = _actions(envs)
    return lambda: envs.step(next(actions))


def _stacked(envs: Any) -> Step:
    """Return a step with the frames stacked by our kernel."""
    frames, _ = envs.reset(seed=SEED)
    stacks, fresh = np.zeros((N_ENVS, 4, 84, 84), np.uint8), np.ones(N_ENVS, np.bool_)
    kernels.frame_stack_push(stacks, frames, fresh)
    actions = _actions(envs)

    def step() -> None:
        nonlocal fresh
        frames, _, terminated, truncated, _ = envs.step(next(actions))
        kernels.frame_stack_push(stacks, frames, fresh)
        fresh = terminated | truncated

    return step
