"""A game on fastpong's console as a gymnasium environment: ale-py's ``AtariEnv``, faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.utils import EzPickle, seeding

from fastpong.arrays import Array
from fastpong.console.interface import ACTION_MEANINGS, Interface, Machine
from fastpong.envs.choice import choose, load_machine
from fastpong.wrappers.games import Info, Options

OBS_TYPES = ("rgb", "grayscale", "ram", "palette")
NO_LIMIT = 2**31 - 1
"""Frames of an episode without a limit."""


class ConsoleEnv(gym.Env[Array, Any], EzPickle):
    """Play a game on fastpong's console.

    game                       : ale-py's name of the ROM. The console plays Pong
    obs_type                   : "rgb", "grayscale" or "ram" as in AtariEnv, or "palette": the
                                 screen's palette indices
    frameskip                  : frames an action is played for. (low, high): drawn, high excluded
    repeat_action_probability  : of sticky actions
    full_action_space          : all 18 actions, not only those that do something
    max_num_frames_per_episode : an episode is cut off there
    render_mode                : "rgb_array" or None

    Observations, rewards, ends, infos and all that is drawn equal those of ale-py's ``AtariEnv``
    with the same arguments and seed. ``ale`` has the methods of ALEInterface that wrappers call.
    The game is compiled in the background, unless its code is in the cache: the first seconds are
    slower.

    Raises ValueError for arguments that cannot be, and EmulatorError for a game that the console
    does not play.
    """

    metadata: Info = {"render_modes": ["rgb_array"], "render_fps": 60}  # noqa: RUF012

    def __init__(
        self,
        game: str = "pong",
        obs_type: str = "rgb",
        frameskip: int | tuple[int, int] = 4,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        max_num_frames_per_episode: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        _check(obs_type, frameskip, render_mode)
        EzPickle.__init__(
            self, game, obs_type, frameskip, repeat_action_probability, full_action_space,
            max_num_frames_per_episode, render_mode,
        )  # fmt: skip
        limit = max_num_frames_per_episode or NO_LIMIT
        machine = load_machine(game, choose(game, "console"), limit)
        self.ale = Interface(cast(Machine, machine), repeat_action_probability)
        self.render_mode = render_mode
        self._frameskip, self._obs_type = frameskip, obs_type
        actions = self.ale.getLegalActionSet() if full_action_space else machine.actions
        self._action_set = tuple(actions)
        self.action_space = Discrete(len(self._action_set))
        self._observe = self._observer(obs_type)
        self.observation_space = Box(0, 255, self._get_obs().shape, np.uint8)
        self.seed_game()

    def _observer(self, obs_type: str) -> Callable[[], Array]:
        return {
            "rgb": self.ale.getScreenRGB,
            "grayscale": self.ale.getScreenGrayscale,
            "ram": self.ale.getRAM,
            "palette": self.ale.getScreen,
        }[obs_type]

    def seed_game(self, seed: int | None = None) -> tuple[np.uint32, np.uint32]:
        """Seed the generators of frame skips and of sticky actions, as AtariEnv does."""
        for_frame_skips, for_actions = np.random.SeedSequence(seed).generate_state(2)
        self._np_random, _ = seeding.np_random(int(for_frame_skips))
        self.ale.load(int(for_actions))
        return for_frame_skips, for_actions

    def reset(
        self, *, seed: int | None = None, options: Options | None = None
    ) -> tuple[Array, Info]:
        """Begin an episode."""
        super().reset(seed=seed, options=options)
        seeds = None if seed is None else self.seed_game(seed)
        self.ale.reset_game()
        info = self._get_info()
        if seeds is not None:
            info["seeds"] = seeds
        return self._get_obs(), info

    def step(self, action: int) -> tuple[Array, float, bool, bool, Info]:
        """Play an action of the action space."""
        ale, skip = self.ale, self._frameskip
        count = skip if isinstance(skip, int) else int(self.np_random.integers(*skip))
        reward, played = ale.play(self._action_set[action], count)
        if played < count:
            ale.skip(count - played)
        return (
            self._get_obs(),
            reward,
            ale.game_over(with_truncation=False),
            ale.game_truncated(),
            self._get_info(),
        )

    def _get_obs(self) -> Array:
        return self._observe()

    def _get_info(self) -> Info:
        ale = self.ale
        return {
            "lives": ale.lives(),
            "episode_frame_number": ale.getEpisodeFrameNumber(),
            "frame_number": ale.getFrameNumber(),
        }

    def render(self) -> Array | None:
        """Return the screen in colour, None without a render mode."""
        return self.ale.getScreenRGB() if self.render_mode == "rgb_array" else None

    def get_action_meanings(self) -> list[str]:
        """Return the names of the actions."""
        return [ACTION_MEANINGS[action] for action in self._action_set]


def _check(obs_type: str, frameskip: object, render_mode: str | None) -> None:
    """Refuse arguments that cannot be."""
    if obs_type not in OBS_TYPES:
        raise ValueError(f"obs_type: expected one of {', '.join(OBS_TYPES)}, got {obs_type!r}")
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode: expected 'rgb_array' or None, got {render_mode!r}")
    bounds = frameskip if isinstance(frameskip, tuple) else (frameskip,)
    if len(bounds) > 2 or not all(type(number) is int for number in bounds):
        raise TypeError(f"frameskip: expected an integer or two of them, got {frameskip!r}")
    if min(bounds, default=0) < 1 or list(bounds) != sorted(set(bounds)):
        raise ValueError(
            f"frameskip: expected 1 or more, or (low, high) with high above low, got {frameskip!r}"
        )
