"""Plays an action for some frames on an Atari environment under a wrapper.

Three ways, the fastest that is right for what lies between the wrapper and the game:

    ConsoleDrive   nothing but checks, above fastpong's console: some frames in one call
    AleDrive       nothing but checks, above ale-py's: ALE itself, without the environment's picture
                   in colour of every frame
    StepDrive      anything else: ``env.step``, frame by frame. Wrappers that are known not to look
                   at observations are given blank ones, which saves the pictures too
"""

from __future__ import annotations

from itertools import cycle
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.wrappers import (
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
)

from fastpong.console.interface import Interface

Info = dict[str, Any]
Played = tuple[float, bool, bool, int]
"""Reward, terminated, truncated, frames played."""


def _name_of(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_SB3 = "stable_baselines3.common."
CHECKS = {
    _name_of(OrderEnforcing),
    _name_of(PassiveEnvChecker),
    f"{_SB3}atari_wrappers.NoopResetEnv",
}
"""Wrappers that do nothing in ``step`` but check. SB3's by name: it need not be installed."""
BLIND = CHECKS | {
    _name_of(TimeLimit),
    _name_of(RecordEpisodeStatistics),
    f"{_SB3}atari_wrappers.StickyActionEnv",
    f"{_SB3}monitor.Monitor",
}
"""Wrappers that do not look at observations in ``step``."""


class Drive(Protocol):
    """Play frames.

    lives : before the next frame. A driver that ends episodes with lives compares with it
    """

    lives: int

    def play(self, action: int, count: int) -> Played:
        """Play an action for some frames, no longer than the episode."""

    def info(self) -> Info:
        """Return the info of the last frame."""


def drive_of(env: gym.Env[Any, Any], life_loss: bool = False) -> Drive:
    """Return the fastest driver of an environment.

    life_loss : a lost life ends the episode

    Raises TypeError for an environment that is no Atari game.
    """
    game: Any = env.unwrapped
    if not hasattr(game, "ale") or not hasattr(game.ale, "getScreen"):
        raise TypeError(
            f"env: expected an Atari environment, of ale_py or fastpong, got {type(game).__name__}"
        )
    between = _between(env)
    plain = getattr(game, "_frameskip", None) == 1 and not getattr(game, "continuous", False)
    if not plain or getattr(game, "sound_obs", False) or not between <= CHECKS:
        return StepDrive(env, life_loss, quiet=between <= BLIND)
    if isinstance(game.ale, Interface):
        return ConsoleDrive(game)
    return AleDrive(game, life_loss)


def _between(env: gym.Env[Any, Any]) -> set[str]:
    """Return the names of the wrappers above a game."""
    found = set()
    while isinstance(env, gym.Wrapper):
        found.add(_name_of(type(env)))
        env = env.env
    return found


def need_reset() -> ResetNeeded:
    """Return the error of a step before the first reset."""
    return ResetNeeded("Cannot call env.step() before calling env.reset()")


class AleDrive:
    """Play on ``ale_py.ALEInterface``."""

    def __init__(self, game: Any, life_loss: bool) -> None:
        self.lives = 0
        self._game, self._ale, self._life_loss = game, game.ale, life_loss
        self._actions = game._action_set
        self.info = game._get_info

    def play(self, action: int, count: int) -> Played:
        """Play an action for some frames, no longer than the episode."""
        ale, number, reward = self._ale, self._actions[action], 0.0
        act, over, life_loss = ale.act, ale.game_over, self._life_loss
        for frame in range(count):
            reward += act(number)
            lost = life_loss and self._has_lost()
            if over() or lost:
                terminated = lost or ale.game_over(with_truncation=False)
                return reward, terminated, ale.game_truncated(), frame + 1
        return reward, False, False, count

    def _has_lost(self) -> bool:
        """Return whether a life was lost in this frame."""
        before, self.lives = self.lives, self._ale.lives()
        return self.lives < before


class ConsoleDrive:
    """Play on fastpong's console, which has games without lives only."""

    def __init__(self, game: Any) -> None:
        self.lives = 0
        self._ale, self._actions = game.ale, game._action_set
        self.info = game._get_info

    def play(self, action: int, count: int) -> Played:
        """Play an action for some frames, no longer than the episode."""
        ale = self._ale
        reward, played = ale.play(self._actions[action], count)
        if ale.game_over():
            if not played:  # over before: ALE plays nothing, but it draws for the frame
                ale.skip(1)
            played = max(played, 1)
            return reward, ale.game_over(with_truncation=False), ale.game_truncated(), played
        return reward, False, False, played


class StepDrive:
    """Play by ``env.step``.

    quiet : nobody looks at the observations
    """

    def __init__(self, env: gym.Env[Any, Any], life_loss: bool, quiet: bool) -> None:
        self.lives = 0
        self._env, self._life_loss, self._info = env, life_loss, Info()
        self._game: Any = env.unwrapped
        self._quiet = quiet and hasattr(self._game, "_get_obs")
        # Two by turns: gymnasium's check warns of an array that comes twice in a row.
        shape = self._game.observation_space.shape or ()
        self._blank = cycle(np.zeros((2, *shape), np.uint8)).__next__

    def info(self) -> Info:
        """Return the info of the last frame."""
        return self._info

    def play(self, action: int, count: int) -> Played:
        """Play an action for some frames, no longer than the episode."""
        if not self._quiet:
            return self._play(action, count)
        self._game._get_obs = self._blank
        try:
            return self._play(action, count)
        finally:
            del self._game._get_obs

    def _play(self, action: int, count: int) -> Played:
        total = 0.0
        for frame in range(count):
            _, reward, terminated, truncated, self._info = self._env.step(action)
            total += float(reward)
            if self._life_loss:
                lives = self._game.ale.lives()
                terminated = terminated or lives < self.lives
                self.lives = lives
            if terminated or truncated:
                return total, terminated, truncated, frame + 1
        return total, False, False, count
