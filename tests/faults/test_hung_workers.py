"""Workers that are stopped: told of, replaced, and never waited for without end."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pool_parent
import pool_players
import psutil
import pytest
from commands import SMALL, fastpong, played
from runs import PATIENCE, begun, family, in_session, play_an_episode, stop, until

from fastpong.runtime.pool import Pool, Task, WorkerError
from fastpong.runtime.sharedmem import SharedArrays

pytestmark = pytest.mark.timeout(600)  # machines are busy at times
METHODS = multiprocessing.get_all_start_methods()
RUN = ("--workers", 2, "--episodes", 12)


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_worker_is_replaced_and_its_task_played_again(
    tmp_path: Path, method: str
) -> None:
    weights = SharedArrays({"w": (1,)}, np.float64, 1)
    with Pool(
        pool_players.make_player, (tmp_path,), weights, workers=2, start_method=method,
        task_timeout=0.5,
    ) as pool:  # fmt: skip
        pool.publish(0, {"w": np.zeros(1)})
        for number in range(3):
            pool.submit(Task(number, 0, ("hold",)))
        (victim,) = until(lambda: pool.collect(0.05) or pool_players.starts(tmp_path, 0))
        stop(psutil.Process(victim))
        (tmp_path / "go").touch()
        results: dict[int, Any] = {}
        with pytest.warns(RuntimeWarning, match="playing task 0 for .* without an answer"):
            until(lambda: results.update(_collect(pool)) or len(results) == 3)
        assert results == {number: number * number for number in range(3)}
        assert pool.restarts == 1 and len(pool_players.starts(tmp_path, 0)) == 2
        assert not psutil.pid_exists(victim)


def _collect(pool: Pool) -> dict[int, Any]:
    return {task.number: result for task, result in pool.collect(0.05)}


def test_a_task_that_hangs_every_worker_is_given_up(tmp_path: Path) -> None:
    weights = SharedArrays({"w": (1,)}, np.float64, 1)
    with Pool(
        pool_players.make_player, (tmp_path,), weights, workers=1, attempts=2, task_timeout=0.3
    ) as pool:
        pool.publish(0, {"w": np.zeros(1)})
        pool.submit(Task(4, 0, ("sleep",)))
        with (
            pytest.warns(RuntimeWarning),
            pytest.raises(WorkerError, match=r"task 4 was given up: 2 .* no answer in 0.6 s"),
        ):
            until(lambda: pool.collect(0.1))


def test_a_run_with_a_stopped_worker_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    undisturbed = tmp_path / "undisturbed"
    done = fastpong("train", *SMALL, *RUN, "--run-dir", undisturbed, cwd=tmp_path)
    assert done.returncode == 0
    arguments = ("--run-dir", "run", "--task-timeout", 2)
    with begun(*RUN, *arguments, cwd=tmp_path) as process:
        play_an_episode(process)
        stop(family(process)[1][0])
        printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "without an answer and is replaced" in errors and errors.count("\n") == 1
    assert "restarts 1" in printed
    assert played(tmp_path / "run") == played(undisturbed)


def test_a_run_that_is_stopped_itself_replaces_nobody(tmp_path: Path) -> None:
    with begun(*RUN, "--task-timeout", 2, cwd=tmp_path) as process:
        play_an_episode(process)
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(2.5)
        os.killpg(process.pid, signal.SIGCONT)
        printed, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and errors == ""
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
            until(lambda m=method: pool_players.starts(tmp_path / m, 1))
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
