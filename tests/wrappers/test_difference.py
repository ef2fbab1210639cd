"""DifferenceFrame: the oracle's difference of Pong's pictures."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from wrapped_games import make

from fastpong import oracle
from fastpong.geometry import PONG
from fastpong.wrappers import DifferenceFrame

SOURCES = [
    ("ALE/Pong-v5", "rgb"),
    ("ALE/Pong-v5", "grayscale"),
    ("fastpong/Pong-v5", "rgb"),
    ("fastpong/Pong-v5", "grayscale"),
    ("fastpong/Pong-v5", "palette"),
]


def frame_of(picture: Any) -> Any:
    out = np.zeros(PONG.pixels)
    oracle.preprocess_frame_rgb(picture, out)
    return out.reshape(80, 80)


@pytest.mark.parametrize("name, obs_type", SOURCES)
def test_it_is_the_oracles(name: str, obs_type: str) -> None:
    plain = gym.make("ALE/Pong-v5")
    env = DifferenceFrame(gym.make(name, obs_type=obs_type))
    before = frame_of(plain.reset(seed=4)[0])
    got, _ = env.reset(seed=4)
    assert not got.any() and got.shape == (80, 80) and got.dtype == np.float32
    rng, lit = np.random.default_rng(0), 0
    for _ in range(400):
        action = int(rng.integers(6))
        now = frame_of(plain.step(action)[0])
        got = env.step(action)[0]
        np.testing.assert_array_equal(got, now - before)
        before, lit = now, lit + np.count_nonzero(got)
    assert 4_000 < lit < 40_000
    assert not env.reset()[0].any()


@pytest.mark.parametrize("dtype", ["int8", "float64"])
def test_its_form(dtype: str) -> None:
    env = DifferenceFrame(make("fastpong/Pong", obs_type="palette"), flatten=True, dtype=dtype)
    env.reset(seed=1)
    for _ in range(80):
        observation = env.step(2)[0]
        assert env.observation_space.contains(observation)
    assert observation.shape == (6400,) and observation.dtype == dtype


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version")
def test_gymnasium_takes_it() -> None:
    env = DifferenceFrame(gym.make("fastpong/Pong-v5"), flatten=True)
    check_env(env, skip_render_check=True)
    assert env.spec is not None
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.observation_space == env.observation_space


def test_environments_and_dtypes_that_cannot_be() -> None:
    for env in (make("Pong", obs_type="ram"), make("KingKong"), gym.make("CartPole-v1")):
        with pytest.raises(ValueError, match=r"^env: expected observations of shape \(210, 160, 3"):
            DifferenceFrame(env)
    for dtype in ("uint8", "bool"):
        with pytest.raises(ValueError, match=r"^dtype: expected a signed or floating one"):
            DifferenceFrame(make("Pong"), dtype=dtype)
