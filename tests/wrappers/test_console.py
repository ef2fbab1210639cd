"""The console's environment beside ale-py's AtariEnv: all that both return and draw."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from wrapped_games import assert_alike

import fastpong.wrappers
from fastpong.console.cartridge import EmulatorError
from fastpong.console.interface import ACTION_MEANINGS, Interface
from fastpong.envs.choice import load_machine
from fastpong.wrappers import ConsoleEnv


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"frameskip": 1, "full_action_space": True, "obs_type": "grayscale"},
        {"frameskip": (2, 5), "repeat_action_probability": 0.5, "obs_type": "ram"},
        {"frameskip": 3, "repeat_action_probability": 1.0},
        {"repeat_action_probability": 0.0},
    ],
    ids=str,
)
def test_it_is_atari_env(arguments: dict[str, Any], seed: int) -> None:
    """Sticky actions, drawn frame skips, ends, seeds and steps after an end."""
    options = {"max_num_frames_per_episode": 1501, **arguments}
    theirs, ours = (gym.make(f"{name}/Pong-v5", **options) for name in ("ALE", "fastpong"))
    assert theirs.unwrapped.get_action_meanings() == ours.unwrapped.get_action_meanings()
    assert assert_alike(theirs, ours, 1600, seed) >= 1


def test_whole_games_are_atari_envs() -> None:
    theirs, ours = (gym.make(f"{name}/Pong-v5") for name in ("ALE", "fastpong"))
    assert assert_alike(theirs, ours, 2600) >= 2


def test_palette_screens_are_ales() -> None:
    theirs = gym.make("ALE/Pong-v5", frameskip=2)
    ours = gym.make("fastpong/Pong-v5", frameskip=2, obs_type="palette")
    theirs.reset(seed=1)
    screen, _ = ours.reset(seed=1)
    for step in range(200):
        np.testing.assert_array_equal(screen, theirs.unwrapped.ale.getScreen())
        assert ours.observation_space.contains(screen)
        theirs.step(step % 6)
        screen = ours.step(step % 6)[0]


def test_the_interface_is_ales() -> None:
    """Those methods of ALEInterface that wrappers call, with their ways to write."""
    theirs, ours = (gym.make(f"{name}/Pong-v5").unwrapped for name in ("ALE", "fastpong"))
    for env in (theirs, ours):
        env.reset(seed=3)
        for action in (1, 2, 3) * 20:
            env.step(action)
    one, two = theirs.ale, ours.ale
    for name in ("getScreen", "getScreenRGB", "getScreenGrayscale", "getRAM"):
        want = getattr(one, name)()
        np.testing.assert_array_equal(getattr(two, name)(), want, strict=True)
        out = np.zeros_like(want)
        assert getattr(two, name)(out) is out
        np.testing.assert_array_equal(out, want)
    assert two.getScreenDims() == one.getScreenDims() and two.getRAMSize() == one.getRAMSize()
    assert two.lives() == one.lives() and two.game_over() == one.game_over()
    for name in ("getMinimalActionSet", "getLegalActionSet"):
        assert getattr(two, name)() == [action.value for action in getattr(one, name)()]
    assert [two.act(3) for _ in range(99)] == [one.act(3) for _ in range(99)]
    np.testing.assert_array_equal(two.getRAM(), one.getRAM())
    assert len(ACTION_MEANINGS) == 18


def test_gymnasiums_check_passes() -> None:
    for name in ("fastpong/Pong-v5", "fastpong/PongNoFrameskip-v4"):
        check_env(gym.make(name, render_mode="rgb_array").unwrapped)


def test_it_renders_and_is_pickled() -> None:
    env = ConsoleEnv(render_mode="rgb_array", frameskip=2)
    observation, _ = env.reset(seed=1)
    np.testing.assert_array_equal(env.render(), observation)
    assert ConsoleEnv().render() is None
    again = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(again.reset(seed=1)[0], observation)
    assert again._frameskip == 2


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"game": "breakout"}, EmulatorError, "emulator: expected a game that the console plays"),
        ({"game": "pnog"}, EmulatorError, "unknown game 'pnog'"),
        ({"obs_type": "RGB"}, ValueError, "obs_type: expected one of rgb, grayscale"),
        ({"render_mode": "human"}, ValueError, "render_mode: expected 'rgb_array' or None"),
        ({"frameskip": 0}, ValueError, "frameskip: expected 1 or more"),
        ({"frameskip": (3, 3)}, ValueError, "frameskip: expected 1 or more"),
        ({"frameskip": (0, 3)}, ValueError, "frameskip: expected 1 or more"),
        ({"frameskip": (1, 2, 3)}, TypeError, "frameskip: expected an integer"),
        ({"frameskip": 4.0}, TypeError, "frameskip: expected an integer"),
        ({"repeat_action_probability": 1.5}, ValueError, "repeat_action_probability: expected"),
    ],
)
def test_arguments_that_cannot_be(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}"):
        ConsoleEnv(**arguments)


def test_paddles_have_no_strength() -> None:
    ale = Interface(load_machine("pong", "console", 1000))
    with pytest.raises(ValueError, match=r"^paddle_strength: expected 1, got 0.5"):
        ale.act(0, 0.5)


def test_wrappers_are_all_there() -> None:
    names = ("AtariFrame", "ConsoleEnv", "DifferenceFrame", "MaxAndSkipFrame")
    assert all(hasattr(fastpong.wrappers, name) for name in names)
