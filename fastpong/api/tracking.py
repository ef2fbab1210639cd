"""Trackers of a script's training: Weights & Biases and MLflow."""

from __future__ import annotations

from typing import Self

from fastpong.storage.run import Run, RunError
from fastpong.storage.tracking import STOPPED, TRACKERS, missing
from fastpong.storage.tracking import track as begin


class Tracked:
    """Send a run to a tracker.

    A context manager.

    status : that the run has there in the end

    Raises RunError, with the service's own reason.
    """

    def __init__(self, run: Run, name: str) -> None:
        self.status = STOPPED
        try:
            self._tracking = begin(run, name)
        except RunError as error:
            raise RunError(_as_argument(str(error))) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tracking.close(self.status)


def check_tracker(name: str) -> None:
    """Check that a tracker can be used.

    Raises ValueError for an unknown one, ImportError for one that is not installed.
    """
    if name not in TRACKERS:
        raise ValueError(f"track: expected one of {', '.join(TRACKERS)}, got {name!r}")
    if (reason := missing(name)) is not None:
        raise ImportError(_as_argument(reason))


def _as_argument(message: str) -> str:
    """Return a message with the option as an argument."""
    return message.replace("--track ", "track=", 1)
