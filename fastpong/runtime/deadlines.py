"""Deadlines of tasks, from the measured length of the tasks before.

A worker that is stopped, in a debugger or waits for a file system that does not answer looks busy
for ever. A task is told of once it has lasted some times the longest of the last tasks, and is
over after some times more. Neither is before a while, for machines are busy at times.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

TASKS = 100
"""Tasks whose length counts."""

_LOOK, _STEP = 0.25, 1.0


@dataclass(frozen=True)
class Limits:
    """Say when a task is told of, and when it is over.

    told, over             : times the longest of the last tasks
    least_told, least_over : seconds that a task may take in any case
    first_told, first_over : seconds for a worker's start, and for tasks before any is measured:
                             imports, compilations
    """

    told: float = 3
    over: float = 10
    least_told: float = 20.0
    least_over: float = 60.0
    first_told: float = 120.0
    first_over: float = 600.0


LOCAL = Limits()

CLUSTER = Limits(4, 20, least_told=2.0, first_told=60.0)
"""What is told of is given to a second worker there."""


class Lengths:
    """Measure how long tasks take, and say how long the next may.

    The clock counts no time in which nobody looked at it: the program was stopped or learned, or
    the computer slept.

    limits  : see there
    timeout : seconds of a task until it is over, None for what is measured
    clock   : seconds, of a clock that does not go back
    """

    def __init__(
        self,
        limits: Limits = LOCAL,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits, self._timeout, self._clock = limits, timeout, clock
        self._lengths: deque[float] = deque(maxlen=TASKS)
        self._seen, self._now = clock(), 0.0

    def now(self) -> float:
        """Return the time, in which no step is longer than a look at it should be."""
        seen = self._clock()
        self._now += min(seen - self._seen, _STEP)
        self._seen = seen
        return self._now

    def add(self, seconds: float) -> None:
        """Count a task's length."""
        self._lengths.append(seconds)

    def first(self) -> tuple[float, float]:
        """Return the seconds until a start is told of, and until it is over."""
        return self.limits.first_told, self.limits.first_over

    def allowed(self, again: int = 0) -> tuple[float, float]:
        """Return the seconds until a task is told of, and until it is over.

        again : times that it was over. Each doubles what it is allowed, for a slow machine
        """
        told, over = self.first()
        if self._lengths:
            longest, limits = max(self._lengths), self.limits
            told = max(limits.told * longest, limits.least_told)
            over = max(limits.over * longest, limits.least_over)
        over = (self._timeout or over) * 2**again
        return min(told, over), over


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
        self._lengths = Lengths(LOCAL, timeout, clock)
        self._watches: dict[Hashable, _Watch] = {}
        self._looked = 0.0

    def start(self, key: Hashable) -> None:
        """Watch the start of a worker."""
        self._watches[key] = _Watch(self._lengths.now(), 0, measured=False)

    def begin(self, key: Hashable, again: int = 0) -> None:
        """Watch a task from here on.

        again : as of ``Lengths.allowed``
        """
        self._watches[key] = _Watch(self._lengths.now(), again, measured=True)

    def end(self, key: Hashable) -> None:
        """Note that a task has an answer."""
        watch = self._watches.pop(key, None)
        if watch is not None and watch.measured:
            self._lengths.add(self._lengths.now() - watch.begun)

    def forget(self, key: Hashable) -> None:
        """Watch no more: a worker is ready or dead."""
        self._watches.pop(key, None)

    def check(self) -> list[Late]:
        """Return the tasks to tell of, each once, and those that are over, until forgotten."""
        now = self._lengths.now()
        if now - self._looked < _LOOK:
            return []
        self._looked = now
        found = []
        for key, watch in self._watches.items():
            lengths = self._lengths
            told, over = lengths.allowed(watch.again) if watch.measured else lengths.first()
            seconds = now - watch.begun
            if seconds >= over or (seconds >= told and not watch.told):
                watch.told = True
                found.append(Late(key, seconds, over, seconds >= over))
        return found
