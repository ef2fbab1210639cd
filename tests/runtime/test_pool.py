from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import termios
import threading
import time
import weakref
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pool_parent
import pool_players
import psutil
import pytest
from commands import Process
from runs import in_session
from waiting import PATIENCE, until

from fastpong.runtime import launch
from fastpong.runtime import pool as pool_module
from fastpong.runtime import process as module
from fastpong.runtime.pool import Pool, PoolState, Task, TaskPool, WorkerError
from fastpong.runtime.sharedmem import SharedArrays

METHODS = multiprocessing.get_all_start_methods()


@pytest.fixture
def open_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pool]]:
    """Open pools of the tests' player with version 0 published (weight 0.5); closed at the end."""
    # A worker that is killed may need more than the second that close() has for it.
    monkeypatch.setattr(module, "_KILL_SECONDS", PATIENCE)
    with contextlib.ExitStack() as stack:

        def open_one(
            make_player: Any = pool_players.make_player, slots: int = 2, **options: Any
        ) -> Pool:
            weights = SharedArrays({"w": (1,)}, np.float64, slots)
            stack.callback(weights.close)
            options = {"workers": 2, "start_method": "fork"} | options
            pool = stack.enter_context(Pool(make_player, (tmp_path,), weights, **options))
            pool.publish(0, {"w": np.array([0.5])})
            return pool

        yield open_one


def submit(pool: Pool, numbers: Any, *payload: Any, version: int = 0) -> None:
    for number in numbers:
        pool.submit(Task(number, version, payload or None))


def gather(pool: TaskPool, count: int) -> dict[int, Any]:
    """Collect exactly ``count`` results; each task may come only once."""
    results: dict[int, Any] = {}
    deadline = time.monotonic() + PATIENCE
    while len(results) < count:
        assert time.monotonic() < deadline, f"only {sorted(results)} of {count} came"
        for task, result in pool.collect(0.2):
            assert task.number not in results
            results[task.number] = result
    assert pool.collect(0) == []
    return results


def right(numbers: Any, weight: float = 0.5) -> dict[int, float]:
    return {number: pool_players.expected(number, weight) for number in numbers}


# --- the ordinary course -------------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, *METHODS])
def test_every_task_is_answered_once(open_pool: Any, method: str | None, tmp_path: Path) -> None:
    pool = open_pool(start_method=method)
    submit(pool, range(30))
    assert gather(pool, 30) == right(range(30))
    assert all(len(pool_players.starts(tmp_path, n)) == 1 for n in range(30))
    assert pool.restarts == 0 and len(set(pool.pids)) == 2


def test_tasks_play_with_the_version_they_name(open_pool: Any) -> None:
    pool = open_pool(slots=3)
    for version in (1, 2):
        pool.publish(version, {"w": np.array([float(version)])})
    for version in (0, 1, 2):
        submit(pool, [version * 10], version=version)
    assert gather(pool, 3) == {0: 0.5, 10: 101.0, 20: 402.0}
    pool.publish(3, {"w": np.array([9.0])})  # takes the slot of version 0
    submit(pool, [1], version=3)
    assert gather(pool, 1) == {1: 10.0}


@pytest.mark.parametrize("method", METHODS)
def test_workers_are_single_threaded_deaf_to_sigint_and_cannot_write(
    open_pool: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    pool = open_pool(start_method=method, workers=1)
    submit(pool, [0], "facts")
    facts = gather(pool, 1)[0]
    assert set(facts["blas"]) == {1}
    # Its own and the one that waits for the parent's end; a BLAS loaded before the fork wakes its
    # threads up to be told that they are not needed.
    assert facts["threads"] == 2 or method == "fork"
    names = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
    assert {facts["environment"][name] for name in names} == {"1"}
    assert facts["sigint"] == signal.SIG_IGN and facts["sigterm"] == signal.SIG_DFL
    assert not facts["blocked"]
    assert facts["light"] or method == "fork"
    assert dict(os.environ) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    submit(pool, [1], "write")
    with pytest.raises(WorkerError, match=r"task 1 .*\n(.*\n)*.*read-only"):
        gather(pool, 1)


def test_collect_keeps_its_timeout(open_pool: Any) -> None:
    pool = open_pool(workers=1)
    submit(pool, [0], "sleep")
    pool.collect(0.2)
    for timeout in (0.0, 0.1, 0.3):
        begin = time.monotonic()
        assert pool.collect(timeout) == []
        assert timeout <= time.monotonic() - begin
    for timeout in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            pool.collect(timeout)


def test_collect_hands_out_the_next_task_before_it_returns(open_pool: Any, tmp_path: Path) -> None:
    pool = open_pool(workers=1)
    submit(pool, range(2))
    assert [task.number for task, _ in until(lambda: pool.collect(0.2))] == [0]
    until(lambda: pool_players.starts(tmp_path, 1))  # without another collect()


def test_a_worker_has_a_second_task_ahead(open_pool: Any, tmp_path: Path) -> None:
    """It begins that while nobody reads the first result, and not a third one."""
    pool = open_pool(workers=1)
    submit(pool, [0])
    gather(pool, 1)
    submit(pool, [1], "hold")
    submit(pool, [2, 3])
    (tmp_path / "go").touch()
    until(lambda: pool_players.starts(tmp_path, 2))
    assert not pool_players.starts(tmp_path, 3)
    assert gather(pool, 3) == right([1, 2, 3])


def test_large_tasks_are_not_ahead(open_pool: Any, tmp_path: Path) -> None:
    """Sending them would wait for a worker that is busy."""
    pool = open_pool(workers=1)
    submit(pool, [0])
    gather(pool, 1)
    submit(pool, [1], "hold")
    submit(pool, [2], "answer", bytes(pool_module.AHEAD_BYTES))
    submit(pool, [3])
    assert [job.task.number for jobs in pool._jobs.values() for job in jobs] == [1]
    (tmp_path / "go").touch()
    assert gather(pool, 3)[3] == pool_players.expected(3, 0.5)


def test_a_task_ahead_is_not_blamed(open_pool: Any, tmp_path: Path) -> None:
    """Both kill their first worker, and each may do so once."""
    pool = open_pool(workers=1, attempts=2)
    submit(pool, [0])
    gather(pool, 1)
    submit(pool, [1, 2], "die at first")
    submit(pool, [3])
    assert [job.task.number for jobs in pool._jobs.values() for job in jobs] == [1, 2]
    assert gather(pool, 3) == right([1, 2, 3])
    assert pool.restarts == 2


def test_serving_keeps_workers_playing_and_leaves_results_to_collect(open_pool: Any) -> None:
    pool = open_pool(workers=1)
    submit(pool, range(4))
    until(lambda: not pool.serve(0.2))
    submit(pool, [9], "sleep")
    assert pool.serve(0.0)
    found = pool.collect(2 * PATIENCE)  # what has come is not waited for again
    assert {task.number: result for task, result in found} == right(range(4))
    with pytest.raises(ValueError, match="timeout"):
        pool.serve(-1.0)


def test_serving_leaves_a_failure_to_collect(open_pool: Any) -> None:
    pool = open_pool(workers=1)
    submit(pool, [0])
    submit(pool, [1], "fail")
    until(lambda: not pool.serve(0.2))
    assert [task.number for task, _ in pool.collect(0.2)] == [0]
    with pytest.raises(WorkerError, match="task 1"):
        pool.collect(0.2)


def test_results_are_not_kept(open_pool: Any) -> None:
    pool = open_pool(workers=1)
    submit(pool, [3], "array", 1000)
    (array,) = gather(pool, 1).values()
    assert array.tolist() == [3] * 1000
    alive = weakref.ref(array)
    del array
    assert alive() is None


def test_a_version_in_use_is_not_overwritten(open_pool: Any, tmp_path: Path) -> None:
    pool = open_pool()
    submit(pool, [0], "hold")
    pool.publish(1, {"w": np.array([1.0])})
    for version in (0, 2):
        with pytest.raises(ValueError, match="1 tasks of version 0 are still to be played"):
            pool.publish(version, {"w": np.array([2.0])})
    (tmp_path / "go").touch()
    assert gather(pool, 1) == {0: 0.5}
    pool.publish(2, {"w": np.array([2.0])})


def test_only_published_versions_are_played(open_pool: Any) -> None:
    pool = open_pool()
    pool.publish(2, {"w": np.zeros(1)})
    for version in (0, 1, 4):
        with pytest.raises(ValueError, match=rf"one of \[2\], got {version}"):
            submit(pool, [0], version=version)
    with pytest.raises(TypeError, match="float64, got float32"):
        pool.publish(1, {"w": np.zeros(1, np.float32)})


# --- workers that die ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_killed_workers_are_replaced_and_their_tasks_played_again(
    open_pool: Any, tmp_path: Path, method: str
) -> None:
    pool = open_pool(start_method=method, attempts=10)
    submit(pool, range(6), "hold")
    for round_number in range(1, 4):  # one worker, the same again, then both at once
        begun = [
            until(lambda n=n, r=r: pool_players.starts(tmp_path, n)[r - 1 :])
            for n, r in ((0, round_number), (1, max(1, round_number - 2)))
        ]
        victims = [begun[0][0]] if round_number < 3 else [pids[-1] for pids in begun]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        until(lambda v=victims: not set(v) & set(pool.pids) or pool.collect(0.05))
    (tmp_path / "go").touch()
    assert gather(pool, 6) == right(range(6))
    assert pool.restarts == 4
    counts = [len(pool_players.starts(tmp_path, number)) for number in range(6)]
    assert counts == [4, 2, 1, 1, 1, 1]


def test_results_are_the_same_however_often_workers_die(open_pool: Any, tmp_path: Path) -> None:
    pool = open_pool(workers=3)
    submit(pool, range(12), "die at first")
    assert gather(pool, 12) == right(range(12))
    assert pool.restarts == 12


@pytest.mark.parametrize(
    ("payload", "death"),
    [(("die", signal.SIGSEGV), "SIGSEGV"), (("vanish",), "exit code 3")],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_task_that_kills_its_workers_is_given_up(
    open_pool: Any, tmp_path: Path, payload: Any, death: str, method: str
) -> None:
    pool = open_pool(workers=1, start_method=method)
    submit(pool, [7], *payload)
    with pytest.raises(WorkerError, match=rf"task 7 was given up: 3 workers .*{death}"):
        gather(pool, 1)
    assert len(pool_players.starts(tmp_path, 7)) == 3
    assert pool.state is PoolState.FAILED and pool.pids == []


def test_an_idle_worker_that_dies_is_replaced(open_pool: Any) -> None:
    pool = open_pool()
    submit(pool, range(2))
    gather(pool, 2)
    for pid in pool.pids:
        os.kill(pid, signal.SIGTERM)  # works as on any process
    submit(pool, range(4))
    assert gather(pool, 4) == right(range(4))
    assert pool.restarts == 2


def test_a_result_sent_before_death_counts(open_pool: Any, tmp_path: Path) -> None:
    pool = open_pool(workers=1)
    submit(pool, [5], "hold")
    until(lambda: pool_players.starts(tmp_path, 5))
    assert pool.collect(0) == []  # this has read that it is ready
    (tmp_path / "go").touch()
    until(lambda: bytes_sent(pool) > 0)
    os.kill(pool.pids[0], signal.SIGKILL)
    assert gather(pool, 1) == right([5])
    assert len(pool_players.starts(tmp_path, 5)) == 1
    until(lambda: pool.restarts == 1 or pool.collect(0.05))


def bytes_sent(pool: Pool) -> int:
    """Return how many bytes of its worker a pool has not read yet."""
    found = array("i", [0])
    fcntl.ioctl(pool._supervisor.workers[0].connection.fileno(), termios.FIONREAD, found)
    return found[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_killed_while_sending_counts_as_dead(
    open_pool: Any, tmp_path: Path, method: str
) -> None:
    pool = open_pool(workers=1, start_method=method)
    submit(pool, [9], "array", 20_000_000)
    until(lambda: bytes_sent(pool) > 10_000)  # it fills the pipe, which nobody reads, and waits
    os.kill(pool.pids[0], signal.SIGKILL)
    assert (gather(pool, 1)[9] == 9).all()
    assert len(pool_players.starts(tmp_path, 9)) == 2 and pool.restarts == 1


@pytest.mark.parametrize("state", ["starting", "idle"])
@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_takes_half_a_task_is_replaced(
    open_pool: Any, monkeypatch: pytest.MonkeyPatch, method: str, state: str
) -> None:
    """What has been sent of a message cannot be taken back: no other may follow it."""
    monkeypatch.setattr(launch, "_STALLED_SECONDS", 1)
    maker = pool_players.make_player if state == "idle" else pool_players.make_and_hang_at_first
    pool = open_pool(maker, workers=1, start_method=method)
    monkeypatch.setattr(launch, "_STALLED_SECONDS", 250)  # of a successor
    if state == "idle":
        submit(pool, [0])
        assert gather(pool, 1) == right([0])
        os.kill(pool.pids[0], signal.SIGSTOP)
    data = bytes(4 << 20)  # more than a socket holds
    submit(pool, [1, 2], "measure", data)
    assert gather(pool, 2) == {1: len(data), 2: len(data)}
    assert pool.restarts == 1


def test_workers_survive_the_loss_of_the_fork_server_as_a_set(
    open_pool: Any, tmp_path: Path
) -> None:
    pool = open_pool(start_method="forkserver")
    submit(pool, range(6), "hold")
    old = [until(lambda n=n: pool_players.starts(tmp_path, n))[0] for n in (0, 1)]
    pool.collect(0)
    (server,) = {psutil.Process(pid).ppid() for pid in old}
    os.kill(server, signal.SIGKILL)
    until(lambda: pool.restarts == 2 or pool.collect(0.05))
    until(lambda: not any(map(psutil.pid_exists, old)))
    (tmp_path / "go").touch()
    assert gather(pool, 6) == right(range(6))


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "texts"),
    [
        ("fail", ["in _fail", "Unfriendly: the ball is lost"]),
        ("leave", ["SystemExit: I leave"]),
        ("unpicklable", ["lambda"]),
        ("poison", ["does not unpickle", "missing 1 required positional argument"]),
        ("no such verb", ["KeyError: 'no such verb'"]),
    ],
)
def test_a_task_that_fails_ends_the_pool_with_its_traceback(
    open_pool: Any, verb: str, texts: list[str]
) -> None:
    pool = open_pool()
    submit(pool, [41], verb)
    with pytest.raises(WorkerError, match="task 41 failed") as caught:
        gather(pool, 1)
    assert all(text in str(caught.value) for text in ["Traceback", *texts])
    assert pool.state is PoolState.FAILED and pool.pids == []
    for use in (
        lambda: pool.collect(0),
        lambda: submit(pool, [1]),
        lambda: pool.publish(1, {"w": np.zeros(1)}),
    ):
        with pytest.raises(RuntimeError, match=r"pool has failed .*task 41"):
            use()


def test_results_read_before_a_failure_are_returned_first(open_pool: Any, tmp_path: Path) -> None:
    pool = open_pool(workers=1)
    submit(pool, [0])
    submit(pool, [1], "fail")
    results: dict[int, Any] = {}
    with pytest.raises(WorkerError, match="task 1"):
        while True:
            time.sleep(0.05)
            results.update((task.number, result) for task, result in pool.collect(1))
    assert results == right([0])


@pytest.mark.parametrize("method", METHODS)
def test_a_player_that_cannot_be_made_is_reported_not_retried(open_pool: Any, method: str) -> None:
    pool = open_pool(pool_players.make_nothing, start_method=method)
    submit(pool, [0])
    with pytest.raises(WorkerError, match=r"(?s)could not start.*in make_nothing.*no emulator"):
        gather(pool, 1)
    assert pool.restarts == 0


@pytest.mark.parametrize("method", METHODS)
def test_workers_that_die_in_starting_are_tried_a_few_times(
    open_pool: Any, tmp_path: Path, method: str
) -> None:
    pool = open_pool(pool_players.make_and_die, workers=1, start_method=method)
    with pytest.raises(WorkerError, match=r"could not start: it died \(exit code 4\) 3 times"):
        gather(pool, 1)
    assert len((tmp_path / "makes").read_text().split()) == 3


def test_a_task_is_not_blamed_for_deaths_in_starting(open_pool: Any) -> None:
    pool = open_pool(pool_players.make_and_die_at_first, workers=1)
    submit(pool, [0], "die at first")
    assert gather(pool, 1) == right([0])
    assert pool.restarts == 3


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_module_missing_in_the_worker_is_reported(
    open_pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    module = ModuleType("only_in_the_parent")
    exec("def make(*arguments): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    pool = open_pool(module.make, start_method=method)
    with pytest.raises(WorkerError, match="No module named 'only_in_the_parent'"):
        gather(pool, 1)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_local_make_player_is_refused_at_once(open_pool: Any, method: str) -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(TypeError, match="make_player to be a top-level function"):
        open_pool(lambda directory: None, start_method=method)
    assert psutil.Process().num_fds() <= before + 3  # the block, and the helpers when first needed


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"workers": 0}, ValueError, "workers >= 1, got 0"),
        ({"workers": 1.5}, TypeError, "workers .* 1.5"),
        ({"attempts": 0}, ValueError, "attempts"),
        ({"start_method": "thread"}, ValueError, r"among .*'fork'.*, got 'thread'"),
    ],
)
def test_bad_options_are_named(open_pool: Any, options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        open_pool(**options)


def test_an_unpicklable_payload_is_refused_by_submit(open_pool: Any) -> None:
    pool = open_pool()
    with pytest.raises(TypeError, match="lock"):
        pool.submit(Task(0, 0, threading.Lock()))
    submit(pool, [1])
    assert gather(pool, 1) == right([1])


# --- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("verb", ["idle", "spin", "sleep", "stopped", "starting"])
def test_close_ends_workers_whatever_they_do(
    open_pool: Any, tmp_path: Path, method: str, verb: str
) -> None:
    pool = open_pool(start_method=method)
    if verb in ("spin", "sleep"):
        submit(pool, range(4), verb)
        until(lambda: pool_players.starts(tmp_path, 0) and pool_players.starts(tmp_path, 1))
    elif verb == "stopped":
        for pid in pool.pids:
            os.kill(pid, signal.SIGSTOP)
    elif verb == "idle":
        submit(pool, range(2))
        gather(pool, 2)
    pids = pool.pids
    pool.close()
    assert not any(map(psutil.pid_exists, pids))
    pool.close()
    assert pool.state is PoolState.CLOSED and pool.pids == []
    with pytest.raises(RuntimeError, match="pool is closed"):
        pool.collect(0)


def test_an_exception_in_the_with_block_and_a_forgotten_pool_end_the_workers(
    tmp_path: Path,
) -> None:
    weights = SharedArrays({"w": (1,)}, np.float64, 1)
    with (
        pytest.raises(KeyboardInterrupt),
        Pool(
            pool_players.make_player, (tmp_path,), weights, workers=2, start_method="fork"
        ) as pool,
    ):
        pids = pool.pids
        raise KeyboardInterrupt
    assert not any(map(psutil.pid_exists, pids))
    pool = Pool(pool_players.make_player, (tmp_path,), weights, workers=2, start_method="fork")
    pids = pool.pids
    del pool
    gc.collect()
    assert not any(map(psutil.pid_exists, pids))


def test_an_interrupted_collect_closes_the_pool(open_pool: Any) -> None:
    pool = open_pool()
    submit(pool, [0], "sleep")
    main_thread = threading.main_thread().ident

    def interrupt() -> None:
        until(lambda: sys._current_frames()[main_thread].f_code.co_name == "select")
        signal.pthread_kill(main_thread, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        threading.Thread(target=interrupt).start()
        pool.collect(PATIENCE)
    assert pool.state is PoolState.CLOSED and pool.pids == []


@pytest.mark.parametrize("method", METHODS)
def test_pools_leave_no_descriptors_children_or_shared_memory(open_pool: Any, method: str) -> None:
    def one_life() -> tuple[int, list[int]]:
        pool = open_pool(start_method=method, attempts=2)
        submit(pool, range(3), "die at first")
        gather(pool, 3)
        pool.close()
        pool._weights.close()
        children = [child.pid for child in psutil.Process().children(recursive=True)]
        return psutil.Process().num_fds(), sorted(children)

    shared = in_shared_memory()
    assert one_life() == one_life()
    until(lambda: in_shared_memory() <= shared)  # others may use it for a while


def in_shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir()}


@contextlib.contextmanager
def parent_process(
    method: str, verb: str, directory: Path, cwd: Path | None = None
) -> Iterator[Process]:
    """Run pool_parent.py in a session of its own; nothing of it is left in the end."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with Process(
        [sys.executable, pool_parent.__file__, method, verb, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=cwd,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == {"handler": "installed"}
            yield process
        finally:
            for survivor in in_session(process.pid):
                survivor.kill()


# All of it for the default; spawn and fork, slower or simpler, in the two states that differ most.
ENDS = [("forkserver", verb) for verb in ("idle", "spin", "sleep", "starting")]
ENDS += [(method, verb) for method in ("spawn", "fork") for verb in ("spin", "starting")]


@pytest.mark.parametrize("method", METHODS)
def test_a_package_in_the_current_directory_is_not_taken(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a checkout after `pip install .`, where ours would lack its compiled kernels."""
    decoy = tmp_path / "cwd" / "fastpong"
    decoy.mkdir(parents=True)
    (decoy / "__init__.py").write_text("raise RuntimeError('the decoy was imported')")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with parent_process(method, "answer", tmp_path, cwd=decoy.parent) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    assert errors == ""
    assert len(json.loads(output.splitlines()[-1])["results"]) == 4


@pytest.mark.parametrize(("method", "verb"), ENDS)
def test_nothing_outlives_a_killed_parent(tmp_path: Path, method: str, verb: str) -> None:
    shared = in_shared_memory()
    with parent_process(method, "sleep" if verb == "starting" else verb, tmp_path) as process:
        assert process.stdout is not None
        pids = json.loads(process.stdout.readline())["pids"]
        if verb in ("spin", "sleep"):
            until(lambda: pool_players.starts(tmp_path, 0) and pool_players.starts(tmp_path, 1))
        elif verb == "idle":
            assert len(json.loads(process.stdout.readline())["results"]) == 4
        if verb != "starting":
            assert {process.pid, *pids} <= {p.pid for p in in_session(process.pid)}
        process.kill()
        process.wait(PATIENCE)
        until(lambda: not in_session(process.pid))
    until(lambda: in_shared_memory() <= shared)


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_disturbs_no_process_but_the_parent(tmp_path: Path, method: str) -> None:
    with parent_process(method, "hold", tmp_path) as process:

        def disturbed() -> bool:
            os.killpg(process.pid, signal.SIGINT)
            return pool_players.interrupts(tmp_path) > 10 and bool(pool_players.starts(tmp_path, 1))

        until(disturbed)  # from the start of interpreters, imports and players on, into the tasks
        (tmp_path / "go").touch()
        out, err = process.communicate(timeout=PATIENCE)
        last = json.loads(out.splitlines()[-1])
        assert err == ""
        assert last["results"] == {str(n): n * n for n in range(4)}
        assert last["restarts"] == 0 and last["interrupts"] > 10
        assert process.returncode == 0
        until(lambda: not in_session(process.pid))


@pytest.mark.parametrize("method", METHODS)
def test_sigterm_to_the_whole_group_is_survived(tmp_path: Path, method: str) -> None:
    # So does `timeout`, and a service manager. It ends the workers, and the fork server with them.
    with parent_process(method, "hold", tmp_path) as process:
        until(lambda: pool_players.starts(tmp_path, 0) and pool_players.starts(tmp_path, 1))
        os.killpg(process.pid, signal.SIGTERM)
        until(lambda: len(pool_players.starts(tmp_path, 0)) > 1)
        (tmp_path / "go").touch()
        out, err = process.communicate(timeout=PATIENCE)
        assert err == "" and process.returncode == 0
        last = json.loads(out.splitlines()[-1])
        assert last["results"] == {str(n): n * n for n in range(4)}
        assert last["restarts"] >= 2 and last["interrupts"] == 1
