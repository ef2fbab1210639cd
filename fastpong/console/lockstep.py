"""Lockstep: one game on ale_py and on consoles, compared after every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fastpong.console.interface import Machine
from fastpong.envs.ale import Ale

Bytes = NDArray[np.uint8]

SHOWN = 5
"""Bytes or pixels that a Difference lists."""


class Console(Machine, Protocol):
    """Type what is compared with ALE: a machine that saves its state, or a relative of it."""

    # ruff: noqa: D102
    def act(self, action: int) -> int: ...
    def save(self) -> bytes: ...
    def restore(self, saved: bytes) -> None: ...


class Difference(AssertionError):
    """Tell where a console left ALE.

    console : its name
    frame   : of the episode
    what    : "ram", "screen", or the names of what else differs
    """

    def __init__(self, console: str, frame: int, what: str, detail: str) -> None:
        super().__init__(f"{console}, frame {frame}: {what}: {detail}")
        self.console, self.frame, self.what = console, frame, what


class Lockstep:
    """Play one game on ALE and on consoles.

    ale      : of ``envs.ale.AleMachine``
    consoles : by their names, with the same game and the same cap of frames

    After every step RAM, screen, reward, ends, lives and the episode's frame number are compared.
    """

    def __init__(self, ale: Ale, consoles: Mapping[str, Console]) -> None:
        self.ale, self.consoles = ale, dict(consoles)
        self.ram = np.zeros(128, np.uint8)
        self.screen = np.zeros(ale.getScreenDims(), np.uint8)
        self._screen = np.zeros_like(self.screen)

    @property
    def over(self) -> bool:
        """Return whether ALE's episode has ended."""
        return self.ale.game_over()

    def reset(self) -> None:
        """Begin an episode on all, and compare."""
        self.ale.reset_game()
        for console in self.consoles.values():
            console.reset_game()
        self.compare(0, dict.fromkeys(self.consoles, 0))

    def step(self, actions: Sequence[int]) -> int:
        """Play a frame for each action, compare, and return the reward.

        Several actions go to a console in one call, as an environment plays a step.

        Raises Difference.
        """
        reward = sum([self.ale.act(action) for action in actions])
        rewards = {}
        for name, console in self.consoles.items():
            if len(actions) == 1:
                rewards[name] = console.act(actions[0])
            else:
                rewards[name] = console.play(bytes(actions))
        self.compare(reward, rewards)
        return reward

    def compare(self, reward: int, rewards: Mapping[str, int]) -> None:
        """Raise Difference unless every console equals ALE."""
        ale = self.ale
        ale.getRAM(self.ram)
        ale.getScreen(self.screen)
        frame = ale.getEpisodeFrameNumber()
        ram, screen = self.ram.tobytes(), self.screen.tobytes()
        ends = (ale.game_over(), ale.game_over(with_truncation=False), ale.game_truncated())
        expected = (reward, *ends, ale.lives(), frame)
        for name, console in self.consoles.items():
            got = console.over, console.terminated, console.truncated, console.lives
            if (rewards[name], *got, console.frames) != expected:
                detail = f"expected {expected}, got {(rewards[name], *got, console.frames)}"
                what = "reward, over, terminated, truncated, lives, frames"
                raise Difference(name, frame, what, detail)
            if console.read_ram().tobytes() != ram:
                raise Difference(name, frame, "ram", _differing(self.ram, console.read_ram()))
            console.read_screen(self._screen)
            if self._screen.tobytes() != screen:
                raise Difference(name, frame, "screen", _differing(self.screen, self._screen))


def _differing(expected: Bytes, got: Bytes) -> str:
    """Return how many values differ, and the first ones."""
    places = np.argwhere(expected != got)
    shown = [
        f"{tuple(map(int, at))} expected {expected[tuple(at)]}, got {got[tuple(at)]}"
        for at in places[:SHOWN]
    ]
    return f"{len(places)} of {expected.size} differ: {'. '.join(shown)}"
