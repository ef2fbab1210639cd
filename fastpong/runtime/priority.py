"""The priority of a process that must not disturb others."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICENESS = 15


def lower() -> None:
    """Let this process and its children give way to others, as ``nice`` does.

    Linux has a priority for every thread, and NumPy's begin when it is imported.
    """
    for thread in _threads():
        with contextlib.suppress(OSError, AttributeError):  # ended meanwhile, a system without
            niceness = max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
            os.setpriority(os.PRIO_PROCESS, thread, niceness)


def _threads() -> list[int]:
    """Return the ids of this process's threads, 0 for the process where there are none."""
    try:
        return [int(path.name) for path in Path("/proc/self/task").iterdir()]
    except OSError:
        return [0]
