"""The worker's side of a Ray pool: an actor of one CPU.

Its answers are bytes, as the local worker's are: the first byte is their kind. So a result's arrays
are the receiver's own, and no traceback has to survive pickling.
"""

from __future__ import annotations

import os
import pickle
import socket
import time
import traceback
from collections.abc import Callable
from typing import Any

from fastpong.runtime.worker import BROKEN, ERROR, READY, RESULT

REFUSED = b"F"
"""Kind of the answer of a machine whose results might differ. The others are in ``worker``."""

LACKING = b"L"
"""Answer to tasks whose weights did not come."""


class RayWorker:
    """Play tasks on one CPU of a cluster."""

    def __init__(self) -> None:
        self._play: Callable[..., object] | None = None
        self._number = 0
        self._weights: dict[str, Any] = {}

    def prepare(self, cargo: bytes, about: tuple[str, str, str], facts: dict[str, str]) -> bytes:
        """Get ready, unless a fact differs.

        cargo : pickled ``(make_player, arguments)``
        about : arguments of ``alike.facts``
        facts : the driver's
        """
        try:
            from fastpong.runtime.cluster import alike

            reason = alike.difference(facts, alike.facts(*about))
            if reason is not None:
                return REFUSED + f"{self._place()}: {reason}".encode()
            make_player, arguments = pickle.loads(cargo)
            self._play = make_player(*arguments)
        except BaseException:
            return BROKEN + self._traceback()
        return READY + self._place().encode()

    def live(self) -> bytes:
        """Answer, as a sign of life."""
        return READY

    def play(
        self, messages: list[bytes], number: int, weights: dict[str, Any] | None = None
    ) -> tuple[float, list[bytes]]:
        """Play pickled tasks, and return seconds and answers.

        number  : of the weights
        weights : those, unless the call before had them. Ray drops a call whose weights it cannot
                  fetch, and runs the next one, which has none
        """
        if weights is not None:
            self._number, self._weights = number, weights
        if number != self._number:
            return 0.0, [LACKING]
        begin = time.perf_counter()
        answers = [self._answer(message) for message in messages]
        return time.perf_counter() - begin, answers

    def _answer(self, message: bytes) -> bytes:
        try:
            assert self._play is not None
            result = self._play(pickle.loads(message), self._weights)
            return RESULT + pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
        except BaseException:
            return ERROR + self._traceback()

    def _place(self) -> str:
        return f"{socket.gethostname()}, process {os.getpid()}"

    def _traceback(self) -> bytes:
        text = f"on {self._place()}:\n{traceback.format_exc()}"
        return text.encode(errors="backslashreplace")


def pickled(make_player: object, arguments: tuple[object, ...]) -> bytes:
    """Return what makes a player, for ``RayWorker.prepare``.

    Raises TypeError for what cannot be sent.
    """
    try:
        return pickle.dumps((make_player, tuple(arguments)), pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            "expected make_player to be a top-level function of a module, and its arguments to be "
            f"picklable, got {(make_player, arguments)!r}: {error}"
        ) from error
