"""The workers of a pool on Ray: how they start, hang, die and are refused."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pool_players
import pytest
from waiting import until

pytest.importorskip("ray")

import ray
from ray_nodes import Nodes, ready

from fastpong.runtime.cluster import alike, crew
from fastpong.runtime.cluster.pool import RayPool
from fastpong.runtime.deadlines import CLUSTER, Limits
from fastpong.runtime.pool import Task, WorkerError
from fastpong.runtime.sharedmem import SharedArrays

pytestmark = pytest.mark.usefixtures("nothing_is_left")


@contextlib.contextmanager
def opened(
    nodes: Nodes, directory: Path, make_player: Any = pool_players.make_player, **how: Any
) -> Iterator[RayPool]:
    """Yield a pool of players of the tests."""
    about = "pong", "cython", "console"
    with (
        contextlib.closing(SharedArrays({"w": (1,)}, np.float64, 1)) as weights,
        RayPool(
            make_player, (directory,), weights, address=nodes.address, about=about, **how
        ) as pool,
    ):
        pool.publish(0, {"w": np.zeros(1)})
        yield pool


def test_a_machine_that_differs_is_not_used(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.want(1)
    mine = alike.facts("pong", "cython", "console")
    monkeypatch.setattr(alike, "facts", lambda *_: {**mine, "NumPy": "0.1"})
    message = rf"NumPy: {re.escape(np.__version__)} there, 0\.1 here; install the same"
    differs = pytest.warns(RuntimeWarning, match="not used")
    none = pytest.raises(WorkerError, match=message)
    with differs, none, opened(nodes, tmp_path, workers=1) as pool:
        until(lambda: pool.collect(1))


def other(nodes: Nodes, directory: Path) -> None:
    """Add a machine with another NumPy, by its own word."""
    lie = "import numpy; numpy.__version__ = '0.1'\n"
    (directory / "sitecustomize.py").write_text(lie)
    paths = [str(directory), os.environ.get("PYTHONPATH", "")]
    nodes.add(env_vars={"PYTHONPATH": os.pathsep.join(paths)})


def test_machines_that_differ_take_no_place(nodes: Nodes, tmp_path: Path) -> None:
    """Two of three, and two places."""
    nodes.want(0)
    other(nodes, tmp_path)
    other(nodes, tmp_path)
    nodes.add()
    differs = pytest.warns(RuntimeWarning, match=r"not used: .*NumPy: 0\.1 there")
    with differs, opened(nodes, tmp_path, workers=2) as pool:
        until(lambda: ready(pool) == pool.workers == 1)
        nodes.kill()
        nodes.kill()
        nodes.want(2)
        until(lambda: ready(pool) == pool.workers == 2)
        assert pool.restarts == 0
    nodes.want(0)


HOLDS = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False)
@ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)  # on a node that is gone at first
class Holder:
    def hold(self): return True
holder = Holder.remote()
assert ray.get(holder.hold.remote())
print("held", flush=True)
sys.stdin.read()
"""


def test_a_machine_like_this_one_is_waited_for(nodes: Nodes, tmp_path: Path) -> None:
    """Somebody else has it, and the others differ."""
    nodes.want(0)
    nodes.add()
    command = [sys.executable, "-P", "-c", HOLDS, nodes.address]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert b"held\n" in holder.stdout  # among what Ray tells of other nodes
        other(nodes, tmp_path)
        differs = pytest.warns(RuntimeWarning, match=r"not used: .*NumPy: 0\.1 there")
        with differs, opened(nodes, tmp_path, workers=1) as pool:
            until(lambda: ready(pool) == 0 and pool._crew._refused)
            assert ready(pool) == 0
            holder.communicate()
            until(lambda: ready(pool) == pool.workers == 1)
    finally:
        holder.kill()
        holder.communicate()
    nodes.want(0)


def test_time_in_which_nobody_looked_is_not_waited(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while somebody else is asked for a password."""
    nodes.want(0)
    monkeypatch.setattr(crew, "PATIENCE_SECONDS", 2.5)
    with opened(nodes, tmp_path, workers=1) as pool:
        time.sleep(3)
        assert ready(pool) == 0


def test_workers_that_start_are_waited_for(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have their CPUs, and compile."""
    nodes.want(1)
    with opened(nodes, tmp_path, pool_players.make_when_told, workers=1) as pool:
        until(lambda: ready(pool) == 0 and (tmp_path / "makes").exists())
        monkeypatch.setattr(crew, "PATIENCE_SECONDS", 1.0)
        ends = pool._lengths.now() + 3
        until(lambda: ready(pool) == 0 and pool._lengths.now() > ends)
        (tmp_path / "go").touch()
        until(lambda: ready(pool) == 1)


def test_no_cpu_is_free(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.want(0)
    monkeypatch.setattr(crew, "PATIENCE_SECONDS", 3.0)
    monkeypatch.setattr(crew, "TELL_SECONDS", 1.0)
    none = pytest.raises(WorkerError, match="a free CPU in the cluster within 3 s, found none")
    waits = pytest.warns(RuntimeWarning, match=r"no CPU of the cluster's \d is free; this")
    with waits, none, opened(nodes, tmp_path, workers=1) as pool:
        until(lambda: pool.collect(1))


def test_a_worker_hangs_while_it_starts(nodes: Nodes, tmp_path: Path) -> None:
    nodes.want(1)
    with opened(nodes, tmp_path, pool_players.make_and_hang_at_first, workers=1) as pool:
        until(lambda: ready(pool) == 0 and (tmp_path / "makes").exists())
        pool._lengths.limits = Limits(first_over=1.0)
        until(lambda: ready(pool) == 0 and pool._crew._failed_starts == 1)
        pool._lengths.limits = CLUSTER  # the next one may take as long as this machine needs
        until(lambda: ready(pool) == 1)
        assert len((tmp_path / "makes").read_text().split()) == 2


def test_a_task_that_is_over_may_last_longer_again(nodes: Nodes, tmp_path: Path) -> None:
    """Five times would be too often, were it not."""
    nodes.want(1)
    with opened(nodes, tmp_path, workers=1, task_timeout=1.0) as pool:
        pool.submit(Task(1, 0, ("sleep", 3.5)))
        with pytest.warns(RuntimeWarning, match="playing task 1 for . s without an answer"):
            assert until(lambda: pool.collect(1)) == [(Task(1, 0, ("sleep", 3.5)), 1.0)]
        assert 2 <= pool.restarts <= 4


def test_workers_that_do_not_come_up_beside_one_that_plays(nodes: Nodes, tmp_path: Path) -> None:
    nodes.want(1)
    make = pool_players.make_and_die_later
    with opened(nodes, tmp_path, make, workers=3, attempts=2) as pool:
        until(lambda: ready(pool) == 1)
        nodes.want(3)
        until(lambda: ready(pool) == 3)
        assert len((tmp_path / "makes").read_text().split()) == 5


def test_actors_without_a_task_that_die_cost_no_task(nodes: Nodes, tmp_path: Path) -> None:
    """Three of them, and a task may be lost once."""
    nodes.want(0)
    nodes.add(num_cpus=3)
    with opened(nodes, tmp_path, workers=3, attempts=2) as pool:
        until(lambda: ready(pool) == 3)
        for process in nodes.workers():
            process.kill()
        pool.submit(Task(1, 0))
        (found,) = until(lambda: pool.collect(1))
        assert found == (Task(1, 0), pool_players.expected(1, 0.0))
        assert until(lambda: ready(pool) == 3) and pool.restarts == 3
    nodes.want(0)


@ray.remote(num_cpus=0)
def without_result() -> None:
    raise LookupError("the weights are lost")


def test_weights_that_are_lost_are_not_replaced_by_older_ones(nodes: Nodes, tmp_path: Path) -> None:
    """An actor has those of the task before."""
    nodes.want(1)
    with opened(nodes, tmp_path, workers=1, attempts=2) as pool:
        pool.submit(Task(1, 0))
        assert until(lambda: pool.collect(1)) == [(Task(1, 0), pool_players.expected(1, 0.0))]
        pool.publish(1, {"w": np.ones(1)})
        pool._versions[0] = dataclasses.replace(
            pool._versions[0], reference=without_result.remote()
        )
        for number in range(2, 5):
            pool.submit(Task(number, 1))
        with pytest.raises(WorkerError, match="task 2 was given up: it was lost 2 times, of 2 al"):
            until(lambda: pool.collect(1))


def played(pool: RayPool, numbers: range) -> set[Any]:
    """Play tasks, and return their calls."""
    found: dict[int, float] = {}
    calls: set[Any] = set()
    for number in numbers:
        pool.submit(Task(number, 0))
    while len(found) < len(numbers):
        calls |= {*pool._given}
        found |= {task.number: result for task, result in until(lambda: pool.collect(1))}
    assert found == {number: pool_players.expected(number, 0.0) for number in numbers}
    return calls


def test_short_tasks_share_calls(nodes: Nodes, tmp_path: Path) -> None:
    nodes.want(1)
    with opened(nodes, tmp_path, workers=1) as pool:
        played(pool, range(40))  # then they are known to be short
        assert len(played(pool, range(40, 140))) < 50


def test_a_task_that_kills_its_actor_takes_no_other_along_twice(
    nodes: Nodes, tmp_path: Path
) -> None:
    nodes.want(1)
    with opened(nodes, tmp_path, workers=1, attempts=2) as pool:
        played(pool, range(40))  # then they are known to be short
        killer = Task(105, 0, ("die", signal.SIGKILL))
        for number in range(100, 110):
            pool.submit(killer if number == killer.number else Task(number, 0))
        with pytest.raises(
            WorkerError, match="task 105 was given up: it was lost 2 times, of 2 al"
        ):
            until(lambda: pool.collect(1) and False)


def test_what_a_player_raises(nodes: Nodes, tmp_path: Path) -> None:
    nodes.want(1)
    with opened(nodes, tmp_path, workers=1) as pool:
        with pytest.raises(ValueError, match="publish it first"):
            pool.submit(Task(1, 1))
        pool.submit(Task(7, 0, ("fail",)))
        with pytest.raises(WorkerError, match=r"task 7 failed in a worker on (.*\n)*.*ball"):
            until(lambda: pool.collect(1))
        with pytest.raises(RuntimeError, match="failed"):
            pool.collect(0)
