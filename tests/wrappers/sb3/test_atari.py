"""The twin of SB3's AtariWrapper beside it: all that both return, to the last byte."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from wrapped_games import RALLIES, assert_alike, make

pytest.importorskip("stable_baselines3")
pytest.importorskip("cv2")

from stable_baselines3 import PPO
from stable_baselines3.common import atari_wrappers as sb3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor

from fastpong.wrappers import MaxAndSkipFrame, drive
from fastpong.wrappers.sb3 import AtariWrapper


def drive_in(env: Any) -> Any:
    while not isinstance(env, MaxAndSkipFrame):
        env = env.env
    return env._drive


@pytest.mark.parametrize("monitored", [False, True])
@pytest.mark.parametrize("game", ["Breakout", "Seaquest", "Qbert", "MsPacman", "AirRaid"])
def test_it_is_sb3s(game: str, monitored: bool) -> None:
    """With fire at the start and without it, with lives and without them."""
    theirs, ours = (
        kind(Monitor(make(game)) if monitored else make(game))
        for kind in (sb3.AtariWrapper, AtariWrapper)
    )
    assert isinstance(ours, sb3.AtariWrapper)
    assert type(drive_in(ours)) is (drive.StepDrive if monitored else drive.AleDrive)
    assert assert_alike(theirs, ours, 700, after_ends=0) >= (game != "AirRaid")


@pytest.mark.parametrize(
    "arguments",
    [
        {"terminal_on_life_loss": False},
        {"frame_skip": 1, "screen_size": 64},
        {"frame_skip": 2, "clip_reward": False},
        {"frame_skip": 3, "action_repeat_probability": 0.3},
        {"noop_max": 0},
    ],
    ids=str,
)
def test_with_any_arguments(arguments: dict[str, Any]) -> None:
    theirs, ours = (
        kind(make("Breakout"), **arguments) for kind in (sb3.AtariWrapper, AtariWrapper)
    )
    assert_alike(theirs, ours, 500, after_ends=0)


@pytest.mark.parametrize("sticky", [0.0, 0.25])
@pytest.mark.parametrize("kind", [AtariWrapper, sb3.AtariWrapper])
def test_on_the_console_it_is_sb3s_on_ale(kind: Any, sticky: float) -> None:
    """And SB3's own is the same on the console, too."""
    options = {"repeat_action_probability": sticky, "max_num_frames_per_episode": RALLIES}
    theirs = sb3.AtariWrapper(Monitor(make("Pong", **options)))
    ours = kind(Monitor(make("fastpong/Pong", **options)))
    assert assert_alike(theirs, ours, 800, after_ends=0) >= 1


def test_an_agent_learns_the_same_with_it() -> None:
    """Two updates of SB3's PPO: the same weights."""
    weights = []
    for kind in (sb3.AtariWrapper, AtariWrapper):
        envs = make_vec_env("BreakoutNoFrameskip-v4", n_envs=2, seed=1, wrapper_class=kind)
        model = PPO("CnnPolicy", envs, n_steps=16, batch_size=16, n_epochs=1, seed=1, device="cpu")
        model.learn(64)
        weights.append(model.policy.state_dict())
        envs.close()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_copies_begin_anew() -> None:
    env = AtariWrapper(make("Breakout"))
    again = copy.deepcopy(env)
    assert again.unwrapped.ale is not env.unwrapped.ale
    np.testing.assert_array_equal(again.reset(seed=5)[0], env.reset(seed=5)[0])


def test_environments_that_cannot_be() -> None:
    with pytest.raises(TypeError, match=r"^env: expected an Atari environment.*got CartPoleEnv"):
        AtariWrapper(Named(gym.make("CartPole-v1").unwrapped), noop_max=0)


class Named(gym.Wrapper):  # type: ignore[type-arg]
    """Any environment with names for its actions."""

    def __init__(self, env: Any) -> None:
        env.get_action_meanings = lambda: ["NOOP", "FIRE"]
        super().__init__(env)
