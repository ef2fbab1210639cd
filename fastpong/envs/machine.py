"""A machine: a game in its emulator, one frame an action, without randomness."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NOOP = 0
"""ALE's number of the action that touches nothing."""

Screen = NDArray[np.uint8]


class Machine(Protocol):
    """Play a game from its start state, without randomness.

    actions      : ALE's numbers of the actions that do something in this game
    screen_shape : (height, width) of a screen
    max_frames   : an episode is cut off there
    frames       : of this episode
    over         : the episode has ended, and ``play`` emulates nothing
    terminated   : the game itself has ended
    truncated    : the limit of frames cut the episode off
    """

    # ruff: noqa: D102
    @property
    def actions(self) -> tuple[int, ...]: ...
    @property
    def screen_shape(self) -> tuple[int, int]: ...
    @property
    def max_frames(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def over(self) -> bool: ...
    @property
    def terminated(self) -> bool: ...
    @property
    def truncated(self) -> bool: ...

    def reset_game(self) -> None:
        """Begin an episode, the same every time."""

    def play(self, actions: bytes | bytearray) -> int:
        """Emulate a frame for each action and return the summed reward."""

    def read_screen(self, out: Screen) -> None:
        """Write the screen's palette indices into ``out``.

        After ``restore`` it shows the picture from before, until the next frame.
        """

    def read_rgb(self, out: Screen) -> None:
        """Write the screen's colours into ``out``."""

    def save(self) -> bytes:
        """Return the state of the episode, without the screen."""

    def restore(self, saved: bytes) -> None:
        """Resume a saved episode.

        Raises ValueError for bytes of another kind or version.
        """
