"""Supervised processes: start them, watch them, replace the dead, leave none behind.

A. One pipe per process. The parent waits for pipes and ends of processes at once, so a death is
   seen like a message.
B. A worker never outlives its parent: a thread in it waits for the parent's end and exits. Pipes
   reaching EOF and PR_SET_PDEATHSIG do not do under forkserver. The fork server and the resource
   tracker end when their last client has.
C. Ctrl-C on a terminal reaches the whole process group. Workers and fork server are started with
   SIGINT blocked and ignore it afterwards, so that stopping is the parent's decision alone.

Supervision knows no tasks: ``pool.py`` gives them out. ``worker.py`` is the other side. None of
them imports NumPy: a worker pins BLAS before it loads any.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection as mp_connection
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from fastpong.runtime.worker import READY, Cargo, hidden_main, inheritable_settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_PRELOAD = ("fastpong.runtime.pool", "fastpong.runtime.sharedmem")  # every worker needs them
_KILL_SECONDS = 1.0
_RETRY_SECONDS = 0.05

Target = Callable[["Connection", Cargo, "list[Connection]"], None]


class WorkerError(RuntimeError):
    """Report a worker that raised or died too often.

    The message has the worker's traceback and the task's number.
    """


@dataclass(eq=False)
class Worker:
    """Hold one process and our end of its pipe.

    failed_starts : of this process and its predecessors in the same place
    ready         : it has reported READY
    """

    process: BaseProcess
    connection: Connection
    failed_starts: int
    ready: bool = False


class Supervisor:
    """Start, watch, replace and end worker processes.

    target   : the worker's main function, ``target(connection, cargo, inherited)``. It calls
               ``worker.prepare(inherited)`` first and sends READY once
    cargo    : see ``Cargo``
    method   : of starting, "fork", "spawn" or "forkserver"
    attempts : starts that one place may cost
    preload  : modules that the fork server imports once for all
    main     : whether workers import the program's main module, as multiprocessing does

    workers  : as they are now
    restarts : workers replaced so far
    """

    def __init__(
        self,
        target: Target,
        cargo: Cargo,
        method: str,
        attempts: int,
        preload: Sequence[str] = (),
        main: bool = True,
    ) -> None:
        self._target, self._cargo, self._main = target, cargo, main
        self._method, self._attempts, self._preload = method, attempts, preload
        self.workers: list[Worker] = []
        self.restarts = 0
        self.kill = weakref.finalize(self, _kill_all, self.workers, os.getpid())

    def start(self, count: int) -> None:
        """Start the first ``count`` workers without waiting for them.

        Raises WorkerError when the system, or the fork server, starts none.
        """
        if self._method == "forkserver":
            launch_fork_server(self._preload)
        for _ in range(count):
            self.workers.append(self._start(failed_starts=0))

    def events(self, timeout: float) -> Iterator[tuple[Worker, bytes | None]]:
        """Wait for messages and deaths and yield them.

        None is a death. All messages of a worker come before its death.
        """
        handles = [handle for w in self.workers for handle in (w.connection, w.process.sentinel)]
        events = set(mp_connection.wait(handles, timeout))
        for worker in list(self.workers):
            readable = worker.connection in events
            ended = worker.process.sentinel in events
            if readable or ended:
                # All messages sent before a death count, so they are read first.
                gone = yield from _messages(worker, readable, to_the_end=ended)
                if ended or gone:
                    yield worker, None

    def bury(self, worker: Worker) -> str:
        """Free a dead worker's resources, describe its death.

        ``replace`` or ``remove`` comes next.
        """
        return _describe_exit(_bury(worker))

    def replace(self, worker: Worker, death: str) -> Worker:
        """Start the successor of a buried worker.

        Raises WorkerError, and removes the worker, when its place has cost ``attempts`` starts.
        """
        failed_starts = 0 if worker.ready else worker.failed_starts + 1
        place = self.workers.index(worker)
        try:
            if failed_starts >= self._attempts:
                raise WorkerError(
                    f"a worker could not start: it died ({death}) {failed_starts} times before it "
                    "was ready"
                )
            self.restarts += 1
            self.workers[place] = self._start(failed_starts)
        except WorkerError:
            del self.workers[place]
            raise
        return self.workers[place]

    def remove(self, worker: Worker) -> None:
        """Give up the place of a buried worker."""
        self.workers.remove(worker)

    def _start(self, failed_starts: int) -> Worker:
        """Start a worker, with retries."""
        for attempt in range(1, self._attempts + 1):
            try:
                return self._try_start(failed_starts)
            except (OSError, EOFError) as error:
                # A SIGTERM to the process group ends workers and fork server: the server may be
                # dying as it is asked. The next one is a new one.
                if attempt == self._attempts:
                    raise WorkerError(
                        f"cannot start a worker by {self._method} in {attempt} attempts: {error!r}"
                    ) from error
                time.sleep(_RETRY_SECONDS)
        raise AssertionError("unreachable")

    def _try_start(self, failed_starts: int) -> Worker:
        context = multiprocessing.get_context(self._method)
        ours, theirs = context.Pipe()
        # Only a forked child has our ends of the pipes too, and is told to close them.
        inherited = [ours, *(w.connection for w in self.workers)] if self._method == "fork" else []
        process = context.Process(  # type: ignore[attr-defined]  # every context has it
            target=self._target, args=(theirs, self._cargo, inherited), daemon=True
        )
        try:
            hidden = contextlib.nullcontext() if self._main else hidden_main()
            with inheritable_settings(self._method), hidden:
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Worker(process, ours, failed_starts)


def launch_fork_server(preload: Sequence[str] = ()) -> None:
    """Launch this process's fork server if it has none.

    Returns without waiting for it. A Pool does this itself. Called earlier, the imports of the
    server and the caller's run side by side. ``preload``: modules to import there, once for all
    workers.

    The server, and so every process that anyone here starts through it, begins with SIGINT blocked
    and BLAS/OpenMP at one thread.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOAD, *preload])
    with inheritable_settings("forkserver"):
        forkserver.ensure_running()


def checked_method(start_method: str | None) -> str:
    """Return the start method, for None the best available.

    Raises ValueError for one that this system does not have.
    """
    available = multiprocessing.get_all_start_methods()
    if start_method is None:
        return "forkserver" if "forkserver" in available else "spawn"
    if start_method not in available:
        raise ValueError(f"expected start_method among {available}, got {start_method!r}")
    return start_method


def _messages(
    worker: Worker, readable: bool, to_the_end: bool
) -> Generator[tuple[Worker, bytes], None, bool]:
    """Yield one message or all of a pipe.

    Returns True when the pipe's other end is gone.
    """
    while True:
        try:
            if not readable and not (to_the_end and worker.connection.poll()):
                return False
            message = worker.connection.recv_bytes()
        except (EOFError, OSError):
            return True
        readable = False
        if message[:1] == READY:
            worker.ready = True
        else:
            yield worker, message


def _kill_all(workers: list[Worker], owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked copy of the supervisor owns no workers
    for worker in workers:
        if worker.process.is_alive():
            worker.process.kill()
    deadline = time.monotonic() + _KILL_SECONDS
    for worker in workers:
        _bury(worker, deadline)
    workers.clear()


def _bury(worker: Worker, deadline: float | None = None) -> int | None:
    """Free a worker's descriptors, return its exit code.

    A living one is killed.
    """
    process = worker.process
    worker.connection.close()
    if process.is_alive():
        process.kill()
    process.join(_KILL_SECONDS if deadline is None else max(0.0, deadline - time.monotonic()))
    code = process.exitcode
    # close() also ends the wait of the worker's watcher. That reaches a worker whose fork server
    # was killed: it looks dead from here and cannot be signalled.
    with contextlib.suppress(ValueError):
        process.close()
    return code


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "still ending"
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
