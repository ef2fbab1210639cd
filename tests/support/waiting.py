"""Waits of tests: for an event, never for a while.

A machine may be twenty times as busy as it has cores. So what a test waits for may take long, and
no result depends on how long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 250.0
"""Seconds until a test gives up, on a busy machine. None needs a tenth of that on an idle one."""


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait for a condition, and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        time.sleep(0.01)
    return value
