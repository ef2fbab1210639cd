"""Connections that ask nothing, and would keep others out of the board."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakKeyDictionary

SECONDS = 5.0
"""Time that a connection has for its first request."""


class Connection(Protocol):
    """Type a connection of uvicorn."""

    transport: asyncio.Transport


class Idle:
    """End connections without a request, as browsers open some ahead, and port scanners many."""

    def __init__(self) -> None:
        self._since: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    def end(self, connections: Iterable[Connection]) -> None:
        """End those that were seen without a request for ``SECONDS``.

        connections : uvicorn's, whose ``cycle`` is None before the first request
        """
        now = time.monotonic()
        for connection in [*connections]:
            if getattr(connection, "cycle", True) is not None:
                continue
            if now - self._since.setdefault(connection, now) >= SECONDS:
                connection.transport.abort()
