"""The reference program's difference frame as an observation."""

from __future__ import annotations

from typing import SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import DTypeLike

from fastpong import kernels
from fastpong.arrays import Array
from fastpong.console.palette import greys_of, palette_of
from fastpong.geometry import BACKGROUND_REDS, PONG
from fastpong.wrappers.games import Env, Info, Options

BACKGROUNDS = [0, 34, 228]
"""Palette indices of Pong's backgrounds. Other colours of their reds may have a player's grey."""

SHAPE = (PONG.rows, PONG.columns)


class DifferenceFrame(gym.Wrapper[Array, int, Array, int], gym.utils.RecordConstructorArgs):
    """Observe where Pong's field has changed, as "Pong from Pixels" does.

    env     : Pong of ale_py or fastpong, of obs_type "rgb", "grayscale" or "palette". The last is
              the fastest and fastpong's own
    flatten : observations are (6400,), else (80, 80)
    dtype   : of the observations, float32 by default: -1, 0 and 1

    The field is thinned out to 80 x 80 pixels of 0, background, and 1. An observation is that frame
    less the one of the step before, and 0 on an episode's first step. Games of other backgrounds
    than Pong's are all foreground. Source: A. Karpathy, "Deep Reinforcement Learning: Pong from
    Pixels" (2016).

    Raises ValueError for an environment of other observations.
    """

    def __init__(self, env: Env, flatten: bool = False, dtype: DTypeLike = "float32") -> None:
        self._dtype = np.dtype(dtype)
        gym.utils.RecordConstructorArgs.__init__(self, flatten=flatten, dtype=self._dtype.name)
        gym.Wrapper.__init__(self, env)
        self._shape = (PONG.pixels,) if flatten else SHAPE
        if self._dtype.kind not in "fi":
            raise ValueError(f"dtype: expected a signed or floating one, got {self._dtype}")
        self._table = _table_of(env)
        self._frame, self._before = np.zeros((2, PONG.pixels), np.uint8)
        self.observation_space = Box(-1, 1, self._shape, self._dtype.type)

    def reset(
        self, *, seed: int | None = None, options: Options | None = None
    ) -> tuple[Array, Info]:
        """Begin an episode: no difference."""
        screen, info = self.env.reset(seed=seed, options=options)
        kernels.preprocess_frame(screen, self._table, out=self._frame)
        return np.zeros(self._shape, self._dtype), info

    def step(self, action: int) -> tuple[Array, SupportsFloat, bool, bool, Info]:
        """Play an action, return the difference."""
        screen, reward, terminated, truncated, info = self.env.step(action)
        self._frame, self._before = self._before, self._frame
        kernels.preprocess_frame(screen, self._table, out=self._frame)
        difference = kernels.difference_frame(self._frame, self._before)
        observation = difference.astype(self._dtype).reshape(self._shape)
        return observation, reward, terminated, truncated, info


def _table_of(env: Env) -> Array | None:
    """Return 0 or 1 for every value of a pixel. None: pixels are colours."""
    shape = env.observation_space.shape
    if shape == (*PONG.screen, 3):
        return None
    kind = getattr(env.unwrapped, "_obs_type", None)
    if shape != PONG.screen or kind not in ("grayscale", "palette"):
        raise ValueError(
            f"env: expected observations of shape {(*PONG.screen, 3)}, or {PONG.screen} of "
            f"obs_type grayscale or palette, got {shape} of {kind}"
        )
    table = np.ones(256, np.uint8)
    if kind == "palette":
        table[np.isin(palette_of(PONG.screen[0])[:, 0], BACKGROUND_REDS)] = 0
    else:
        table[greys_of(PONG.screen[0])[BACKGROUNDS, 0]] = 0
    return table
