"""Signals that are the main process's to answer, and how its children are kept out of it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

STOPS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
    if hasattr(signal, name)
)
"""Signals that ask a training to save and end.

A terminal sends SIGINT and SIGHUP. SLURM and SGE send SIGUSR1, SIGUSR2 or SIGXCPU some time before
they kill a job.
"""

IGNORED = tuple(number for number in STOPS if number != signal.SIGTERM)
"""Those that may reach the whole process group. Workers go on until their parent ends them."""


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold signals back, in processes started inside, too, until they call ``reset``.

    A new interpreter would otherwise end, or print a KeyboardInterrupt, by a signal that comes
    before it can ignore it.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def reset() -> None:
    """Ignore what the parent answers, take SIGTERM, drop inherited handlers and masks."""
    signal.set_wakeup_fd(-1)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
