"""Plays an action for some frames on an Atari environment under a wrapper.

Three ways, the fastest that is right for what lies between the wrapper and the game:

    ConsoleDrive   nothing but checks, above fastpong's console: some frames in one call
    AleDrive       nothing but checks, above ale-py's: ALE itself, without the environment's picture
                   in colour of every frame
    StepDrive      anything else: ``env.step``, frame by frame. If no wrapper looks at observations,
                   the lowest one steps ALE or the console itself, and gets blank ones. That saves
                   the pictures and the checks
"""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Protocol

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.wrappers import (
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
)

from fastpong.arrays import Array
from fastpong.console.interface import Interface
from fastpong.wrappers.games import Env, Game, Info, Wrapper, game_of

Played = tuple[float, bool, bool, int]
"""Reward, terminated, truncated, frames played."""


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


_SB3 = "stable_baselines3.common."
CHECKS = {
    _name_of(OrderEnforcing),
    _name_of(PassiveEnvChecker),
    f"{_SB3}atari_wrappers.NoopResetEnv",
    "fastpong.wrappers.sb3.atari.NoopReset",
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


def drive_of(env: Env, life_loss: bool = False) -> Drive:
    """Return the fastest driver of an environment.

    life_loss : a lost life ends the episode

    Raises TypeError for an environment that is no Atari game.
    """
    game, between = game_of(env), _between(env)
    names = {_name_of(type(wrapper)) for wrapper in between}
    if not names <= BLIND or not _is_plain(game):
        return StepDrive(env, life_loss)
    if not names <= CHECKS:
        return StepDrive(env, life_loss, _lowest(between))
    if isinstance(game.ale, Interface):
        return ConsoleDrive(game, game.ale)
    return AleDrive(game, life_loss)


def _is_plain(game: Game) -> bool:
    """Return whether a step is one frame of one action, and shows a screen."""
    return getattr(game, "_frameskip", None) == 1 and not (
        getattr(game, "continuous", False) or getattr(game, "sound_obs", False)
    )


def _between(env: Env) -> list[Wrapper]:
    """Return the wrappers above a game, the lowest last."""
    found = []
    while isinstance(env, gym.Wrapper):
        found.append(env)
        env = env.env
    return found


def _lowest(between: list[Wrapper]) -> Wrapper:
    """Return the lowest wrapper that does something in ``step``."""
    return [wrapper for wrapper in between if _name_of(type(wrapper)) not in CHECKS][-1]


def need_reset() -> ResetNeeded:
    """Return the error of a step before the first reset."""
    return ResetNeeded("Cannot call env.step() before calling env.reset()")


class Rebuilt(gym.utils.RecordConstructorArgs):
    """Copy and pickle a wrapper by its constructor, as ``EzPickle`` does a game."""

    env: Env

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), **self._saved_kwargs), (self.env,)


class AleDrive:
    """Play on ``ale_py.ALEInterface``."""

    def __init__(self, game: Game, life_loss: bool) -> None:
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

    def __init__(self, game: Game, ale: Interface) -> None:
        self.lives = 0
        self._ale, self._actions = ale, game._action_set
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


class Frames(Wrapper):
    """Step a game frame by frame, with blank observations."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self._game = game = game_of(env)
        self._act, self._ale, self._actions = game.ale.act, game.ale, game._action_set
        # Two by turns: gymnasium's check warns of an array that comes twice in a row.
        shape = env.observation_space.shape or ()
        self._blank = cycle(np.zeros((2, *shape), np.uint8)).__next__

    def step(self, action: int) -> tuple[Array, float, bool, bool, Info]:
        """Play an action for a frame."""
        ale, reward = self._ale, float(self._act(self._actions[action]))
        ends = ale.game_over(with_truncation=False), ale.game_truncated()
        return self._blank(), reward, *ends, self._game._get_info()


class StepDrive:
    """Play by ``env.step``.

    lowest : the wrapper whose steps go to ``Frames``. None: observations are looked at
    """

    def __init__(
        self,
        env: Env,
        life_loss: bool,
        lowest: Wrapper | None = None,
    ) -> None:
        self.lives = 0
        self._env, self._life_loss, self._info = env, life_loss, Info()
        self._game, self._lowest = game_of(env), lowest
        self._frames = None if lowest is None else Frames(env.unwrapped)

    def info(self) -> Info:
        """Return the info of the last frame."""
        return self._info

    def play(self, action: int, count: int) -> Played:
        """Play an action for some frames, no longer than the episode."""
        lowest, frames = self._lowest, self._frames
        if lowest is None or frames is None:
            return self._play(action, count)
        below = lowest.env
        lowest.env = frames
        try:
            return self._play(action, count)
        finally:
            lowest.env = below

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
