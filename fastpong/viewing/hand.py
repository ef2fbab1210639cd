"""A person's hand on a paddle: where keys and mouse turn it."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastpong.viewing.games import SCREEN
from fastpong.viewing.keys import Key

_UP, _DOWN = ("up", "w", "k"), ("down", "s", "j")

_TURN = 0.02
"""Share of the paddle's way that a key turns it by in a frame: the field's height in 0.7 s."""

_HELD_SECONDS = 0.15
"""A key counts as held so long where a terminal does not tell that it is released. Keys that are
held repeat more often."""

_CENTRE_ROW, _ROWS = 102.5, 188
"""Row of the screen that the paddle's middle is in at a half, and rows from 0 to 1. Measured."""


class Hand:
    """Turn a paddle.

    share    : of the paddle's way, from 0, the top, to 1
    releases : keys tell when they are released
    """

    def __init__(
        self, *, releases: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.share, self.releases = 0.5, releases
        self._clock = clock
        self._way, self._until = 0, 0.0

    def obey(self, key: Key) -> bool:
        """Take a key or the mouse, and return whether it was meant for the paddle."""
        if key.name == "mouse":
            row = key.height * SCREEN[0]
            self._turn_to(0.5 + (row - _CENTRE_ROW) / _ROWS)
            self._way = 0
            return True
        way = (key.name in _DOWN) - (key.name in _UP)
        if not way:
            return False
        if not key.released:
            self._way, self._until = way, self._clock() + _HELD_SECONDS
        elif way == self._way:
            self._way = 0
        return True

    def frame(self) -> float:
        """Turn on for a frame, and return the share."""
        if not self.releases and self._clock() > self._until:
            self._way = 0
        self._turn_to(self.share + self._way * _TURN)
        return self.share

    def _turn_to(self, share: float) -> None:
        self.share = min(1.0, max(0.0, share))
