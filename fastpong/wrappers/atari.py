"""Gymnasium's AtariPreprocessing, faster."""

from __future__ import annotations

from typing import SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from fastpong.arrays import Array
from fastpong.wrappers.drive import Rebuilt, drive_of, need_reset
from fastpong.wrappers.games import Ale, Env, Info, Options, game_of
from fastpong.wrappers.screens import ColourScreens, GreyScreens, Screens


class AtariFrame(Rebuilt, gym.Wrapper[Array, int, Array, int]):
    """Preprocess an Atari game as ``gymnasium.wrappers.AtariPreprocessing`` does.

    env                   : an environment of ale_py or ``fastpong/Pong-v5``, whose frame skip is 1
    noop_max              : at most so many frames without action begin an episode, 0: none
    frame_skip            : frames an action is played for
    screen_size           : of the observation: (columns, rows), or a number for both
    terminal_on_life_loss : a lost life ends the episode
    grayscale_obs         : grey, else in colour
    grayscale_newaxis     : grey observations have a last axis of length 1
    scale_obs             : float32 in [0, 1], else uint8

    Same arguments, observations, rewards, ends and infos, to the last byte. It reads palette
    screens instead of pictures in colour, and needs no OpenCV: 1.5 to 1.7 times the steps a second
    on ale_py, more than 6 times on fastpong's console. See docs/wrappers.md.

    Raises ValueError for arguments that cannot be and for another frame skip of ``env``, TypeError
    for an environment that is no Atari game.
    """

    def __init__(
        self,
        env: Env,
        noop_max: int = 30,
        frame_skip: int = 4,
        screen_size: int | tuple[int, int] = 84,
        terminal_on_life_loss: bool = False,
        grayscale_obs: bool = True,
        grayscale_newaxis: bool = False,
        scale_obs: bool = False,
    ) -> None:
        gym.utils.RecordConstructorArgs.__init__(
            self, noop_max=noop_max, frame_skip=frame_skip, screen_size=screen_size,
            terminal_on_life_loss=terminal_on_life_loss, grayscale_obs=grayscale_obs,
            grayscale_newaxis=grayscale_newaxis, scale_obs=scale_obs,
        )  # fmt: skip
        gym.Wrapper.__init__(self, env)
        self.screen_size = _checked_size(screen_size)
        self._drive = drive_of(env, terminal_on_life_loss)
        _check_counts(env, noop_max, frame_skip)
        self.noop_max, self.frame_skip = noop_max, frame_skip
        self.terminal_on_life_loss = terminal_on_life_loss
        self.grayscale_obs, self.grayscale_newaxis = grayscale_obs, grayscale_newaxis
        self.scale_obs = scale_obs
        self.game_over = False
        size = (self.screen_size[1], self.screen_size[0])
        self._screens: Screens = (
            GreyScreens(self.ale, size, "gymnasium")
            if grayscale_obs
            else ColourScreens(self.ale, size)
        )
        self._has_reset = False
        self.observation_space = self._space(size)

    def _space(self, size: tuple[int, int]) -> Box:
        channels = (1,) if self.grayscale_newaxis else ()
        shape = size + (channels if self.grayscale_obs else (3,))
        return Box(0, 1, shape, np.float32) if self.scale_obs else Box(0, 255, shape, np.uint8)

    @property
    def ale(self) -> Ale:
        """Return the emulator's interface."""
        return game_of(self.env).ale

    @property
    def lives(self) -> int:
        """Return the lives before the next frame, where they end episodes."""
        return self._drive.lives

    def reset(
        self, *, seed: int | None = None, options: Options | None = None
    ) -> tuple[Array, Info]:
        """Begin an episode, with some frames without action."""
        _, info = self.env.reset(seed=seed, options=options)
        self._has_reset = True
        noops = 0
        if self.noop_max > 0:
            noops = int(self.env.unwrapped.np_random.integers(1, self.noop_max + 1))
        for _ in range(noops):
            _, terminated, truncated, _ = self._drive.play(0, 1)
            info.update(self._drive.info())
            if terminated or truncated:
                _, info = self.env.reset(seed=seed, options=options)
        self._drive.lives = self.ale.lives()
        self._screens.check_palette()
        self._screens.read_only()
        return self._observation(), info

    def step(self, action: int) -> tuple[Array, SupportsFloat, bool, bool, Info]:
        """Play an action for ``frame_skip`` frames.

        Ends come as in AtariPreprocessing: an end before the last frame leaves the observation as
        it was, and one in the last frame pools the frame before it with that observation.
        """
        if not self._has_reset:
            raise need_reset()
        drive, screens, before = self._drive, self._screens, self.frame_skip - 1
        reward, terminated, truncated = 0.0, False, False
        if before:
            reward, terminated, truncated, _ = drive.play(action, before)
        if not (terminated or truncated):
            if before:
                screens.read_older()
            last, terminated, truncated, _ = drive.play(action, 1)
            reward += last
            if not (terminated or truncated):
                screens.read_newer()
            elif before:
                screens.pool_before()
        self.game_over = terminated
        return self._observation(), reward, terminated, truncated, drive.info()

    def _observation(self) -> Array:
        frame = self._screens.frame(pooled=self.frame_skip > 1)
        if self.scale_obs:
            frame = frame.astype(np.float32) / 255.0
        return frame[..., None] if self.grayscale_obs and self.grayscale_newaxis else frame


def _checked_size(size: object) -> tuple[int, int]:
    """Return (columns, rows)."""
    pair = tuple(size) if isinstance(size, tuple | list) else (size, size)  # JSON has lists
    if len(pair) != 2 or not all(type(one) is int and one > 0 for one in pair):
        raise ValueError(f"screen_size: expected one or two integers above 0, got {size!r}")
    return pair


def _check_counts(env: Env, noop_max: int, frame_skip: int) -> None:
    """Refuse counts that cannot be, and a frame skip within the environment."""
    if type(frame_skip) is not int or frame_skip < 1:
        raise ValueError(f"frame_skip: expected an integer of 1 or more, got {frame_skip!r}")
    if type(noop_max) is not int or noop_max < 0:
        raise ValueError(f"noop_max: expected an integer of 0 or more, got {noop_max!r}")
    game = game_of(env)
    inner = getattr(game, "_frameskip", None)
    if frame_skip > 1 and inner != 1:
        raise ValueError(
            f"env: expected an environment of frame skip 1, since this wrapper skips frames too, "
            f"got {inner}; pass frameskip=1 to gymnasium.make"
        )
    if noop_max > 0 and game.get_action_meanings()[0] != "NOOP":
        raise ValueError("noop_max: expected 0 where the first action is not NOOP")
