"""The task pool on Ray: the promises of the local one, on many machines.

A. Weights are put into Ray's object store once a version. Each node fetches them once, and an
   actor gets them with the first of its tasks that needs them. It keeps them for the next ones.
B. An actor has two calls at most, the second only while there are enough tasks for all. So it plays
   while a result travels, and no call waits behind another while somebody is idle. Tasks that take
   ``CALL_SECONDS`` together share a call, at most an equal share of the queue (guided
   self-scheduling).
C. A task is plain, idempotent data. One whose actor died, or whose result was lost, is given out
   again. One that is overdue is given to a second actor, and the first result counts. Results come
   in any order, each once.
"""

from __future__ import annotations

import contextlib
import pickle
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from fastpong.runtime.cluster import alike
from fastpong.runtime.cluster.actor import LACKING, pickled
from fastpong.runtime.cluster.connection import Connection
from fastpong.runtime.cluster.crew import LOOK_SECONDS, Crew, Hand, Job, Weights
from fastpong.runtime.deadlines import CLUSTER, Lengths
from fastpong.runtime.process import WorkerError
from fastpong.runtime.tasks import PoolState, Task, check_timeout
from fastpong.runtime.worker import ERROR

if TYPE_CHECKING:
    from fastpong.arrays import Array
    from fastpong.runtime.sharedmem import SharedArrays

GET_SECONDS = 5.0
"""For a result that is ready but does not come: its node may have gone meanwhile."""

CALL_SECONDS = 0.1
"""Of tasks that share a call, at most. A call costs Ray up to 2 ms of CPU time."""


class RayPool:
    """Play tasks in the actors of a Ray cluster.

    make_player, arguments : as of ``Pool``, importable on all machines
    weights  : as of ``Pool``. Here only the trainer reads it
    address  : "ray", or that of a cluster, see ``cluster.address``
    workers  : actors at most. There are never more than CPUs
    about    : the game's ROM, the backend and the emulator, for ``alike.facts``
    attempts : times that one task, or a start, may be lost
    task_timeout : seconds for each task of a call, after which an actor without an answer is
                   replaced, None for twenty times the longest of the last tasks

    Waits for the connection, not for workers. Not thread-safe. Raises TypeError for arguments that
    cannot be pickled, WorkerError as ``Connection`` does.
    """

    def __init__(
        self,
        make_player: Callable[..., Callable[[Task, dict[str, Array]], Any]],
        arguments: tuple[object, ...],
        weights: SharedArrays,
        *,
        address: str,
        workers: int,
        about: tuple[str, str, str],
        attempts: int = 5,
        task_timeout: float | None = None,
    ) -> None:
        cargo = pickled(make_player, arguments)
        self._weights, self._attempts = weights, attempts
        self._published = 0
        self._versions: dict[int, Weights] = {}  # by slot
        self._queue: deque[Job] = deque()
        self._given: dict[Any, tuple[Hand, list[Job]]] = {}  # by the reference of the call
        self._loads: tuple[dict[Hand, None], dict[Hand, None]] = ({}, {})  # with 0 and 1 calls
        self._done: list[tuple[Task, Any]] = []
        self._failure: WorkerError | None = None
        self._lengths = Lengths(CLUSTER, task_timeout)
        self._next_look = 0.0
        self._seconds = CALL_SECONDS  # of a task lately, as its actor measured it
        self.state = PoolState.OPEN
        self._connection = Connection(address, workers)
        self._ray = self._connection.ray
        try:
            prepared = cargo, about, alike.facts(*about)
            self._crew = Crew(self._connection, prepared, workers, attempts, self._lengths)
            with self._connected():
                self._crew.tend()
        except BaseException:
            self._connection.close()
            raise

    @property
    def workers(self) -> int:
        """Return the number of workers, once all that there is room for are ready."""
        return self._crew.wanted

    @property
    def restarts(self) -> int:
        """Return the number of workers replaced so far."""
        return self._crew.replaced

    def publish(self, version: int, arrays: Mapping[str, Array]) -> None:
        """Put the weights of ``version`` into the object store, and into their slot.

        Raises ValueError as ``SharedArrays.write`` does. A store that is full is told of by the
        next ``collect``.
        """
        self._require_open()
        slot = version % self._weights.slots
        self._weights.write(slot, arrays)
        self._published += 1
        self._versions[slot] = Weights(version, self._published)
        with self._connected():
            reference = self._connection.put(self._weights.slot(slot))
            self._versions[slot] = Weights(version, self._published, reference)

    def submit(self, task: Task) -> None:
        """Queue a task.

        An idle worker gets it at once.

        Raises ValueError unless its version is the one published last in its slot, and any error
        of pickling it.
        """
        self._require_open()
        weights = self._versions.get(task.version % self._weights.slots)
        if weights is None or weights.version != task.version:
            published = sorted(weights.version for weights in self._versions.values())
            raise ValueError(
                f"expected task {task.number} to use a published version, one of {published}, "
                f"got {task.version}; publish it first"
            )
        message = pickle.dumps(task, pickle.HIGHEST_PROTOCOL)
        self._queue.append(Job(task, message, weights))
        if self._failure is None:
            try:
                with self._connected():
                    self._feed()
            except BaseException:
                self.close()  # a task may be half given
                raise

    def collect(self, timeout: float) -> list[tuple[Task, Any]]:
        """Return finished tasks with their results.

        Each comes once, in any order. Waits until there is one or ``timeout`` seconds are over
        (then: an empty list), and a few seconds longer where a node does not answer.

        Raises WorkerError when a task raised, or was lost ``attempts`` times, when workers cannot
        start, or when the cluster is gone. Results read before are returned first. After it, or
        any other exception such as KeyboardInterrupt, only close() makes sense.
        """
        self._require_open()
        check_timeout(timeout)
        deadline = time.monotonic() + timeout
        while self._failure is None:
            left = deadline - time.monotonic()
            self._attend(0.0 if self._done else max(left, 0.0))
            if self._done or left <= 0:
                break
        done, self._done = self._done, []
        if self._failure and not done:
            self.state = PoolState.FAILED
            self._crew.kill()
            raise self._failure
        return done

    def serve(self, timeout: float) -> bool:
        """Take answers, and give out next tasks.

        Waits for the first answer, up to ``timeout`` seconds. Results wait for ``collect``, and
        so does a failure. Returns whether a task is still being played. For a thread that waits
        for another one, which must not use this pool meanwhile.

        Raises ValueError for a timeout below 0. After KeyboardInterrupt only close() makes sense.
        """
        self._require_open()
        check_timeout(timeout)
        if self._failure is None:
            self._attend(timeout)
        return bool(self._given) and self._failure is None

    def close(self) -> None:
        """Kill all workers, drop queued tasks and disconnect.

        It takes some seconds at most. May be called again.
        """
        if self.state is not PoolState.CLOSED:
            self.state = PoolState.CLOSED
            for kept in (self._queue, self._given, self._done, self._versions):
                kept.clear()
            self._crew.kill()
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_open(self) -> None:
        if self.state is not PoolState.OPEN:
            raise RuntimeError(f"this pool is {self.state.value}; make a new one")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """Keep the first error of the cluster for ``collect``, which alone raises it."""
        try:
            try:
                yield
            except OSError:  # Ray raises it where the raylet has ended
                self._connection.signs.require_agent()
                raise
        except WorkerError as error:
            self._failure = self._failure or error
        except (OSError, self._ray.exceptions.RayError) as error:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            self._failure = self._failure or WorkerError(
                f"the cluster does not serve any more: {reason[0]}; go on by --resume"
            )

    def _feed(self) -> None:
        """Give tasks to idle actors, and second calls while there are enough for all."""
        idle, single = self._loads
        while self._queue and idle:
            self._give(next(iter(idle)), self._take())
        while single and len(self._queue) >= len(self._crew.ready):
            self._give(next(iter(single)), self._take())

    def _take(self) -> list[Job]:
        """Take what fits into a call from the queue, at most an equal share.

        What was lost before goes alone: a task that kills its actor takes no other along twice.
        """
        first, share = self._queue[0], len(self._queue) / len(self._crew.ready)
        most = 1 if first.failed else int(min(share, CALL_SECONDS / self._seconds))
        jobs = [self._queue.popleft()]
        while len(jobs) < most and self._queue[0].fits(first):
            jobs.append(self._queue.popleft())
        return jobs

    def _give(self, hand: Hand, jobs: list[Job]) -> None:
        self._connection.signs.require_agent()  # Ray puts a large message into the object store
        weights = jobs[0].weights
        sent = [] if hand.weights == weights.number else [weights.reference]
        messages = [job.message for job in jobs]
        reference = hand.actor.play.remote(messages, weights.number, *sent)
        hand.weights = weights.number
        self._given[reference] = hand, jobs
        for job in jobs:
            job.since = self._lengths.now()
            job.holders.append(hand)
        if not hand.calls:
            hand.since = jobs[0].since
        hand.calls.append(reference)
        self._sort(hand)

    def _sort(self, hand: Hand) -> None:
        """Put an actor among those with as many calls."""
        for calls, those in enumerate(self._loads):
            if len(hand.calls) == calls and hand in self._crew.ready:
                those[hand] = None
            else:
                those.pop(hand, None)

    def _attend(self, timeout: float) -> None:
        """Wait for answers and take them."""
        try:
            with self._connected():
                self._crew.tend()
                for reference in self._wait(timeout):
                    if reference in self._crew.starting:
                        if (hand := self._crew.answered(reference)) is not None:
                            self._sort(hand)
                    elif reference in self._given:  # else its actor is lost already
                        self._receive(reference)
                self._feed()
                self._hurry()
        except BaseException:
            self.close()  # an answer may be half taken
            raise

    def _wait(self, timeout: float) -> list[Any]:
        """Return the references that have an answer, once there is one."""
        references = [*self._given, *self._crew.starting]
        if not references:
            time.sleep(min(timeout, 0.05))
            return []
        found, _ = self._ray.wait(references, timeout=timeout)
        if found:
            found, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        return list(found)

    def _hurry(self) -> None:
        """Give late tasks to idle actors too, and give up actors that do not answer."""
        now, idle = self._lengths.now(), self._loads[0]
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for hand in [hand for hand in self._crew.ready if hand.calls]:
            self._give_up(hand, now - hand.since)
        late = now - self._lengths.allowed()[0]
        for _, jobs in list(self._given.values()):
            for job in jobs:
                if job.done or job.since >= late:
                    continue
                if not idle:
                    self._next_look = now  # look again as soon as one is
                    return
                self._give(next(iter(idle)), [job])

    def _give_up(self, hand: Hand, seconds: float) -> None:
        """Replace an actor whose first call is over."""
        reference = hand.calls[0]
        _, jobs = self._given[reference]
        if seconds < len(jobs) * self._lengths.allowed(jobs[0].failed)[1]:
            return
        first, last = jobs[0].task.number, jobs[-1].task.number
        which = f"task {first}" if first == last else f"tasks {first} to {last}"
        gone = f"playing {which} for {seconds:.0f} s without an answer"
        warnings.warn(f"a worker has been {gone} and is replaced", RuntimeWarning, 2)
        self._lose(reference, TimeoutError(f"no answer in {seconds:.0f} s"))

    def _receive(self, reference: Any) -> None:
        """Take a call's answers, or that there are none."""
        hand, jobs = self._given[reference]
        errors = self._ray.exceptions
        try:
            seconds, answers = self._ray.get(reference, timeout=GET_SECONDS)
        except errors.GetTimeoutError:
            return
        except errors.RayError as error:  # it died, or its weights or its result were lost
            died = isinstance(
                error, errors.RayActorError
            )  # all of its calls may tell, in any order
            self._lose(hand.calls[0] if died else reference, error)
            return
        if answers == [LACKING]:
            self._lose(reference, LookupError("its weights did not come"))
            return
        now = self._lengths.now()
        self._lengths.add((now - hand.since) / len(jobs))
        self._seconds += (seconds / len(jobs) - self._seconds) / 8
        hand.since = now
        self._take_back(reference)
        for job, answer in zip(jobs, answers, strict=True):
            if not job.done:
                job.done = True
                self._finish(job.task, answer)

    def _take_back(self, reference: Any) -> list[Job]:
        hand, jobs = self._given.pop(reference)
        hand.calls.remove(reference)
        for job in jobs:
            job.holders.remove(hand)
        self._sort(hand)
        return jobs

    def _lose(self, reference: Any, error: Exception) -> None:
        """Give out again what the actor of a lost call had. Only that call is to blame.

        Its node may have gone with others, which have no task that would tell.
        """
        hand, blamed = self._given[reference]
        self._crew.lose(hand)
        for idle in list(self._loads[0]):
            self._crew.doubt(idle)
            self._sort(idle)
        for jobs in reversed([self._take_back(call) for call in list(hand.calls)]):
            for job in reversed(jobs):
                self._again(job, error, blamed=jobs is blamed)

    def _again(self, job: Job, error: Exception, blamed: bool = True) -> None:
        if job.done:
            return
        job.failed += blamed
        if job.failed >= self._attempts:
            reason = str(error).strip().splitlines() or [type(error).__name__]
            self._failure = WorkerError(
                f"task {job.task.number} was given up: it was lost {job.failed} times, of "
                f"{self._attempts} allowed, at last: {reason[0]}"
            )
        elif not job.holders:
            self._queue.appendleft(job)

    def _finish(self, task: Task, answer: bytes) -> None:
        text = answer[1:].decode() if answer[:1] == ERROR else None
        if text is None:
            try:
                self._done.append((task, pickle.loads(memoryview(answer)[1:])))
            except Exception:
                text = f"its result does not unpickle:\n{traceback.format_exc()}"
        if text is not None:
            self._failure = WorkerError(f"task {task.number} failed in a worker {text}")
