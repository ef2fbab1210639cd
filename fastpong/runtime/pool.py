"""Supervised worker processes: tasks in, results out, nothing lost, nothing left behind.

A. One pipe per worker, one task at a time in it; the pool queues the rest. The next task leaves as
   soon as a result has been read, before that result is even unpickled.
B. A task is plain, idempotent data. A worker that dies is replaced and its task played again; a
   task that keeps killing its workers, or one that raises, ends the pool with a WorkerError.
C. A worker never outlives its parent: a thread in it waits for the parent's end and exits. Pipes
   reaching EOF and PR_SET_PDEATHSIG do not do under forkserver. The fork server and the resource
   tracker end when their last client has.
D. Ctrl-C on a terminal reaches the whole process group. Workers and fork server are started with
   SIGINT blocked and ignore it afterwards, so that stopping is the parent's decision alone.

``worker.py`` is the other side. Neither imports NumPy: a worker pins BLAS before it loads any.
Not ``multiprocessing.Pool``: that one waits for ever when a worker is SIGKILLed.
"""

from __future__ import annotations

import contextlib
import enum
import multiprocessing
import os
import pickle
import signal
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection as mp_connection
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, Protocol, Self

from fastpong.runtime.worker import BROKEN, ERROR, READY, Cargo, inheritable_settings, work

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

    from fastpong.runtime.sharedmem import SharedArrays

__all__ = ["Pool", "PoolState", "Task", "TaskPool", "WorkerError", "launch_fork_server"]

_PRELOAD = (__name__, "fastpong.runtime.sharedmem")  # what every worker needs
_KILL_SECONDS = 1.0
_RETRY_SECONDS = 0.05


@dataclass(frozen=True)
class Task:
    """Name a piece of work: plain data that gives the same result however often it is played.

    number  : the caller's name for it, e.g. the episode; stands in error messages
    version : of the weights to play with
    payload : picklable, of importable types; anything else the player needs
    """

    number: int
    version: int
    payload: Any = None


class WorkerError(RuntimeError):
    """Say that a worker raised, or died too often; carries its traceback and the task's number."""


class TaskPool(Protocol):
    """What a trainer asks of a pool, here or on a cluster."""

    def publish(self, version: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Make ``arrays`` the weights that tasks of ``version`` play with."""

    def submit(self, task: Task) -> None:
        """Put a task on the table; returns at once."""

    def collect(self, timeout: float) -> list[tuple[Task, Any]]:
        """Return the results there are, each once, in any order; wait up to ``timeout`` seconds."""

    def close(self) -> None:
        """End all workers, whatever they are doing."""


class PoolState(enum.Enum):
    """Where a pool is in its life; it never goes back."""

    OPEN = "open"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(eq=False)
class _Job:
    task: Task
    message: bytes
    deaths: int = 0


@dataclass(eq=False)
class _Worker:
    """One process and our end of its pipe. ``failed_starts``: of it and those it replaces."""

    process: BaseProcess
    connection: Connection
    failed_starts: int
    ready: bool = False
    job: _Job | None = None


class Pool:
    """Play tasks in ``workers`` processes under supervision.

    Each worker calls ``play = make_player(*arguments)`` once and then, for every task,
    ``play(task, weights.slot(task.version % weights.slots, writeable=False))``.

    make_player  : top-level function of an importable module
    arguments    : picklable, or shareable at a process's start (SharedArrays, locks)
    weights      : its creator closes it, after the pool
    start_method : "fork", "spawn", "forkserver"; None for forkserver, or spawn where there is none
    attempts     : how many workers one task, or one place in starting, may cost; >= 1
    preload      : modules that the fork server imports once for all; with the others, unused.
                   Without effect if the process has a fork server already

    Returns without waiting for the workers. Not thread-safe. Raises TypeError when the arguments
    cannot be sent to a process, ValueError for those out of range, WorkerError if none starts.
    """

    def __init__(
        self,
        make_player: Callable[..., Callable[[Task, dict[str, NDArray[Any]]], Any]],
        arguments: tuple[Any, ...],
        weights: SharedArrays,
        *,
        workers: int,
        start_method: str | None = None,
        attempts: int = 3,
        preload: Sequence[str] = (),
    ) -> None:
        _check_count("workers", workers)
        _check_count("attempts", attempts)
        self._method = _checked_method(start_method)
        self._context: Any = multiprocessing.get_context(self._method)
        self._cargo = Cargo((make_player, tuple(arguments), weights))
        self._weights = weights
        self._versions: dict[int, int] = {}  # slot -> version published there
        self._in_use: dict[int, int] = {}  # slot -> tasks submitted and not yet played
        self._queue: deque[_Job] = deque()
        self._done: list[tuple[Task, Any]] = []
        self._failure: WorkerError | None = None
        self._attempts = attempts
        self.state = PoolState.OPEN
        self.restarts = 0
        self._workers: list[_Worker] = []
        self._kill = weakref.finalize(self, _kill_all, self._workers, os.getpid())
        try:
            if self._method == "forkserver":
                launch_fork_server(preload)
            for _ in range(workers):
                self._workers.append(self._start(failed_starts=0))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers as they are now."""
        return [worker.process.pid for worker in self._workers if worker.process.pid]

    def publish(self, version: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Copy ``arrays`` into slot ``version % slots``, where tasks of ``version`` find them.

        Raises ValueError when a task still to be played uses that slot, or as
        ``SharedArrays.write`` does.
        """
        self._require_open()
        slot = version % self._weights.slots
        if self._in_use.get(slot):
            raise ValueError(
                f"expected the slot of version {version} to be free, but {self._in_use[slot]} "
                f"tasks of version {self._versions[slot]} are still to be played with it; "
                "collect them first, or use more slots"
            )
        self._weights.write(slot, arrays)
        self._versions[slot] = version

    def submit(self, task: Task) -> None:
        """Queue ``task``; an idle worker gets it at once.

        Raises ValueError unless its version is the one published last in its slot, and whatever
        pickling it raises.
        """
        self._require_open()
        slot = task.version % self._weights.slots
        if self._versions.get(slot) != task.version:
            raise ValueError(
                f"expected task {task.number} to use a published version, one of "
                f"{sorted(self._versions.values())}, got {task.version}; publish it first"
            )
        self._queue.append(_Job(task, pickle.dumps(task, pickle.HIGHEST_PROTOCOL)))
        self._in_use[slot] = self._in_use.get(slot, 0) + 1
        for worker in self._workers:
            self._feed(worker)

    def collect(self, timeout: float) -> list[tuple[Task, Any]]:
        """Return (task, result) of tasks played, each task once, in any order.

        Waits until there is one or ``timeout`` seconds are over (then: an empty list); idle workers
        have their next task when it returns. Longer only for a worker that is stopped (SIGSTOP) in
        the middle of sending, or to start the successor of one that died.

        Raises WorkerError when a task raised, or has cost ``attempts`` workers, or when workers
        cannot start; results read before are returned first. After it, or any other exception
        such as KeyboardInterrupt, the workers are gone and only close() makes sense.
        """
        self._require_open()
        if not timeout >= 0:
            raise ValueError(f"expected timeout >= 0 seconds, got {timeout}")
        deadline = time.monotonic() + timeout
        try:
            while self._failure is None:
                left = deadline - time.monotonic()
                self._attend(max(left, 0.0))
                if self._done or left <= 0:
                    break
        except BaseException:
            self.close()  # a message may be half read: going on could mix up answers
            raise
        done, self._done = self._done, []
        if self._failure and not done:
            self.state = PoolState.FAILED
            self._kill()
            raise self._failure
        return done

    def close(self) -> None:
        """Kill all workers within a second and drop what was queued; may be called again."""
        self.state = PoolState.CLOSED
        self._queue.clear()
        self._done.clear()
        self._kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_open(self) -> None:
        if self.state is PoolState.CLOSED:
            raise RuntimeError("this pool is closed; make a new one")
        if self.state is PoolState.FAILED:
            reason = str(self._failure).partition("\n")[0]
            raise RuntimeError(f"this pool has failed ({reason}); make a new one")

    def _start(self, failed_starts: int) -> _Worker:
        """Start a worker; WorkerError when the system, or the fork server, will not."""
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

    def _try_start(self, failed_starts: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        # Only a forked child has our ends of the pipes too; it is told to close them.
        inherited = [ours, *(w.connection for w in self._workers)] if self._method == "fork" else []
        process = self._context.Process(
            target=work, args=(theirs, self._cargo, inherited), daemon=True
        )
        try:
            with inheritable_settings(self._method):
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return _Worker(process, ours, failed_starts)

    def _feed(self, worker: _Worker) -> None:
        """Send an idle worker its next task, before it is ready if it is still starting."""
        if worker.job is not None or not self._queue:
            return
        try:
            worker.connection.send_bytes(self._queue[0].message)
        except OSError:
            return  # it has died; the next collect() sees that
        worker.job = self._queue.popleft()

    def _attend(self, timeout: float) -> None:
        """Wait for workers to say something or die, and see to all that did."""
        handles = [handle for w in self._workers for handle in (w.connection, w.process.sentinel)]
        events = set(mp_connection.wait(handles, timeout))
        for worker in list(self._workers):
            readable = worker.connection in events
            ended = worker.process.sentinel in events
            if readable or ended:
                # Whatever a worker sent before it died counts, so all of that is read first.
                ended = self._read(worker, readable, to_the_end=ended) or ended
                if ended and self._failure is None:
                    self._replace(worker)

    def _read(self, worker: _Worker, readable: bool, to_the_end: bool) -> bool:
        """Take one message from the pipe, or all there are; True when its other end is gone."""
        try:
            while readable or (to_the_end and worker.connection.poll()):
                self._receive(worker, worker.connection.recv_bytes())
                readable = False
        except (EOFError, OSError):
            return True
        return False

    def _receive(self, worker: _Worker, message: bytes) -> None:
        kind, job = message[:1], worker.job
        if kind == READY:
            worker.ready = True
        elif kind == BROKEN:
            self._failure = WorkerError(f"a worker could not start:\n{message[1:].decode()}")
        elif job is not None:
            worker.job = None
            self._in_use[job.task.version % self._weights.slots] -= 1
            self._feed(worker)
            self._finish(job.task, message)

    def _finish(self, task: Task, message: bytes) -> None:
        text = message[1:].decode() if message[:1] == ERROR else None
        if text is None:
            try:
                self._done.append((task, pickle.loads(memoryview(message)[1:])))
            except Exception:
                text = f"its result does not unpickle:\n{traceback.format_exc()}"
        if text is not None:
            self._failure = WorkerError(f"task {task.number} failed in a worker:\n{text}")

    def _replace(self, worker: _Worker) -> None:
        """Bury a dead worker; start its successor, with its task unless that one is to blame."""
        place, code, job = self._workers.index(worker), _bury(worker), worker.job
        died = f"died ({_describe_exit(code)})"
        failed_starts = 0 if worker.ready else worker.failed_starts + 1
        if job is not None:
            self._queue.appendleft(job)
            job.deaths += worker.ready  # in starting, the task is not to blame
            if job.deaths >= self._attempts:
                self._failure = WorkerError(
                    f"task {job.task.number} was given up: {job.deaths} workers playing it, "
                    f"of {self._attempts} allowed, {died if job.deaths == 1 else died + ' at last'}"
                )
        if failed_starts >= self._attempts:
            self._failure = WorkerError(
                f"a worker could not start: it {died} {failed_starts} times before it was ready"
            )
        if self._failure is not None:
            del self._workers[place]
            return
        self.restarts += 1
        try:
            self._workers[place] = self._start(failed_starts)
        except WorkerError as error:
            self._failure = error
            del self._workers[place]
        else:
            self._feed(self._workers[place])


def launch_fork_server(preload: Sequence[str] = ()) -> None:
    """Launch this process's fork server if it has none, and return without waiting for it.

    A Pool does this itself; called earlier, the imports of the server and the caller's run side
    by side. ``preload``: modules to import there, once for all workers.

    The server, and so every process that anyone here starts through it, begins with SIGINT blocked
    and BLAS/OpenMP at one thread.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOAD, *preload])
    with inheritable_settings("forkserver"):
        forkserver.ensure_running()


def _kill_all(workers: list[_Worker], owner: int) -> None:
    if os.getpid() != owner:
        return  # a forked copy of the pool owns no workers
    for worker in workers:
        if worker.process.is_alive():
            worker.process.kill()
    deadline = time.monotonic() + _KILL_SECONDS
    for worker in workers:
        _bury(worker, deadline)
    workers.clear()


def _bury(worker: _Worker, deadline: float | None = None) -> int | None:
    """Make sure that a worker is dead, free its descriptors, return its exit code."""
    process = worker.process
    worker.connection.close()
    if process.is_alive():
        process.kill()
    process.join(_KILL_SECONDS if deadline is None else max(0.0, deadline - time.monotonic()))
    code = process.exitcode
    # close() also ends what keeps the worker's watcher waiting. That reaches a worker whose fork
    # server was killed, which looks dead from here and cannot be signalled.
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


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected {name} to be an int, got {value!r}")
    if value < 1:
        raise ValueError(f"expected {name} >= 1, got {value}")


def _checked_method(start_method: str | None) -> str:
    available = multiprocessing.get_all_start_methods()
    if start_method is None:
        return "forkserver" if "forkserver" in available else "spawn"
    if start_method not in available:
        raise ValueError(f"expected start_method among {available}, got {start_method!r}")
    return start_method
