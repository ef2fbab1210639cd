"""CPU time of this process and of all that it has started, directly or not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cpu_seconds() -> float:
    """Return the CPU seconds used since this process began, by it and its descendants.

    Counted are those that live, and those that died and were waited for by their parent. Where
    there is no /proc only this process and its own dead children are. About 0.1 ms.
    """
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    return total + sum(map(_seconds_of, _children(_PROC / "self")))


def _seconds_of(pid: str) -> float:
    """Return the CPU seconds of a process, its dead children and its living descendants."""
    try:
        # The name, in parentheses, may hold spaces; utime, stime, cutime, cstime are 14 to 17.
        fields = (_PROC / pid / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile: from now on its parent counts it
        return 0.0
    used = sum(map(int, fields[11:15])) / _TICKS
    return used + sum(map(_seconds_of, _children(_PROC / pid)))


def _children(process: Path) -> Iterator[str]:
    """Return the process ids of a process's living children, those of each of its threads."""
    try:
        threads = [*(process / "task").iterdir()]
    except OSError:
        return
    for thread in threads:
        with contextlib.suppress(OSError):  # one thread that ends does not take the others' along
            yield from (thread / "children").read_text().split()
