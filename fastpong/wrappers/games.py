"""Types of the Atari environments under a wrapper, of ale_py or fastpong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

import gymnasium as gym

from fastpong.arrays import Array

Env: TypeAlias = gym.Env[Any, Any]
Wrapper: TypeAlias = gym.Wrapper[Any, Any, Any, Any]
Info: TypeAlias = dict[str, Any]
Options: TypeAlias = dict[str, Any]
"""Of ``reset``. Gymnasium leaves open what they hold."""


class Ale(Protocol):
    """Type what plays: the methods that ALEInterface and fastpong's Interface share."""

    # ruff: noqa: D102
    def act(self, action: int) -> float: ...
    def game_over(self, *, with_truncation: bool = ...) -> bool: ...
    def game_truncated(self) -> bool: ...
    def lives(self) -> int: ...
    def getScreenDims(self) -> tuple[int, int]: ...
    def getScreen(self, out: Array = ...) -> Array: ...
    def getScreenRGB(self, out: Array = ...) -> Array: ...
    def getScreenGrayscale(self, out: Array = ...) -> Array: ...


class Game(Protocol):
    """Type the environment itself: AtariEnv of ale_py, or ConsoleEnv."""

    ale: Ale
    _action_set: Sequence[int]
    _get_info: Callable[[], Info]

    def get_action_meanings(self) -> Sequence[str]: ...


def game_of(env: Env) -> Game:
    """Return the environment itself.

    Raises TypeError for an environment that is no Atari game.
    """
    game = env.unwrapped
    if not hasattr(getattr(game, "ale", None), "getScreen"):
        raise TypeError(
            f"env: expected an Atari environment, of ale_py or fastpong, got {type(game).__name__}"
        )
    return cast(Game, game)
