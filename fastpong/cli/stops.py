"""A program that is stopped by Ctrl-Z, or a SIGSTOP, and goes on."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType


class Stops:
    """Notice stops of this program, from now on until ``close``.

    For the main thread. Whatever else listens to SIGCONT hears of it, too.
    """

    def __init__(self) -> None:
        self._continued = False
        self._turn = time.monotonic()
        self._before = signal.signal(signal.SIGCONT, self._note)

    def seconds(self) -> float:
        """Return how long it was stopped since the last call.

        The time between the two calls counts, so that they should follow each other fast.
        """
        now = time.monotonic()
        stopped = now - self._turn if self._continued else 0.0
        self._turn, self._continued = now, False
        return stopped

    def close(self) -> None:
        """Give the signal back."""
        signal.signal(signal.SIGCONT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._continued = True
        if callable(self._before):
            self._before(number, frame)


class CtrlZ:
    """Put Ctrl-Z off until the terminal is given back. For the main thread."""

    def __init__(self) -> None:
        self.asked = False
        self._before = signal.getsignal(signal.SIGTSTP)
        if self._before != signal.SIG_IGN:  # of a shell without jobs
            signal.signal(signal.SIGTSTP, self._ask)

    def stop(self) -> None:
        """Stop this process, until somebody lets it go on."""
        self.asked = False
        os.kill(os.getpid(), signal.SIGSTOP)

    def close(self) -> None:
        """Give the signal back."""
        signal.signal(signal.SIGTSTP, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
