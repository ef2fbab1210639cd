"""CPU time of this process and of its descendants."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

SHARE = 0.01
"""Of the time, at most, that a ``CpuMeter`` takes for its readings."""


class CpuMeter:
    """Read the CPU seconds of this process tree, cheaply.

    A reading looks at every thread. That takes 0.1 ms with a few workers, and 7 ms with the daemons
    of Ray. So the last reading stands for a hundred times its own CPU time.

    clock, own : seconds, of the wall and of this thread's CPU time
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        own: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._own = clock, own
        self._seconds, self._next = 0.0, clock()

    def seconds(self) -> float:
        """Return ``cpu_seconds``, of now or of a moment ago."""
        now = self._clock()
        if now >= self._next:
            begin = self._own()
            self._seconds = cpu_seconds()
            self._next = now + (self._own() - begin) / SHARE
        return self._seconds


def cpu_seconds() -> float:
    """Return CPU seconds of this process and its descendants.

    It counts the living, and the dead that their parent waited for. Without /proc it counts this
    process and its own dead children alone.
    """
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    return total + sum(map(_seconds_of, _children(_PROC / "self")))


def _seconds_of(pid: str) -> float:
    """Return CPU seconds of a process and its descendants."""
    try:
        # The name, in parentheses, may hold spaces; utime, stime, cutime, cstime are 14 to 17.
        fields = (_PROC / pid / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile: from now on its parent counts it
        return 0.0
    used = sum(map(int, fields[11:15])) / _TICKS
    return used + sum(map(_seconds_of, _children(_PROC / pid)))


def _children(process: Path) -> Iterator[str]:
    """Yield the process ids of all threads' living children."""
    try:
        threads = [*(process / "task").iterdir()]
    except OSError:
        return
    for thread in threads:
        with contextlib.suppress(OSError):  # one thread that ends does not take the others' along
            yield from (thread / "children").read_text().split()
