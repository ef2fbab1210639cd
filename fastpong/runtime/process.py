"""Supervised processes: start them, watch them, replace the dead, leave none behind.

A. One pipe per process. A death is the pipe's end, after all messages before it.
B. A worker never outlives its parent, see ``parent.py``.
C. Ctrl-C on a terminal reaches the whole process group, and so do a scheduler's signals. Workers
   and fork server ignore them, so that stopping is the parent's decision alone.

Supervision knows no tasks: ``pool.py`` gives them out. ``launch.py`` starts processes, and
``worker.py`` is the other side. None of them imports NumPy: a worker pins BLAS before it loads any.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection as mp_connection
from multiprocessing.connection import Connection

from fastpong.runtime.forkserver import Served
from fastpong.runtime.launch import Process, Target, launch, launch_fork_server
from fastpong.runtime.worker import READY, Cargo

_KILL_SECONDS = 1.0
_BURY_SECONDS = 5.0
_RETRY_SECONDS = 0.05
_FILES_BESIDES = 16
"""Open files that a training needs besides those of its workers, and of an evaluation's."""


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

    process: Process
    connection: Connection
    failed_starts: int
    ready: bool = False


class Supervisor:
    """Start, watch, replace and end worker processes.

    target   : the worker's main function, ``target(connection, cargo, ties)``. It calls
               ``worker.prepare(connection, ties)`` first and sends READY once
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
        _check_open_files(count * (1 if self._method == "forkserver" else 4))
        if self._method == "forkserver":
            launch_fork_server(self._preload)
        for _ in range(count):
            self.workers.append(self._start(failed_starts=0))

    def events(self, timeout: float) -> Iterator[tuple[Worker, bytes | None]]:
        """Wait for messages and deaths and yield them.

        None is a death. All messages of a worker come before its death, READY first.
        """
        connections = {worker.connection: worker for worker in self.workers}
        for connection in mp_connection.wait([*connections], timeout):
            worker = connections[connection]  # type: ignore[index]  # no others were given
            try:
                message = worker.connection.recv_bytes()
            except (EOFError, OSError):  # also of one that is stopped in the middle of a message
                yield worker, None
            else:
                worker.ready = worker.ready or message[:1] == READY
                yield worker, message

    def bury(self, worker: Worker) -> str:
        """Free a worker's resources, describe its death. A living one is killed.

        ``replace`` or ``remove`` comes next.
        """
        return _bury(worker, time.monotonic() + _BURY_SECONDS)

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
                others = [worker.connection for worker in self.workers]
                what = self._target, self._cargo
                started = launch(self._method, *what, others, self._main, self._preload)
                return Worker(*started, failed_starts)
            except (OSError, EOFError) as error:
                # A SIGTERM to the process group ends workers and fork server: the server may be
                # dying as it is asked. The next one is a new one.
                if attempt == self._attempts:
                    raise WorkerError(
                        f"cannot start a worker by {self._method} in {attempt} attempts: {error!r}"
                    ) from error
                time.sleep(_RETRY_SECONDS)
        raise AssertionError("unreachable")


def _kill_all(workers: list[Worker], owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked copy of the supervisor owns no workers
    for worker in workers:
        worker.process.kill()
    deadline = time.monotonic() + _KILL_SECONDS
    for worker in workers:
        _bury(worker, deadline, last=True)
    workers.clear()


def _bury(worker: Worker, deadline: float, last: bool = False) -> str:
    """Free a worker's descriptors, describe its death.

    last : nobody comes after it. A fork server that is late is left alone: it may have children of
           other pools. One without a process id ends by the end of its connection
    """
    process = worker.process
    process.kill()
    worker.connection.close()
    left = max(0.0, deadline - time.monotonic())
    if last and isinstance(process, Served):
        process.join(left, patient=True)
    else:
        process.join(left)
    death = getattr(process, "failure", None) or _describe_exit(process.exitcode)
    with contextlib.suppress(ValueError):  # it still lives, by a system call that never ends
        process.close()
    return death


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "still ending"
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _check_open_files(files: int) -> None:
    """Raise the limit of open files as far as it may be, WorkerError where that is not enough.

    files : of the workers
    """
    needed = 2 * files + _FILES_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise WorkerError(
            f"workers: expected a limit of {needed} open files for so many, got {hard}; use "
            f"fewer, or raise the limit: ulimit -n {needed}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
