"""The task pool: tasks in, results out, nothing lost, nothing left behind.

A. A worker has one task, and a second in its pipe while there are enough for all. So it plays on
   while a result is read. The pool queues the rest.
B. A task is plain, idempotent data. A worker that dies or gives no answer is replaced and its task
   played again. A task that keeps doing that to its workers, or one that raises, ends the pool with
   a WorkerError.

``process.py`` supervises the workers, ``deadlines.py`` their time. None imports NumPy: see there.
Not ``multiprocessing.Pool``: that one waits for ever when a worker is SIGKILLed.
"""

from __future__ import annotations

import pickle
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from fastpong.runtime.deadlines import Deadlines, Late
from fastpong.runtime.launch import checked_method, launch_fork_server
from fastpong.runtime.process import Supervisor, Worker, WorkerError
from fastpong.runtime.tasks import PoolState, Task, TaskPool, check_count, check_timeout
from fastpong.runtime.worker import BROKEN, ERROR, READY, Cargo, work

if TYPE_CHECKING:
    from fastpong.arrays import Array
    from fastpong.runtime.sharedmem import SharedArrays

__all__ = ["Pool", "PoolState", "Task", "TaskPool", "WorkerError", "launch_fork_server"]


AHEAD_BYTES = 65536 if sys.platform.startswith("linux") else 4096
"""Of two tasks in a pipe, which must never be full: sending would wait for the worker then."""


@dataclass(eq=False)
class _Job:
    task: Task
    message: bytes
    deaths: int = 0


class Pool:
    """Play tasks in ``workers`` processes under supervision.

    Each worker calls ``play = make_player(*arguments)`` once and then, for every task,
    ``play(task, weights.slot(task.version % weights.slots, writeable=False))``.

    make_player  : top-level function of an importable module
    arguments    : picklable, or shareable at a process's start (SharedArrays, locks)
    weights      : its creator closes it, after the pool
    start_method : "fork", "spawn", "forkserver", or None: forkserver if available, else spawn
    attempts     : workers that one task, or one place in starting, may cost, >= 1
    preload      : modules that the fork server imports once for all, unused with the others.
                   Without effect if the process has a fork server already
    main         : whether workers import the program's main module, as multiprocessing does. Then
                   a script must start its pool under ``if __name__ == "__main__":``
    task_timeout : seconds after which a worker without an answer is replaced, see ``Deadlines``.
                   None for ten times the longest of the last tasks

    Warns of a worker that gives no answer. Returns without waiting for the workers. Not
    thread-safe. Raises TypeError when the arguments cannot be sent to a process, ValueError for
    those out of range, WorkerError if none starts.
    """

    def __init__(
        self,
        make_player: Callable[..., Callable[[Task, dict[str, Array]], Any]],
        arguments: tuple[object, ...],
        weights: SharedArrays,
        *,
        workers: int,
        start_method: str | None = None,
        attempts: int = 3,
        preload: Sequence[str] = (),
        main: bool = True,
        task_timeout: float | None = None,
    ) -> None:
        check_count("workers", workers)
        check_count("attempts", attempts)
        cargo = Cargo((make_player, tuple(arguments), weights))
        self._weights = weights
        self._versions: dict[int, int] = {}  # slot -> version published there
        self._in_use: dict[int, int] = {}  # slot -> tasks submitted and not yet played
        self._queue: deque[_Job] = deque()
        self._jobs: dict[Worker, list[_Job]] = {}  # the first one is played
        self._done: list[tuple[Task, Any]] = []
        self._failure: WorkerError | None = None
        self._attempts = attempts
        self._deadlines = Deadlines(task_timeout)
        self._told = False
        self.state = PoolState.OPEN
        method = checked_method(start_method)
        self._supervisor = Supervisor(work, cargo, method, attempts, preload, main)
        try:
            self._supervisor.start(workers)
            for worker in self._supervisor.workers:
                self._deadlines.start(worker)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Return the process ids of the present workers."""
        return [w.process.pid for w in self._supervisor.workers if w.process.pid]

    @property
    def restarts(self) -> int:
        """Return the number of workers replaced so far."""
        return self._supervisor.restarts

    def publish(self, version: int, arrays: Mapping[str, Array]) -> None:
        """Copy the weights of ``version`` to shared memory.

        They go into slot ``version % slots``.

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
        """Queue a task.

        An idle worker gets it at once.

        Raises ValueError unless its version is the one published last in its slot, and any error
        of pickling it.
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
        try:
            for worker in self._supervisor.workers:
                self._feed(worker)
        except BaseException:
            self.close()  # a task may be sent and still be queued
            raise

    def collect(self, timeout: float) -> list[tuple[Task, Any]]:
        """Return finished tasks with their results.

        Each comes once, in any order. Waits until there is one or ``timeout`` seconds are over
        (then: an empty list). Idle workers have their next task when it returns. Up to 30 s longer
        for a worker that is stopped in the middle of sending, or to start the successor of one that
        died.

        Raises WorkerError when a task raised, or has cost ``attempts`` workers, or when workers
        cannot start. Results read before are returned first. After it, or any other exception
        such as KeyboardInterrupt, the workers are gone and only close() makes sense.
        """
        self._require_open()
        check_timeout(timeout)
        deadline = time.monotonic() + timeout
        try:
            while self._failure is None:
                left = deadline - time.monotonic()
                self._attend(0.0 if self._done else max(left, 0.0))
                if self._done or left <= 0:
                    break
        except BaseException:
            self.close()  # a message may be half read: going on could mix up answers
            raise
        done, self._done = self._done, []
        if self._failure and not done:
            self.state = PoolState.FAILED
            self._supervisor.kill()
            raise self._failure
        return done

    def serve(self, timeout: float) -> bool:
        """Read what workers send, and send them their next tasks.

        Waits for the first message, up to ``timeout`` seconds. Results wait for ``collect``, and
        so does a failure. Returns whether a task is still being played. For a thread that waits
        for another one, which must not use this pool meanwhile.

        Raises ValueError for a timeout below 0. After KeyboardInterrupt the workers are gone.
        """
        self._require_open()
        check_timeout(timeout)
        try:
            if self._failure is None:
                self._attend(timeout)
        except BaseException:
            self.close()  # as in collect
            raise
        return bool(self._jobs) and self._failure is None

    def close(self) -> None:
        """Kill all workers and drop queued tasks.

        It takes a second at most. May be called again.
        """
        self.state = PoolState.CLOSED
        self._queue.clear()
        self._jobs.clear()
        self._done.clear()
        self._supervisor.kill()

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

    def _feed(self, worker: Worker) -> None:
        """Send a worker its next tasks.

        A worker that is still starting gets one too.
        """
        while self._queue and self._has_room(worker):
            try:
                worker.connection.send_bytes(self._queue[0].message)
            except OSError:
                # It has died, or has taken nothing for long. It may have half a message then, after
                # which no other can be read. The next collect() sees its end.
                worker.process.kill()
                return
            jobs = self._jobs.setdefault(worker, [])
            jobs.append(self._queue.popleft())
            if worker.ready and len(jobs) == 1:
                self._deadlines.begin(worker, jobs[0].deaths)

    def _has_room(self, worker: Worker) -> bool:
        """Return whether a worker is idle, or may have a second task ahead."""
        if not (jobs := self._jobs.get(worker)):
            return True
        fits = len(jobs[0].message) + len(self._queue[0].message) <= AHEAD_BYTES
        enough = len(self._queue) >= len(self._supervisor.workers)
        return worker.ready and len(jobs) == 1 and enough and fits

    def _attend(self, timeout: float) -> None:
        """Process messages and deaths of workers."""
        for worker, message in self._supervisor.events(timeout):
            if message is not None:
                self._receive(worker, message)
            elif self._failure is None:
                self._replace(worker)
        for late in self._deadlines.check():
            if self._failure is None:
                self._hurry(late)

    def _receive(self, worker: Worker, message: bytes) -> None:
        if message[:1] == READY:
            self._get_ready(worker)
        elif message[:1] == BROKEN:
            self._failure = WorkerError(f"a worker could not start:\n{message[1:].decode()}")
        elif jobs := self._jobs.pop(worker, None):
            job, *ahead = jobs
            self._in_use[job.task.version % self._weights.slots] -= 1
            self._deadlines.end(worker)
            if ahead:
                self._jobs[worker] = ahead
                self._deadlines.begin(worker, ahead[0].deaths)
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

    def _get_ready(self, worker: Worker) -> None:
        """Watch a worker's first task, for which it has had to start first."""
        if jobs := self._jobs.get(worker):
            self._deadlines.begin(worker, jobs[0].deaths)
        else:
            self._deadlines.forget(worker)
        self._feed(worker)

    def _hurry(self, late: Late) -> None:
        """Warn of a worker that gives no answer, the first time, or replace it."""
        worker = late.key
        assert isinstance(worker, Worker)
        jobs = self._jobs.get(worker)
        doing = f"playing task {jobs[0].task.number}" if jobs and worker.ready else "starting"
        gone = f"a worker has been {doing} for {late.seconds:.0f} s"
        if late.over:
            warnings.warn(f"{gone} without an answer and is replaced", RuntimeWarning, 2)
            self._replace(worker, f"killed, no answer in {late.allowed:.3g} s")
        elif not self._told:
            self._told = True
            warnings.warn(
                f"{gone}, much longer than those before; it is replaced after {late.allowed:.3g} s",
                RuntimeWarning,
                2,
            )

    def _replace(self, worker: Worker, reason: str | None = None) -> None:
        """Replace a dead or hung worker and requeue its tasks.

        The first one is to blame. Too many deaths end the pool.
        """
        self._deadlines.forget(worker)
        death = self._supervisor.bury(worker)
        death = reason or death
        if jobs := self._jobs.pop(worker, None):
            self._queue.extendleft(reversed(jobs))
            job = jobs[0]
            job.deaths += worker.ready  # in starting, the task is not to blame
            if job.deaths >= self._attempts:
                died = f"died ({death})" if job.deaths == 1 else f"died ({death}) at last"
                self._failure = WorkerError(
                    f"task {job.task.number} was given up: {job.deaths} workers playing it, "
                    f"of {self._attempts} allowed, {died}"
                )
                self._supervisor.remove(worker)
                return
        try:
            successor = self._supervisor.replace(worker, death)
            self._deadlines.start(successor)
            self._feed(successor)
        except WorkerError as error:
            self._failure = error
