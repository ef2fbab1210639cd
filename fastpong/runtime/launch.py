"""Start one process by any of the methods, with one connection to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from fastpong.runtime import signals
from fastpong.runtime.forkserver import ForkServer, fork_server
from fastpong.runtime.worker import Cargo, Ties, one_thread

_STALLED_SECONDS = 30
"""How long a message may take that has begun: the other side is stopped in the middle of it."""

Target = Callable[[Connection, Cargo, Ties], None]


class Process(Protocol):
    """What a supervisor needs of a process, as of multiprocessing's."""

    @property
    def pid(self) -> int | None:
        """Return its process id, None while it is not known."""

    @property
    def exitcode(self) -> int | None:
        """Return its exit code, minus a signal's number, None while it is not known."""

    def kill(self) -> None:
        """Kill it."""

    def join(self, timeout: float) -> None:
        """Wait for its end."""

    def close(self) -> None:
        """Free its descriptors."""


def checked_method(start_method: str | None) -> str:
    """Return the start method, for None the best available.

    Raises ValueError for one that this system does not have, or that cannot be used here.
    """
    available = multiprocessing.get_all_start_methods()
    if start_method is None:
        return "forkserver" if "forkserver" in available else "spawn"
    if start_method not in available:
        raise ValueError(f"expected start_method among {available}, got {start_method!r}")
    if start_method != "forkserver" and multiprocessing.current_process().daemon:
        raise ValueError(
            f"expected start_method 'forkserver' inside a daemonic process, got {start_method!r}, "
            "by which multiprocessing lets it have no children"
        )
    return start_method


def launch_fork_server(preload: Sequence[str] = ()) -> ForkServer:
    """Launch this process's fork server if it has none, and return it.

    Returns without waiting for it. A Pool does this itself. Called earlier, the imports of the
    server and the caller's run side by side. ``preload``: modules to import there, once for all
    workers.
    """
    return fork_server(preload, one_thread(numba_loaded=False))


def launch(
    method: str,
    target: Target,
    cargo: Cargo,
    others: Sequence[Connection],
    main: bool,
    preload: Sequence[str] = (),
) -> tuple[Process, Connection]:
    """Start a process, and return it with our end of its connection.

    others  : connections to processes that were started before
    main    : whether it imports the program's main module
    preload : modules to import in a fork server, should it have to be launched

    Raises TypeError when the cargo cannot be sent, OSError when the system starts no process.
    """
    ours, theirs = _pair()
    try:
        with contextlib.nullcontext() if main else _hidden_main():
            if method == "forkserver":
                server = launch_fork_server(preload)
                return server.start(target, (cargo, Ties()), ours, theirs), ours
            # Only a forked child has our ends of the pipes too, and is told to close them.
            inherited = [ours, *others] if method == "fork" else []
            bound = threading.current_thread() is threading.main_thread()
            process = multiprocessing.get_context(method).Process(  # type: ignore[attr-defined]
                target=target, args=(theirs, cargo, Ties(inherited, bound)), daemon=True
            )
            with _inheritable_settings(method):
                process.start()
            return process, ours
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()


def _pair() -> tuple[Connection, Connection]:
    """Return two ends of a connection. Ours waits for no other side for ever."""
    ours, theirs = socket.socketpair()
    limit = struct.pack("@ll", _STALLED_SECONDS, 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        ours.setsockopt(socket.SOL_SOCKET, option, limit)
    return Connection(ours.detach()), Connection(theirs.detach())


@contextlib.contextmanager
def _inheritable_settings(method: str) -> Iterator[None]:
    """Prepare the environment for processes started inside.

    They begin with some signals held back, one thread per library and our path of imports. A new
    interpreter would import any package of our name, or of Python's, in the current directory
    first. BLAS reads its variables once, when it is loaded.
    """
    settings = one_thread(method == "fork" and "numba" in sys.modules) | {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
    before = {name: os.environ.get(name) for name in settings}
    try:
        os.environ.update(settings)
        if method != "fork":
            with signals.held():  # apart, for it unblocks SIGINT at its end
                resource_tracker.ensure_running()
        with signals.held():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep processes started inside from running our main module.

    They import it otherwise, as far as it is a file, and a script that starts a training outside
    of ``if __name__ == "__main__":`` would start one in every worker.
    """
    main = sys.modules["__main__"]
    file, spec = main.__dict__.pop("__file__", None), main.__spec__
    try:
        main.__spec__ = None
        yield
    finally:
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file
