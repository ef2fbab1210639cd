"""A process that ends with its parent, whatever ends that, and whatever it does itself.

On Linux the kernel does it (PR_SET_PDEATHSIG): it kills a process that is stopped, too. It holds
for the thread that began the process, and for the fork server's children that is the fork server,
which ends with its own parent. A thread does it everywhere else, and for what the kernel cannot
see: a connection that was given up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
_ENDS = select.POLLHUP | select.POLLERR | select.POLLNVAL


def die_with_parent(number: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Ask the kernel for a signal at the end of the parent's thread, where it can.

    parent : its process id. If it has ended by now, of which the kernel tells nothing, so does
             this process. None for a process that learns of it in another way
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # a system with another C library
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def hung_up(descriptor: int, timeout: float | None = 0.0) -> bool:
    """Return whether the other end of a socket is closed, after waiting for it.

    timeout : in seconds, None without end
    """
    poller = select.poll()
    poller.register(descriptor, select.POLLHUP)  # always told, but on macOS only if asked for
    found = poller.poll(None if timeout is None else timeout * 1000)
    return any(event & _ENDS for _, event in found)


def end_with(descriptor: int) -> None:
    """End this process once the other end of a socket is closed."""
    if hung_up(descriptor):
        os._exit(1)
    threading.Thread(target=_wait, args=(descriptor,), daemon=True).start()


def _wait(descriptor: int) -> None:
    while not hung_up(descriptor, None):
        time.sleep(0.1)  # macOS may wake for data, too
    os._exit(1)


def in_lasting_thread(action: Callable[[], T]) -> T:
    """Do something in a thread that lasts as long as the process, and return its result.

    For the start of processes that die with the thread. Raises what the action does.
    """
    if threading.current_thread() is threading.main_thread():
        return action()
    results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def last() -> None:
        try:
            results.put((action(), None))
        except BaseException as error:
            results.put((None, error))
        threading.Event().wait()

    threading.Thread(target=last, name="starts processes", daemon=True).start()
    result, error = results.get()
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
