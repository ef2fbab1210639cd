"""Deadlines of tasks, from the measured length of the tasks before.

A worker that is stopped, in a debugger or waits for a file system that does not answer looks busy
for ever. A task is told of once it has lasted three times the longest of the last tasks, and is
over after ten times that. Neither is before a while, for machines are busy at times.

The clock here counts no time in which nobody looked at it: the whole program was stopped, or the
computer slept.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

TOLD, OVER = 3, 10
"""Times the longest of the last tasks."""

LEAST_TOLD, LEAST_OVER = 20.0, 60.0
"""Seconds that a task may take in any case."""

FIRST_TOLD, FIRST_OVER = 120.0, 600.0
"""Seconds for a worker's start, and for tasks before any is measured: imports, compilations."""

TASKS = 100
"""Tasks whose length counts."""

_LOOK, _STEP = 0.25, 1.0


@dataclass(frozen=True)
class Late:
    """Tell of a task that lasts too long.

    seconds : that it has lasted
    allowed : seconds until it is over
    over    : whether that is now
    """

    key: Hashable
    seconds: float
    allowed: float
    over: bool


@dataclass
class _Watch:
    begun: float
    again: int
    measured: bool
    told: bool = False


class Deadlines:
    """Watch tasks by keys of the caller's, such as workers.

    timeout : seconds of a task until it is over, None for what is measured. A start has its own
    clock   : seconds, of a clock that does not go back
    """

    def __init__(
        self, timeout: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._timeout, self._clock = timeout, clock
        self._watches: dict[Hashable, _Watch] = {}
        self._lengths: deque[float] = deque(maxlen=TASKS)
        self._seen, self._now, self._looked = clock(), 0.0, 0.0

    def start(self, key: Hashable) -> None:
        """Watch the start of a worker."""
        self._watches[key] = _Watch(self._advance(), 0, measured=False)

    def begin(self, key: Hashable, again: int = 0) -> None:
        """Watch a task from here on.

        again : times that it was over. Each doubles what it is allowed, for a slow machine
        """
        self._watches[key] = _Watch(self._advance(), again, measured=True)

    def end(self, key: Hashable) -> None:
        """Note that a task has an answer."""
        watch = self._watches.pop(key, None)
        if watch is not None and watch.measured:
            self._lengths.append(self._advance() - watch.begun)

    def forget(self, key: Hashable) -> None:
        """Watch no more: a worker is ready or dead."""
        self._watches.pop(key, None)

    def check(self) -> list[Late]:
        """Return the tasks to tell of, each once, and those that are over, until forgotten."""
        now = self._advance()
        if now - self._looked < _LOOK:
            return []
        self._looked = now
        found = []
        for key, watch in self._watches.items():
            told, over = self._allowed(watch)
            seconds = now - watch.begun
            if seconds >= over or (seconds >= told and not watch.told):
                watch.told = True
                found.append(Late(key, seconds, over, seconds >= over))
        return found

    def _allowed(self, watch: _Watch) -> tuple[float, float]:
        """Return the seconds until a task is told of, and until it is over."""
        if not watch.measured or (self._timeout is None and not self._lengths):
            told, over = FIRST_TOLD, FIRST_OVER
        else:
            longest = max(self._lengths, default=0.0)
            told = max(TOLD * longest, LEAST_TOLD)
            over = self._timeout or max(OVER * longest, LEAST_OVER)
        over *= 2**watch.again
        return min(told, over), over

    def _advance(self) -> float:
        """Return the time, in which no step is longer than a look at it should be."""
        seen = self._clock()
        self._now += min(seen - self._seen, _STEP)
        self._seen = seen
        return self._now
