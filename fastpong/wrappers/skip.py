"""The frame skip of Stable-Baselines3 and CleanRL, pooled, grey and resized."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from fastpong.arrays import Array
from fastpong.wrappers.drive import Rebuilt, drive_of, need_reset
from fastpong.wrappers.games import Env, Info, Options, game_of
from fastpong.wrappers.screens import GreyScreens


class MaxAndSkipFrame(Rebuilt, gym.Wrapper[Array, int, Array, int]):
    """Skip, pool, grey and resize frames in one.

    env         : an environment of ale_py or fastpong, whose frame skip is 1
    skip        : frames an action is played for, 1: nothing is pooled
    screen_size : rows and columns of the observation
    compat      : "sb3": MaxAndSkipEnv and WarpFrame of Stable-Baselines3, (rows, columns, 1).
                  "cleanrl": MaxAndSkipEnv, ResizeObservation and GrayScaleObservation of gymnasium
                  0.29 as in CleanRL's scripts, (rows, columns)

    Same observations, rewards, ends and infos, to the last byte. Needs neither SB3 nor OpenCV.

    Raises ValueError for arguments that cannot be, TypeError for an environment that is no Atari
    game.
    """

    def __init__(
        self,
        env: Env,
        skip: int = 4,
        screen_size: int = 84,
        compat: str = "sb3",
    ) -> None:
        gym.utils.RecordConstructorArgs.__init__(
            self, skip=skip, screen_size=screen_size, compat=compat
        )
        gym.Wrapper.__init__(self, env)
        for name, number in (("skip", skip), ("screen_size", screen_size)):
            if type(number) is not int or number < 1:
                raise ValueError(f"{name}: expected an integer of 1 or more, got {number!r}")
        if compat not in ("sb3", "cleanrl"):
            raise ValueError(f"compat: expected 'sb3' or 'cleanrl', got {compat!r}")
        self._skip, self._has_channel, self._has_reset = skip, compat == "sb3", False
        self._drive = drive_of(env)
        size = (screen_size, screen_size)
        self._screens = GreyScreens(game_of(env).ale, size, compat)
        shape = (*size, 1) if self._has_channel else size
        self.observation_space = Box(0, 255, shape, np.uint8)

    def reset(
        self, *, seed: int | None = None, options: Options | None = None
    ) -> tuple[Array, Info]:
        """Begin an episode. The screens of the one before stay, as they do in MaxAndSkipEnv."""
        _, info = self.env.reset(seed=seed, options=options)
        self._has_reset = True
        self._screens.check_palette()
        return self._shaped(self._screens.frame_of_now()), info

    def step(self, action: int) -> tuple[Array, float, bool, bool, Info]:
        """Play an action for ``skip`` frames.

        As in MaxAndSkipEnv, an end before the last frame pools screens of the step before.
        """
        if not self._has_reset:
            raise need_reset()
        drive, screens, before = self._drive, self._screens, self._skip - 1
        reward, terminated, truncated, played = 0.0, False, False, 0
        if before:
            reward, terminated, truncated, played = drive.play(action, before)
            if played == before:
                screens.read_older()
        if not (terminated or truncated):
            last, terminated, truncated, _ = drive.play(action, 1)
            reward += last
            screens.read_newer()
        frame = screens.frame(pooled=before > 0)
        return self._shaped(frame), reward, terminated, truncated, drive.info()

    def _shaped(self, frame: Array) -> Array:
        return frame[..., None] if self._has_channel else frame
