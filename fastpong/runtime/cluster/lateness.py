"""When a task is late, from the measured length of the tasks before.

The clock counts no time in which nobody looked at it: the program was stopped, or it learned.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

LATE, HUNG = 4, 20
"""Times the longest of the last tasks: a second actor gets it too, the first one is replaced."""

LEAST_LATE, LEAST_HUNG = 2.0, 60.0
"""Seconds that a task may take in any case."""

FIRST_LATE, FIRST_HUNG = 60.0, 600.0
"""Seconds before any is measured: imports, compilations."""

TASKS = 100
"""Tasks whose length counts."""

_STEP = 1.0


class Lateness:
    """Know how long tasks take.

    timeout : seconds after which an actor is given up, None for what is measured
    clock   : seconds, of a clock that does not go back
    """

    def __init__(
        self, timeout: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._timeout = timeout
        self._clock, self._seen, self._now = clock, clock(), 0.0
        self._lengths: deque[float] = deque(maxlen=TASKS)

    def now(self) -> float:
        """Return the time, in seconds that count."""
        seen = self._clock()
        self._now += min(seen - self._seen, _STEP)
        self._seen = seen
        return self._now

    def add(self, seconds: float) -> None:
        """Count a task's length."""
        self._lengths.append(seconds)

    @property
    def late(self) -> float:
        """Return the seconds after which a task is late."""
        return max(LATE * max(self._lengths), LEAST_LATE) if self._lengths else FIRST_LATE

    @property
    def hung(self) -> float:
        """Return the seconds after which an actor without an answer is given up."""
        if self._timeout is not None:
            return self._timeout
        return max(HUNG * max(self._lengths), LEAST_HUNG) if self._lengths else FIRST_HUNG
