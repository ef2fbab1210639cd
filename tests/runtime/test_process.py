"""Supervision by itself, without the task pool."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator

import pool_players
import psutil
import pytest
from waiting import PATIENCE

from fastpong.runtime.process import Supervisor, Worker, WorkerError
from fastpong.runtime.worker import READY, Cargo


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def supervisor(request: pytest.FixtureRequest) -> Iterator[Supervisor]:
    supervisor = Supervisor(pool_players.echo, Cargo(b"> "), request.param, attempts=2)
    supervisor.start(2)
    yield supervisor
    supervisor.kill()


def events(supervisor: Supervisor, count: int) -> list[tuple[Worker, bytes | None]]:
    found: list[tuple[Worker, bytes | None]] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {found} came"
        found += [event for event in supervisor.events(0.2) if event[1] != READY]
    return found


def test_messages_deaths_and_successors(supervisor: Supervisor) -> None:
    first, second = supervisor.workers
    for k, worker in enumerate((first, second)):
        worker.connection.send_bytes(b"%d" % k)
    answers = dict(events(supervisor, 2))
    assert answers == {first: b"> 0", second: b"> 1"} and first.ready and second.ready

    pid = first.process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert events(supervisor, 1) == [(first, None)]
    successor = supervisor.replace(first, supervisor.bury(first))
    assert supervisor.workers == [successor, second] and supervisor.restarts == 1
    successor.connection.send_bytes(b"2")
    assert events(supervisor, 1) == [(successor, b"> 2")]

    pids = [worker.process.pid for worker in supervisor.workers]
    supervisor.kill()
    assert supervisor.workers == [] and not any(psutil.pid_exists(p) for p in pids if p)


def test_a_place_costs_a_number_of_starts() -> None:
    supervisor = Supervisor(pool_players.echo, Cargo(b""), "fork", attempts=1)
    supervisor.start(1)
    (worker,) = supervisor.workers
    worker.process.kill()
    death = supervisor.bury(worker)
    assert death == "SIGKILL" and not worker.ready
    with pytest.raises(WorkerError, match=r"could not start: it died \(SIGKILL\) 1 times"):
        supervisor.replace(worker, death)
    assert supervisor.workers == [] and supervisor.restarts == 0
