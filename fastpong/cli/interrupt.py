"""Signals of a training run: the first asks it to stop, a second Ctrl-C ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType

from fastpong.runtime.signals import STOPS

_SHOW_CURSOR = b"\x1b[?25h"


class Interrupted(BaseException):
    """Report a signal before there was anything to save.

    Like KeyboardInterrupt, it is no Exception.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupt:
    """Hold the stop flag of a run.

    The signals of ``STOPS`` raise it, blocked at first or not. Calling it reads it. Used as a
    context manager in the main thread. Until ``deferred`` is set a signal raises
    Interrupted in place. From then on it only raises the flag, for the training loop to poll.
    A SIGINT after another signal kills the workers and ends the process, status 130, without
    any slow clean-up.

    deferred : whether a signal waits for the loop to notice
    pids     : returns the processes to kill at a second Ctrl-C
    restore  : gives the terminal back before that
    number   : the first signal that came, 0 before
    """

    def __init__(self) -> None:
        self.deferred = False
        self.pids: Callable[[], Iterable[int]] = tuple
        self.restore: Callable[[], object] = lambda: None
        self.number = 0
        self._mask: set[int] = set()
        self._previous: dict[int, signal.Handlers | Callable[..., object] | int | None] = {}

    def __call__(self) -> bool:
        """Return whether the run was asked to stop."""
        return self.number != 0

    @property
    def status(self) -> int:
        """Return the exit status, as a shell counts signals.

        0 if none came.
        """
        return 128 + self.number if self.number else 0

    @property
    def name(self) -> str:
        """Return the first signal's name, or "a request"."""
        return signal.Signals(self.number).name if self.number else "a request"

    def __enter__(self) -> Interrupt:
        for number in STOPS:
            # `nohup` ignores SIGHUP, and means it. An ignored SIGINT, as of a script's background
            # job, is still taken: only a `kill -INT` meant for this process can bring one.
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._handle)
        self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._previous)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number and number == signal.SIGINT:
            self._end()
        first, self.number = not self.number, self.number or number
        if first and not self.deferred:
            raise Interrupted(number)

    def _end(self) -> None:
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.restore()
        if sys.stdout is not None and sys.stdout.isatty():  # the live display hides it
            with contextlib.suppress(OSError):
                os.write(1, _SHOW_CURSOR)
        os._exit(128 + signal.SIGINT)
