"""The actors of a Ray pool: as many as asked for, or as the cluster has CPUs.

An actor that dies is never restarted by Ray: a new one takes its place, on any node. So there is
one path for a worker that dies, a node that leaves and a node that joins.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastpong.runtime.cluster.actor import REFUSED, RayWorker
from fastpong.runtime.cluster.connection import Connection
from fastpong.runtime.deadlines import Lengths
from fastpong.runtime.pool import Task, WorkerError
from fastpong.runtime.worker import BROKEN

LOOK_SECONDS = 1.0
"""Between two looks at how many CPUs the cluster has."""

SILENT_SECONDS = 20.0
"""Without an answer from the cluster's head, which may be starting again."""

TELL_SECONDS = 10.0
"""Without a CPU for any worker. Then it is said that the run waits."""

PATIENCE_SECONDS = 120.0
"""Without a CPU for any worker. Then the run ends, and can be resumed."""


@dataclass(eq=False)
class Hand:
    """Hold an actor.

    calls   : references of what is asked of it, in order
    since   : the time when it began the first of them, or what it does in ``Crew.starting``
    placed  : whether it has its CPU
    known   : whether it was ready once
    weights : number of those that it got last
    """

    actor: Any
    placed: bool = False
    known: bool = False
    weights: int = 0
    calls: list[Any] = field(default_factory=list)
    since: float = 0.0


@dataclass(frozen=True)
class Weights:
    """Hold a version of the weights.

    number    : of all that were published, from 1
    reference : to the object store
    """

    version: int
    number: int
    reference: Any = None


@dataclass(eq=False)
class Job:
    """Hold a task.

    failed  : times that it was lost
    since   : the time when it was given out last
    holders : actors that have it
    """

    task: Task
    message: bytes
    weights: Weights
    failed: int = 0
    since: float = 0.0
    done: bool = False
    holders: list[Hand] = field(default_factory=list)

    def fits(self, first: Job) -> bool:
        """Return whether it may follow in a call."""
        return self.weights is first.weights and not self.failed


class Crew:
    """Keep actors alive.

    prepared : arguments of ``RayWorker.prepare``
    workers  : actors at most
    attempts : times that actors may die one after the other before any is ready
    lengths  : of tasks, and the clock

    wanted   : actors that there are or will be, by the CPUs of the cluster
    ready    : actors to give tasks to
    starting : actors by the reference of their next answer, a sign of life or that they are ready
    replaced : actors that died
    """

    def __init__(
        self,
        connection: Connection,
        prepared: tuple[Any, ...],
        workers: int,
        attempts: int,
        lengths: Lengths,
    ) -> None:
        ray = connection.ray
        self._connection, self._ray, self._prepared = connection, ray, prepared
        self._workers, self._attempts, self._lengths = workers, attempts, lengths
        self._cargo: Any = None
        # No restart by Ray, and tasks at most once: what is lost is given out again by the pool.
        self._kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(RayWorker)
        self.ready: dict[Hand, None] = {}
        self.starting: dict[Any, Hand] = {}
        self._refused: list[Hand] = []
        self._reason = ""
        self._failed_starts, self._next_failure = 0, 0.0
        self.replaced = self.wanted = self._cpus = 0
        self._next_look = self._placed = self._answered = 0.0
        self._answers = 0
        self._told = False

    def tend(self) -> None:
        """Start actors where there is room, every second.

        Raises WorkerError when no worker had a CPU for too long, or the cluster's head is gone.
        """
        now = self._lengths.now()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        self._count(now)
        if self._cargo is None:
            self._cargo = self._connection.put(self._prepared[0])
        for _ in range(len(self.ready) + len(self.starting), self.wanted):
            hand = Hand(self._kind.remote())
            self.starting[hand.actor.live.remote()] = hand
        for reference, hand in list(self.starting.items()):
            self._give_up(reference, hand, now - hand.since)
        if self.ready or any(hand.placed for hand in self.starting.values()):
            self._placed, self._told = now, False
        elif now - self._placed > TELL_SECONDS and not self._told:
            self._told = True
            left = f"for {PATIENCE_SECONDS - TELL_SECONDS:.0f} s more at most; see ray status"
            warnings.warn(
                f"no CPU of the cluster's {self._cpus} is free; this run waits for one, {left}",
                RuntimeWarning, 2,
            )  # fmt: skip
        elif now - self._placed > PATIENCE_SECONDS:
            others = f", and {self._reason}" if self._refused else ""
            raise WorkerError(
                f"expected a free CPU in the cluster within {PATIENCE_SECONDS:.0f} s, found none "
                f"of {self._cpus}{others}; see ray status, and go on by --resume"
            )

    def _count(self, now: float) -> None:
        """Count the CPUs. Machines that were refused may be others where the number changes."""
        signs = self._connection.signs
        signs.require_agent()
        if signs.answers != self._answers:
            self._answers, self._answered = signs.answers, now
        elif now - self._answered > SILENT_SECONDS:
            raise WorkerError(
                "expected the head of the cluster to answer, got nothing for "
                f"{SILENT_SECONDS:.0f} s; go on by --resume once it does"
            )
        cpus = signs.cpus
        if cpus != self._cpus:
            for hand in self._refused:
                self._kill(hand)
            self._refused.clear()
        self._cpus = cpus
        self.wanted = max(1, min(self._workers, cpus - len(self._refused)))

    def _give_up(self, reference: Any, hand: Hand, seconds: float) -> None:
        """Replace an actor that has a CPU and gives no answer."""
        _, over = self._lengths.allowed() if hand.known else self._lengths.first()
        if not hand.placed or seconds < over:
            return
        del self.starting[reference]
        if hand.known:
            self.lose(hand)
        else:
            self._kill(hand)
            self._fail_start(TimeoutError(f"no answer in {seconds:.0f} s"))

    def answered(self, reference: Any) -> Hand | None:
        """Take an actor's answer, and return the actor if it is ready.

        The first is a sign of life: it has a CPU, and gets ready now.

        Raises WorkerError for a player that cannot be made, and for machines that are all refused.
        """
        hand = self.starting.pop(reference)
        try:
            answer: bytes = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if hand.known:
                self.lose(hand)
            elif isinstance(error, self._ray.exceptions.RayActorError):
                self._fail_start(error)
            else:
                raise WorkerError(f"a worker could not start in the cluster: {error}") from error
            return None
        if answer[:1] == BROKEN:
            raise WorkerError(f"a worker could not start {answer[1:].decode()}")
        if not hand.placed:
            hand.placed, hand.since = True, self._lengths.now()
            self.starting[hand.actor.prepare.remote(self._cargo, *self._prepared[1:])] = hand
            return None
        self._failed_starts = 0
        if answer[:1] == REFUSED:
            self._refuse(hand, answer[1:].decode())
            return None
        self.ready[hand], hand.known = None, True
        return hand

    def doubt(self, hand: Hand) -> None:
        """Ask an actor without tasks for a sign of life. Until then it is not ready."""
        del self.ready[hand]
        hand.since = self._lengths.now()
        self.starting[hand.actor.live.remote()] = hand

    def lose(self, hand: Hand) -> None:
        """Give up an actor that is dead, or taken for dead."""
        self.ready.pop(hand, None)
        self.replaced += 1
        self._next_look = 0.0
        self._kill(hand)

    def kill(self) -> None:
        """Kill all actors."""
        for hand in self._all():
            self._kill(hand)
        self.ready.clear()
        self.starting.clear()
        self._refused.clear()

    def _all(self) -> Iterator[Hand]:
        yield from [*self.ready, *self.starting.values(), *self._refused]

    def _kill(self, hand: Hand) -> None:
        try:
            self._ray.kill(hand.actor)
        except Exception:  # it is dead, or the cluster is gone, and its actors with us
            return

    def _refuse(self, hand: Hand, reason: str) -> None:
        """Give no task to an actor. It stays, so that its CPU is taken, and takes no place."""
        self._refused.append(hand)
        self._next_look = 0.0
        if reason.rpartition(": ")[2] not in self._reason:
            self._reason = reason
            warnings.warn(f"a machine of the cluster is not used: {reason}", RuntimeWarning, 2)
        if len(self._refused) >= self._cpus and not self.ready and not self.starting:
            raise WorkerError(
                f"expected machines like this one, got none; {reason}; install the same on all"
            )

    def _fail_start(self, error: Exception) -> None:
        """Try again a second later. Several that die within it are one loss, as of a node."""
        now = self._lengths.now()
        if now >= self._next_failure:
            self._failed_starts += 1
            self._next_failure = now + LOOK_SECONDS
        self._next_look = now + LOOK_SECONDS
        hopeless = self._failed_starts >= self._attempts and not self.ready
        if getattr(error, "actor_init_failed", False) or hopeless:
            raise WorkerError(
                "a worker could not start in the cluster; install the same fastpong on every "
                f"machine: {str(error).strip().splitlines()[-1]}"
            ) from error
