"""MaxAndSkipFrame: what SB3's and CleanRL's wrappers have returned once, to the last byte."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from sb3_golden import GAMES, GOLDEN, LIMIT, game, play
from wrapped_games import make

from fastpong.wrappers import MaxAndSkipFrame


@pytest.mark.parametrize("compat", ["sb3", "cleanrl"])
@pytest.mark.parametrize("name", GAMES)
def test_it_is_the_original(name: str, compat: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert play(MaxAndSkipFrame(game(name), compat=compat)) == golden[name][compat]


@pytest.mark.parametrize("compat", ["sb3", "cleanrl"])
def test_it_is_the_same_on_the_console(compat: str) -> None:
    options = {"max_num_frames_per_episode": LIMIT}
    env = MaxAndSkipFrame(make("fastpong/Pong", **options), compat=compat)
    assert play(env) == json.loads(GOLDEN.read_text())["Pong"][compat]


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
def test_gymnasiums_check_passes() -> None:
    check_env(MaxAndSkipFrame(make("fastpong/Pong")), skip_render_check=True)


def test_its_form() -> None:
    for arguments, shape in (
        ({"screen_size": 40}, (40, 40, 1)),
        ({"compat": "cleanrl", "skip": 1}, (84, 84)),
    ):
        env = MaxAndSkipFrame(make("fastpong/Pong"), **arguments)  # type: ignore[arg-type]
        assert env.observation_space == gym.spaces.Box(0, 255, shape, np.uint8)
        assert env.observation_space.contains(env.reset()[0])
        assert env.observation_space.contains(env.step(0)[0])
        assert env.spec is not None
        assert gym.make(env.spec).observation_space == env.observation_space


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"skip": 0}, "skip: expected an integer of 1 or more, got 0"),
        ({"skip": 4.0}, "skip: expected an integer of 1 or more, got 4.0"),
        ({"screen_size": 0}, "screen_size: expected an integer of 1 or more, got 0"),
        ({"screen_size": (84, 84)}, "screen_size: expected an integer"),
        ({"compat": "gymnasium"}, "compat: expected 'sb3' or 'cleanrl', got 'gymnasium'"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        MaxAndSkipFrame(make("fastpong/Pong"), **arguments)
    with pytest.raises(gym.error.ResetNeeded):
        MaxAndSkipFrame(make("fastpong/Pong")).step(0)
