"""The console behind those methods of ``ale_py.ALEInterface`` that environments call.

Equal to ale-py frame for frame, with sticky actions too. These are drawn as ALE draws them, as its
saved states show: a Mersenne Twister, seeded with ``random_seed``, makes two words of 32 bits a
frame, of which the first decides.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastpong.console.palette import greys_of, palette_of

ACTION_MEANINGS = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT",
    "UPFIRE", "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE",
    "DOWNLEFTFIRE",
)  # fmt: skip
"""Of ALE's actions, by their numbers."""

_BLOCK = 1024
"""Frames that words are drawn for at once."""

Screen = NDArray[np.uint8]


class Machine(Protocol):
    """Type what plays: ``console.machine.Machine``."""

    # ruff: noqa: D102
    @property
    def actions(self) -> tuple[int, ...]: ...
    @property
    def screen_shape(self) -> tuple[int, int]: ...
    @property
    def frames(self) -> int: ...
    @property
    def over(self) -> bool: ...
    @property
    def terminated(self) -> bool: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def lives(self) -> int: ...
    def reset_game(self) -> None: ...
    def play(self, actions: bytes | bytearray) -> int: ...
    def read_ram(self) -> Screen: ...
    def read_screen(self, out: Screen) -> None: ...


class Interface:
    """Play a game as ``ale_py.ALEInterface`` does, by the same methods.

    machine : a fresh one
    sticky  : probability, per frame, that the action played last is played again instead

    ``play`` is fastpong's own, and the fast one: some frames in one call.
    """

    def __init__(self, machine: Machine, sticky: float = 0.0) -> None:
        if not 0.0 <= sticky <= 1.0:
            raise ValueError(
                f"repeat_action_probability: expected a number in [0, 1], got {sticky!r}"
            )
        self.machine, self._sticky = machine, sticky
        self._rows, self._columns = machine.screen_shape
        self._colours = palette_of(self._rows)
        self._greys = greys_of(self._rows)[:, 0].copy()
        self.load(0)

    def load(self, seed: int) -> None:
        """Begin anew, with this seed for sticky actions."""
        self._random = np.random.RandomState(seed % 2**32)
        self._draws: list[float] = []
        self._drawn = 0
        self.machine.reset_game()
        self._earlier, self._last_action = 0, 0

    def reset_game(self) -> None:
        """Begin an episode."""
        self._earlier += self.machine.frames
        self.machine.reset_game()
        self._last_action = 0

    def play(self, action: int, count: int) -> tuple[float, int]:
        """Play an action for some frames, no longer than the episode.

        Returns (reward, frames played).
        """
        machine = self.machine
        before = machine.frames
        reward = machine.play(self._chosen(action, count))
        played = machine.frames - before
        if self._sticky:
            self._drawn -= count - played  # ALE was not asked to play the others
        return float(reward), played

    def skip(self, frames: int) -> None:
        """Draw for frames of an episode that is over, as ALE does when it is asked to play them."""
        self._chosen(self._last_action, frames)

    def act(self, action: int, paddle_strength: float = 1.0) -> int:
        """Play an action for a frame, return the reward."""
        if paddle_strength != 1.0:
            raise ValueError(f"paddle_strength: expected 1, got {paddle_strength!r}")
        return self.machine.play(self._chosen(action, 1))

    def _chosen(self, action: int, count: int) -> bytes | bytearray:
        """Return the actions of some frames."""
        if not self._sticky:
            return bytes((action,)) * count
        if self._drawn + count > len(self._draws):
            words = np.frombuffer(self._random.bytes(8 * (_BLOCK + count)), "<u4")[::2]
            self._draws = self._draws[self._drawn :] + (words / 2**32).tolist()
            self._drawn = 0
        chosen, last = bytearray(count), self._last_action
        for frame in range(count):
            if self._draws[self._drawn + frame] >= self._sticky:
                last = action
            chosen[frame] = last
        self._drawn += count
        self._last_action = last
        return chosen

    def game_over(self, *, with_truncation: bool = True) -> bool:
        """Return whether the episode has ended."""
        return self.machine.over if with_truncation else self.machine.terminated

    def game_truncated(self) -> bool:
        """Return whether the limit of frames has ended it."""
        return self.machine.truncated

    def lives(self) -> int:
        """Return the lives left."""
        return self.machine.lives

    def getEpisodeFrameNumber(self) -> int:
        """Return the frames of this episode."""
        return self.machine.frames

    def getFrameNumber(self) -> int:
        """Return the frames since the game was loaded."""
        return self._earlier + self.machine.frames

    def getMinimalActionSet(self) -> list[int]:
        """Return the numbers of the actions that do something."""
        return list(self.machine.actions)

    def getLegalActionSet(self) -> list[int]:
        """Return the numbers of all actions."""
        return list(range(len(ACTION_MEANINGS)))

    def getScreenDims(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return self._rows, self._columns

    def getScreen(self, out: Screen | None = None) -> Screen:
        """Return the palette indices of the screen."""
        out = np.empty((self._rows, self._columns), np.uint8) if out is None else out
        self.machine.read_screen(out)
        return out

    def getScreenGrayscale(self, out: Screen | None = None) -> Screen:
        """Return the screen in grey."""
        return np.take(self._greys, self.getScreen(), out=out, mode="clip")

    def getScreenRGB(self, out: Screen | None = None) -> Screen:
        """Return the screen in colour, (rows, columns, 3)."""
        return np.take(self._colours, self.getScreen(), axis=0, out=out, mode="clip")

    def getRAMSize(self) -> int:
        """Return the bytes of RAM."""
        return len(self.machine.read_ram())

    def getRAM(self, out: Screen | None = None) -> Screen:
        """Return the RAM."""
        ram = self.machine.read_ram()
        if out is None:
            return ram
        out[...] = ram
        return out
