"""A trained agent as a policy in a loop of somebody else's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastpong.acting.screens import ScreenPlayer
from fastpong.api.environment import ALL_ACTIONS, differences, read_environment
from fastpong.api.observation import foreground_values, read_screens
from fastpong.arrays import Array, Arrays
from fastpong.envs.draws import EVAL, Draw, uniforms
from fastpong.training.evaluation import Player

Source = Callable[[int], Draw]
"""Returns the uniforms of episode 0, 1, ..."""


class Policy:
    """Play Pong in any loop, with the signature of Stable-Baselines3.

    It takes screens as gymnasium returns them, and keeps the frame history of every environment
    itself. ``reset()`` or ``episode_start`` begins an episode.

    player     : the agent and its environment
    parameters : its weights by name
    seed       : of sampled actions. Each episode draws from a stream of its own, as in
                 ``fastpong eval``

    Raises ValueError for weights or settings that do not fit each other.
    """

    def __init__(self, player: Player, parameters: Arrays, *, seed: int = 0) -> None:
        self.player, self.parameters = player, parameters
        self._planned = player.plan().stages[player.stage]
        self._table = foreground_values()
        self._warned = False
        # Gymnasium numbers the actions of the game, and ALE those of all games.
        self._actions = self._planned.variant.game.actions
        self.reset(seed=seed)

    @property
    def agent(self) -> str:
        """Return the name of the agent."""
        return self.player.agent

    @property
    def env_kwargs(self) -> dict[str, Any]:
        """Return the arguments of ``gymnasium.make`` for the environment of training.

        The frame skip is that of the stage that the agent has come to.
        """
        return self._planned.variant.gymnasium_kwargs

    def reset(self, seed: int | None = None) -> None:
        """Forget all history. The next observations begin episodes.

        seed : begin again with the randomness of this seed. None goes on with the next episode
        """
        if seed is not None:
            self.draw_from(lambda episode: uniforms(seed, EVAL, episode))
        self._players: list[ScreenPlayer] = []
        self._draws: list[Draw] = []

    def draw_from(self, source: Source) -> None:
        """Draw the uniforms of episode n from ``source(n)``, n from 0 on."""
        self._source, self._episode = source, 0

    def predict(
        self,
        observation: ArrayLike,
        state: object = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = False,
    ) -> tuple[Array | np.int64, None]:
        """Return the action for an observation, and None for a state.

        observation   : a screen or a batch of n screens, see ``read_screens``
        state         : not used, the policy keeps its history itself
        episode_start : True where the observation is an episode's first, one for each screen
        deterministic : take the likeliest action. Else sample (dqn: epsilon-greedy)

        Returns gymnasium's number of the action, int64, or (n,) of them. Raises TypeError or
        ValueError for other observations, and for a batch of another size than before.
        """
        screens, batch = read_screens(observation)
        self._begin(len(screens), _flags(episode_start, len(screens)))
        chosen = [
            player.moves[player.act(screen, draw, greedy=deterministic)]
            for player, draw, screen in zip(self._players, self._draws, screens, strict=True)
        ]
        actions = np.array([self._actions.index(move) for move in chosen], np.int64)
        return (actions if batch else actions[0]), None

    def check(self, env: object, *, stacklevel: int = 2) -> list[str]:
        """Compare an environment with that of training.

        It warns once. Actions are numbered as the environment has them from here on.

        env        : of gymnasium, single or vector, or of Stable-Baselines3
        stacklevel : of the warning

        Returns the differences as sentences. Raises ValueError for an environment that the agent
        cannot play.
        """
        found = read_environment(env)
        if found.full is not None:
            self._actions = ALL_ACTIONS if found.full else self._planned.variant.game.actions
        sentences = differences(found, self._planned.variant)
        if sentences and not self._warned:
            self._warned = True
            warnings.warn(self._planned.variant.warning(sentences), stacklevel=stacklevel)
        return sentences

    def _begin(self, count: int, starts: Array) -> None:
        """Begin the episodes of some environments, of all after a reset."""
        if not self._players or (len(self._players) != count and starts.all()):
            spec, stage = self._planned.spec, self._planned
            self._players = [
                spec.screen_player(stage, self.parameters, self._table) for _ in range(count)
            ]
            self._draws = [_no_draw] * count
            starts = np.ones(count, bool)
        if len(self._players) != count:
            raise ValueError(
                f"observation: expected {len(self._players)} environments as before, got {count}; "
                f"call reset() before another number of them"
            )
        for env in np.flatnonzero(starts):
            self._players[env].begin()
            self._draws[env] = self._source(self._episode)
            self._episode += 1


def _flags(episode_start: ArrayLike | None, count: int) -> Array:
    """Return a flag for each environment."""
    if episode_start is None:
        return np.zeros(count, bool)
    flags = np.atleast_1d(np.asarray(episode_start))
    if flags.shape != (count,):
        raise ValueError(
            f"episode_start: expected one flag for each of {count} observations, got shape "
            f"{np.shape(episode_start)}"
        )
    return flags.astype(bool)


def _no_draw() -> float:
    raise AssertionError("an episode that was never begun")
