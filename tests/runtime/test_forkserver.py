"""The fork server by itself."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pool_players
import psutil
import pytest
from runs import stop
from waiting import until

from fastpong.runtime.forkserver import fork_server
from fastpong.runtime.launch import launch, launch_fork_server
from fastpong.runtime.process import Supervisor
from fastpong.runtime.worker import READY, Cargo


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor(pool_players.echo, Cargo(b"> "), "forkserver", attempts=2)
    yield supervisor
    supervisor.kill()


def answers(supervisor: Supervisor) -> bool:
    """Return whether all workers answer."""
    for worker in supervisor.workers:
        worker.connection.send_bytes(b"?")
    waiting = set(supervisor.workers)

    def heard() -> bool:
        for worker, message in supervisor.events(0.1):
            assert message in (READY, b"> ?")
            waiting.difference_update([worker] if message != READY else [])
        return not waiting

    return bool(until(heard))


def test_all_processes_come_from_one_server_that_ends_with_its_owner(
    supervisor: Supervisor,
) -> None:
    supervisor.start(3)
    assert answers(supervisor)
    pids = [worker.process.pid for worker in supervisor.workers]
    (server,) = {psutil.Process(pid).ppid() for pid in pids if pid}
    assert psutil.Process(server).ppid() == os.getpid()
    assert launch_fork_server() is launch_fork_server()
    copy = os.fork()
    if copy == 0:  # not its owner: it launches one of its own, and leaves this one alone
        os._exit(int(launch_fork_server().kill.peek() is None or not fork_server([], {}).alive))
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0
    assert answers(supervisor)


def test_workers_outlive_the_thread_that_started_them(supervisor: Supervisor) -> None:
    launch_fork_server().kill()
    thread = threading.Thread(target=supervisor.start, args=(2,))
    thread.start()
    thread.join()
    assert answers(supervisor)
    assert answers(supervisor)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_gives_no_answer_is_replaced(
    supervisor: Supervisor, number: signal.Signals
) -> None:
    supervisor.start(2)
    assert answers(supervisor)
    old = [worker.process.pid for worker in supervisor.workers]
    server = psutil.Process(psutil.Process(old[0]).ppid())
    if number == signal.SIGSTOP:
        stop(server)
    else:
        server.kill()
    for worker in list(supervisor.workers):
        supervisor.replace(worker, supervisor.bury(worker))
    assert answers(supervisor)
    until(lambda: not any(map(psutil.pid_exists, old)) and not psutil.pid_exists(server.pid))


def test_closing_one_pool_harms_no_other_of_a_server_that_is_late(supervisor: Supervisor) -> None:
    """As that of an evaluation beside a training, on a machine that swaps."""
    other = Supervisor(pool_players.echo, Cargo(b"> "), "forkserver", attempts=2)
    supervisor.start(2)
    other.start(2)
    assert answers(supervisor) and answers(other)
    stay, go = ([psutil.Process(w.process.pid) for w in s.workers] for s in (supervisor, other))
    server = psutil.Process(stay[0].ppid())
    stop(server)
    other.start(1)  # nobody knows its process id
    other.kill()
    until(lambda: all(p.status() == psutil.STATUS_ZOMBIE for p in go))
    server.resume()
    assert answers(supervisor)
    assert [worker.process.pid for worker in supervisor.workers] == [p.pid for p in stay]
    # It ended without a word from its owner. The server has been asked about the others.
    late = until(lambda: [p for p in server.children() if p not in stay + go])
    until(lambda: [p.status() for p in late] == [psutil.STATUS_ZOMBIE])


def test_a_process_that_cannot_be_forked_says_why(supervisor: Supervisor) -> None:
    """The server has no descriptor left for the new process's connection."""
    supervisor.start(1)
    assert answers(supervisor)
    server = psutil.Process(psutil.Process(supervisor.workers[0].process.pid).ppid())
    before = server.rlimit(psutil.RLIMIT_NOFILE)
    server.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
    process, ours = launch("forkserver", pool_players.echo, Cargo(b""), [], main=False)
    try:
        process.join(10)
        assert getattr(process, "failure") == "Too many open files"  # noqa: B009
    finally:
        ours.close()
        server.rlimit(psutil.RLIMIT_NOFILE, before)
