"""Workers that are stopped: told of, replaced, and never waited for without end."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pool_parent
import pool_players
import psutil
import pytest
from commands import SMALL, fastpong, played, rows
from runs import begun, family, in_session, play_an_episode, stop
from waiting import PATIENCE, until

from fastpong.runtime import pool as module
from fastpong.runtime.deadlines import Deadlines
from fastpong.runtime.pool import Pool, Task, WorkerError
from fastpong.runtime.sharedmem import SharedArrays

METHODS = multiprocessing.get_all_start_methods()


class Clock:
    """Seconds of a pool's deadlines, which go by when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "Deadlines", lambda timeout: Deadlines(timeout, clock))
    return clock


@contextlib.contextmanager
def open_pool(directory: Path, verb: str, tasks: int, **options: Any) -> Iterator[Pool]:
    """Open a pool whose tasks have five seconds, and submit some."""
    weights = SharedArrays({"w": (1,)}, np.float64, 1)
    with Pool(pool_players.make_player, (directory,), weights, task_timeout=5.0, **options) as pool:
        pool.publish(0, {"w": np.zeros(1)})
        for number in range(tasks):
            pool.submit(Task(number, 0, (verb,)))
        yield pool


def collect(pool: Pool, results: dict[int, Any], count: int) -> bool:
    """Add results, and return whether they are so many now."""
    results.update((task.number, result) for task, result in pool.collect(0.05))
    return len(results) == count


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_worker_is_replaced_and_its_task_played_again(
    tmp_path: Path, method: str, clock: Clock
) -> None:
    results: dict[int, Any] = {}
    with open_pool(tmp_path, "hold", 3, workers=2, start_method=method) as pool:
        (victim,) = until(lambda: pool.collect(0.05) or pool_players.starts(tmp_path, 0))
        stop(psutil.Process(victim))
        (tmp_path / "go").touch()
        until(lambda: collect(pool, results, 2))
        with pytest.warns(RuntimeWarning, match="playing task 0 for 5 s without an answer"):
            while pool.restarts == 0:
                clock.now += 0.5
                collect(pool, results, 2)
        until(lambda: collect(pool, results, 3))
        assert results == {number: number * number for number in range(3)}
        assert pool.restarts == 1 and len(pool_players.starts(tmp_path, 0)) == 2
        until(lambda: not psutil.pid_exists(victim))


def test_a_task_that_hangs_every_worker_is_given_up(tmp_path: Path, clock: Clock) -> None:
    with (
        open_pool(tmp_path, "sleep", 1, workers=1, attempts=2) as pool,
        pytest.warns(RuntimeWarning),
        pytest.raises(WorkerError, match=r"task 0 was given up: 2 .* no answer in 10 s"),
    ):
        while True:
            plays = len(pool_players.starts(tmp_path, 0)) > pool.restarts
            clock.now += 0.5 if plays else 0.0
            pool.collect(0.05)


def test_a_pool_that_nobody_looked_at_replaces_nobody(tmp_path: Path, clock: Clock) -> None:
    results: dict[int, Any] = {}
    with open_pool(tmp_path, "hold", 2, workers=2) as pool:
        for number in range(2):
            until(lambda n=number: pool_players.starts(tmp_path, n) or pool.collect(0.05))
        for _ in range(4):
            clock.now += 3600.0
            assert pool.collect(0) == []
        (tmp_path / "go").touch()
        until(lambda: collect(pool, results, 2))
        assert pool.restarts == 0


def test_a_run_with_a_stopped_worker_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    arguments = ("--workers", 2, "--run-dir", run, "--task-timeout", 2)
    with begun(*arguments, cwd=tmp_path) as process:
        play_an_episode(process)
        stop(family(process.pid)[1][0])
        play_an_episode(process, "restarts")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    # On a busy machine others may take too long, too.
    assert errors and all("an answer and is replaced" in line for line in errors.splitlines())
    same = (*SMALL, "--episodes", len(rows(run)), "--run-dir", undisturbed)
    assert fastpong("train", *same, cwd=tmp_path).returncode == 0
    assert played(run) == played(undisturbed)


def test_a_run_that_is_stopped_itself_replaces_nobody(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with begun("--workers", 2, "--run-dir", run, cwd=tmp_path) as process:
        play_an_episode(process)
        os.killpg(process.pid, signal.SIGSTOP)
        until(lambda: all(p.status() == psutil.STATUS_STOPPED for p in in_session(process.pid)))
        episodes = len(rows(run))
        os.killpg(process.pid, signal.SIGCONT)
        until(lambda: len(rows(run)) > episodes + 2)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and errors == ""
    assert "restarts" not in printed


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does it")
def test_nothing_outlives_a_killed_parent_even_if_it_is_stopped(tmp_path: Path) -> None:
    running: list[subprocess.Popen[str]] = []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for method in METHODS:
        (tmp_path / method).mkdir()
        command = [sys.executable, pool_parent.__file__, method, "sleep", str(tmp_path / method)]
        running.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
            )
        )
    try:
        for method, process in zip(METHODS, running, strict=True):
            assert process.stdout is not None
            process.stdout.readline()
            pids = json.loads(process.stdout.readline())["pids"]
            for number, _ in enumerate(pids):
                until(lambda m=method, n=number: pool_players.starts(tmp_path / m, n))
            assert len(pids) == 2
            for child in psutil.Process(process.pid).children(recursive=True):
                stop(child)
        for process in running:
            process.kill()
            process.wait()
        # But for multiprocessing's resource tracker, beside spawn, which lasts while it is stopped.
        until(lambda: all(_survivors(process.pid) == [] for process in running))
    finally:
        for process in running:
            for survivor in in_session(process.pid):
                survivor.kill()
            process.communicate()


def _survivors(session: int) -> list[psutil.Process]:
    return [p for p in in_session(session) if "resource_tracker" not in " ".join(p.cmdline())]
