"""Tasks, and what plays them: a pool of this machine or of another kind."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fastpong.arrays import Array


class PoolState(enum.Enum):
    """Name the stages of a pool's life."""

    OPEN = "open"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True)
class Task:
    """Name a piece of work by plain data.

    It gives the same result however often it is played.

    number  : the caller's name for it, e.g. the episode, for error messages
    version : of the weights to play with
    payload : picklable, of importable types, anything else the player needs
    """

    number: int
    version: int
    payload: Any = None


class TaskPool(Protocol):
    """Play tasks, on this machine or a cluster."""

    def publish(self, version: int, arrays: Mapping[str, Array]) -> None:
        """Make ``arrays`` the weights of ``version``."""

    def submit(self, task: Task) -> None:
        """Queue a task and return at once."""

    def collect(self, timeout: float) -> list[tuple[Task, Any]]:
        """Return finished tasks, each once, in any order.

        Waits up to ``timeout`` seconds for one.
        """

    def serve(self, timeout: float) -> bool:
        """Keep workers playing for up to ``timeout`` seconds.

        Their results wait for ``collect``. Returns whether a task is still being played.
        """

    def close(self) -> None:
        """End all workers, busy or not."""


def check_count(name: str, value: object) -> None:
    """Raise TypeError or ValueError for a number that is no count."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected {name} to be an int, got {value!r}")
    if value < 1:
        raise ValueError(f"expected {name} >= 1, got {value}")


def check_timeout(timeout: float) -> None:
    """Raise ValueError for a time to wait that is below 0 or NaN."""
    if not timeout >= 0:
        raise ValueError(f"expected timeout >= 0 seconds, got {timeout}")
