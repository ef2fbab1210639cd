"""The priority of a process that must not disturb others."""

from __future__ import annotations

import contextlib
import os

NICENESS = 15


def lower() -> None:
    """Let this process and its children give way to others, as ``nice`` does."""
    with contextlib.suppress(OSError, AttributeError):  # a system without
        os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
