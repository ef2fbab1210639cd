"""Two environments of one game, played side by side."""

from __future__ import annotations

from typing import Any

import ale_py
import gymnasium as gym
import numpy as np

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

RALLIES = 2003
"""Frames of an episode of Pong that is cut off in the third frame of four."""


def make(game: str, **arguments: Any) -> Any:
    """Return a game that plays one frame an action, "fastpong/Pong" for the console's."""
    name = game if "/" in game else f"ALE/{game}"
    return gym.make(f"{name}-v5", frameskip=1, **arguments)


def assert_alike(one: Any, two: Any, steps: int, seed: int = 3, after_ends: int = 2) -> int:
    """Play both with the same actions, compare all that they return, return the ends.

    after_ends : steps that some episodes are played on for after their end
    """
    rng, ends = np.random.default_rng(seed), 0
    assert one.observation_space == two.observation_space
    assert one.action_space == two.action_space
    _same_reset(one.reset(seed=seed), two.reset(seed=seed))
    for _ in range(steps):
        action = int(rng.integers(one.action_space.n))
        result = one.step(action)
        _same_step(two.step(action), result)
        if result[2] or result[3]:
            ends += 1
            for _ in range(after_ends * (ends % 3 == 1)):
                _same_step(two.step(action), one.step(action))
            again = {"seed": seed + 1} if ends == 2 else {}
            _same_reset(one.reset(**again), two.reset(**again))
    return ends


def _same_reset(got: Any, want: Any) -> None:
    _same_observation(got[0], want[0])
    assert got[1] == want[1]


def _same_step(got: Any, want: Any) -> None:
    _same_observation(got[0], want[0])
    assert got[1:4] == want[1:4]
    assert [type(part) for part in got[1:4]] == [type(part) for part in want[1:4]]
    infos = [dict(part[4]) for part in (got, want)]
    for info in infos:
        if "episode" in info:
            info["episode"] = {k: v for k, v in info["episode"].items() if k != "t"}
    assert infos[0] == infos[1]


def _same_observation(got: Any, want: Any) -> None:
    np.testing.assert_array_equal(got, want, strict=True)
