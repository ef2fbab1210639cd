"""The pace of frames, and of pictures of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastpong.viewing.games import FRAMES_PER_SECOND

MOST = float("inf")
"""The speed of as many frames as the machine plays."""

SPEEDS = (0.1, 100.0)
"""Least and most that the keys lead to."""

_LOST_SECONDS = 0.25  # of delay, from which on what was lost is not made up for


class Pace:
    """Keep to a number of frames a second.

    speed  : 1 is the game's own, MOST as fast as it goes
    paused : no frame is due
    """

    def __init__(
        self,
        speed: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.speed, self.paused = speed, False
        self._clock = clock
        self._due = self._drawn = clock()

    @property
    def words(self) -> str:
        """Return the speed in words."""
        if self.paused:
            return "paused"
        if self.speed == MOST:
            return "as fast as it goes"
        times = "" if self.speed == 1 else f" (x{self.speed:g})"
        return f"{FRAMES_PER_SECOND * self.speed:.0f} frames/s{times}"

    def change(self, factor: float) -> None:
        """Play faster or slower."""
        speed = SPEEDS[1] if self.speed == MOST else self.speed
        self.speed = min(SPEEDS[1], max(SPEEDS[0], speed * factor))

    def advance(self) -> float:
        """Count a frame, and return the seconds until it is due."""
        now = self._clock()
        if self.speed == MOST:
            return 0.0
        self._due += 1 / (FRAMES_PER_SECOND * self.speed)
        if now - self._due > _LOST_SECONDS:
            self._due = now
        return max(0.0, self._due - now)

    def draws(self) -> bool:
        """Return whether it is time for a picture, 60 times a second at most."""
        now = self._clock()
        if now - self._drawn < 0.9 / FRAMES_PER_SECOND:
            return False
        self._drawn = now
        return True
