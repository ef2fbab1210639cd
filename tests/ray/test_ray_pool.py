"""The pool on Ray: the same weights as on this machine, whatever happens to the nodes."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pool_players
import psutil
import pytest
from waiting import PATIENCE

pytest.importorskip("ray")

import ray
from ray_nodes import STORE, Nodes, until
from training_cases import Trained, same_arrays, stages_of, train

from fastpong.runtime.cluster import alike, crew
from fastpong.runtime.cluster.pool import RayPool
from fastpong.runtime.pool import Task, WorkerError
from fastpong.runtime.sharedmem import SharedArrays

ENV = "PongDeterministic-v4"
AGENTS: dict[str, dict[str, Any]] = {
    "karpathy": {"hidden": 32, "batch_size": 3, "lag": 1},
    "keras": {"batch_size": 2},
    "ppo": {"hidden": 32, "n_envs": 6, "n_steps": 64, "batch_size": 50, "n_epochs": 2},
    "dqn": {
        **{"hidden": 32, "n_envs": 6, "n_steps": 64, "batch_size": 50, "learning_starts": 200},
        **{"buffer_size": 2000, "env": "ALE/Pong-v5"},
    },
}
UPDATES = {"karpathy": 2, "keras": 2, "ppo": 5, "dqn": 5}


def run(agent: str, open_pool: Callable[..., Any] | None = None, **how: Any) -> Trained:
    settings = {"env": ENV, **AGENTS[agent]}
    env = settings.pop("env")
    options = {"open_pool": open_pool} if open_pool else {}
    return train(
        env, stages_of(agent, env=env, **settings), updates=UPDATES[agent], **options, **how
    )


def opener(address: str, workers: int = 3) -> Callable[..., RayPool]:
    """Return what opens a Ray pool as a local one is opened."""

    def open_pool(make_player: Any, arguments: Any, weights: Any, **_: Any) -> RayPool:
        return RayPool(
            make_player, arguments, weights, address=address, workers=workers,
            about=("pong", "cython", "console"),
        )  # fmt: skip

    return open_pool


@pytest.fixture(scope="session")
def local() -> Callable[[str], Trained]:
    """Return runs on this machine, each played once."""
    found: dict[str, Trained] = {}

    def get(agent: str) -> Trained:
        if agent not in found:
            found[agent] = run(agent)
        return found[agent]

    return get


@pytest.mark.parametrize("agent", AGENTS)
def test_weights_are_those_of_one_machine(nodes: Nodes, local: Any, agent: str) -> None:
    nodes.want(3)
    assert same_arrays(run(agent, opener(nodes.address)).arrays, local(agent).arrays)


def test_a_driver_outside_of_the_cluster(nodes: Nodes, local: Any) -> None:
    nodes.want(3)
    assert same_arrays(run("ppo", opener(nodes.outside)).arrays, local("ppo").arrays)


# --- faults ---------------------------------------------------------------------------------------


PHASES = ("starting", "publishing", "playing")


class Breaking(RayPool):
    """A pool that something happens to, once, in a phase of the training."""

    def __init__(self, *arguments: Any, phase: str, event: Callable[[], None], **how: Any) -> None:
        self._phase, self._event = phase, event
        super().__init__(*arguments, **how)
        self._reach("starting")

    def publish(self, version: int, arrays: Any) -> None:
        if version == 1:
            self._reach("publishing")
        super().publish(version, arrays)

    def collect(self, timeout: float) -> Any:
        if self._given:
            self._reach("playing")
        if self._given and max(version for version, _ in self._versions.values()) >= 2:
            self._reach("late")
        return super().collect(timeout)

    def _reach(self, phase: str) -> None:
        if phase == self._phase:
            self._phase = ""
            self._event()


def breaking(address: str, phase: str, event: Callable[[], None]) -> Callable[..., Breaking]:
    def open_pool(make_player: Any, arguments: Any, weights: Any, **_: Any) -> Breaking:
        return Breaking(
            make_player, arguments, weights, address=address, workers=3,
            about=("pong", "cython", "console"), phase=phase, event=event,
        )  # fmt: skip

    return open_pool


@pytest.mark.parametrize("phase", PHASES)
def test_a_node_is_killed(nodes: Nodes, local: Any, phase: str) -> None:
    nodes.want(3)
    found = run("dqn", breaking(nodes.address, phase, nodes.kill))
    assert same_arrays(found.arrays, local("dqn").arrays)
    assert found.restarts > 0 or phase == "starting"


def test_actors_are_killed(nodes: Nodes, local: Any) -> None:
    nodes.want(2)
    found = run("dqn", breaking(nodes.address, "playing", lambda: end(nodes, signal.SIGKILL)))
    assert same_arrays(found.arrays, local("dqn").arrays)
    assert found.restarts == 1


def end(nodes: Nodes, number: int) -> psutil.Process:
    """Signal one actor that is playing."""
    process: psutil.Process = until(nodes.workers)[0]
    process.send_signal(number)
    return process


def test_a_straggler_makes_nobody_wait(nodes: Nodes, local: Any) -> None:
    """An actor is stopped. Its tasks are given to the other one, and its process ends, too."""
    nodes.want(2)
    stopped: list[psutil.Process] = []
    found = run(
        "dqn",
        breaking(nodes.address, "late", lambda: stopped.append(end(nodes, signal.SIGSTOP))),
    )
    assert same_arrays(found.arrays, local("dqn").arrays)
    assert len(stopped) == 1 and psutil.wait_procs(stopped, timeout=PATIENCE)[1] == []


def test_a_node_joins(nodes: Nodes, local: Any) -> None:
    """And plays what is left."""
    nodes.want(1)
    seen: list[int] = []

    def join(pool: Any, trainer: Any) -> bool:
        if trainer.counters["update"] == 2 and not seen:
            seen.append(until(lambda: ready(pool)))
            nodes.want(2)
            seen.append(until(lambda: ready(pool) > 1))
        return False

    found = run("ppo", opener(nodes.address), hook=join)
    assert same_arrays(found.arrays, local("ppo").arrays)
    assert seen == [1, True] and found.restarts == 0


def test_a_full_object_store(nodes: Nodes, local: Any) -> None:
    """Others fill all of it, and more: Ray moves what it can to disk."""
    nodes.want(2)
    kept: list[Any] = []

    def fill() -> None:
        kept.extend(ray.put(np.zeros(STORE // 8, np.uint8)) for _ in range(12))

    found = run("dqn", breaking(nodes.address, "playing", fill))
    assert same_arrays(found.arrays, local("dqn").arrays)
    assert len(kept) == 12


def test_a_machine_that_differs_is_not_used(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.want(1)
    mine = alike.facts("pong", "cython", "console")
    monkeypatch.setattr(alike, "facts", lambda *_: {**mine, "NumPy": "0.1"})
    message = rf"NumPy: {re.escape(np.__version__)} there, 0\.1 here; install the same"
    with pytest.warns(RuntimeWarning, match="not used"), pytest.raises(WorkerError, match=message):
        run("ppo", opener(nodes.address))


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


def ready(pool: Any) -> int:
    """Return the number of actors to give tasks to, after a look at them."""
    pool.serve(0.1)
    assert pool._failure is None
    return len(pool._crew.ready)


def test_time_in_which_nobody_looked_is_not_waited(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while somebody else is asked for a password."""
    nodes.want(1)
    monkeypatch.setattr(crew, "PATIENCE_SECONDS", 2.5)
    with opened(nodes, tmp_path, pool_players.make_and_note, workers=1) as pool:
        until(lambda: (tmp_path / "makes").exists())
        time.sleep(3)
        assert ready(pool) == 1


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
