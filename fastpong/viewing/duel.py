"""A person at one of the paddles.

At the left a person plays the agent: the cartridge's third game, for two players, in the same field
with the same ball. At the right a person plays the computer, in the agent's place.

Only fastpong's own console has both paddles. ale-py turns the right one alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np

from fastpong.agents.protocol import Thought
from fastpong.console.cartridge import EmulatorError
from fastpong.envs.choice import load_machine, why_not_console
from fastpong.envs.games import PONG
from fastpong.envs.machine import NOOP, Machine, Screen
from fastpong.viewing.games import Moment, Odds
from fastpong.viewing.hand import Hand

if TYPE_CHECKING:
    from fastpong.console.machine import Machine as Console

Side = Literal["left", "right"]

_LEFT, _RIGHT = 0, 1  # paddles
_TWO_PLAYERS = 2  # times that SELECT is pressed
_SWITCH_FRAMES = 4
_RESET_FRAMES = 12  # as ALE holds it
_SERVE_FRAMES = 62
"""From a point to the next serve, as in the game for one player. Here a button serves."""


class Duel:
    """Play two players' Pong: actions turn the right paddle, a hand the left one.

    A machine as `Machine` describes. It serves by itself.
    """

    def __init__(self, hand: Hand, max_frames: int) -> None:
        self._console, self._hand = load_console(max_frames), hand
        self._start = self._begin()
        self._waited = 0
        self.actions, self.screen_shape = self._console.actions, self._console.screen_shape
        self.max_frames = max_frames

    def _begin(self) -> bytes:
        console = self._console
        console.reset_game()
        for _ in range(_TWO_PLAYERS):
            console.hold(select=True)
            console.play(bytes(_SWITCH_FRAMES))
            console.hold()
            console.play(bytes(_SWITCH_FRAMES))
        console.hold(reset=True)
        console.play(bytes(_RESET_FRAMES))
        console.hold()
        return console.save()

    @property
    def frames(self) -> int:
        """Return the frames since the cartridge was switched on."""
        return self._console.frames

    @property
    def over(self) -> bool:
        """Return whether a player has 21 points."""
        return self._console.over

    @property
    def terminated(self) -> bool:
        """Return whether a player has 21 points."""
        return self._console.terminated

    @property
    def truncated(self) -> bool:
        """Return whether the limit of frames cut it off."""
        return self._console.truncated

    def reset_game(self) -> None:
        """Begin a game."""
        self._console.restore(self._start)
        self._console.play(bytes((NOOP,)))  # the screen is still that of before
        self._waited = 0

    def play(self, actions: bytes | bytearray) -> int:
        """Emulate a frame for each action and return the summed reward."""
        reward = 0
        for action in actions:
            self._console.turn(_LEFT, self._hand.frame())
            self._waited += 1
            # Who has won the point serves, by the button. During a rally the buttons do nothing.
            serve = self._waited == _SERVE_FRAMES
            points = self._console.act(action, button0=serve, button1=serve)
            if points:
                self._waited = 0
            reward += points
        return reward

    def read_screen(self, out: Screen) -> None:
        """Write the screen's palette indices into ``out``."""
        self._console.read_screen(out)

    def read_rgb(self, out: Screen) -> None:
        """Write the screen's colours into ``out``."""
        self._console.read_rgb(out)

    def save(self) -> bytes:
        """Return the state of the game."""
        return self._console.save()

    def restore(self, saved: bytes) -> None:
        """Resume a saved game."""
        self._console.restore(saved)


class Solo:
    """Games of a person at the right paddle against the computer, as a `Watcher` shows them."""

    def __init__(self, hand: Hand, max_frames: int) -> None:
        self._hand, self._console = hand, load_console(max_frames)

    def odds(self, thought: Thought) -> Odds:
        """Refuse: nobody knows what a person thinks."""
        raise NotImplementedError

    def game(self, number: int) -> Iterator[Moment]:
        """Play a game, and yield its frames."""
        console = self._console
        console.reset_game()
        left = right = frame = 0
        while not console.over:
            console.turn(_RIGHT, self._hand.frame())
            points = console.play(bytes((NOOP,)))
            screen = np.empty(console.screen_shape, np.uint8)
            console.read_screen(screen)
            frame, left, right = frame + 1, left + max(0, -points), right + max(0, points)
            yield Moment(screen, (left, right), frame, frame, None)


def load_console(max_frames: int) -> Console:
    """Return a console with Pong.

    Raises EmulatorError where there is none.
    """
    obstacle = why_not_console(PONG.rom)
    if obstacle is not None:
        raise EmulatorError(
            f"--human: expected fastpong's own console, which has both paddles, but {obstacle}; "
            "ale-py has only the one that agents play"
        )
    machine: Machine = load_machine(PONG.rom, "console", max_frames)
    return machine  # type: ignore[return-value]
