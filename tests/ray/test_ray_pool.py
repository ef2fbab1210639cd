"""The pool on Ray: the same weights as on this machine, whatever happens to the nodes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest
from waiting import PATIENCE, until

pytest.importorskip("ray")

import ray
from ray_nodes import STORE, Nodes, ready
from training_cases import Trained, same_arrays, stages_of, train

from fastpong.runtime.cluster.pool import RayPool
from fastpong.runtime.pool import Task

pytestmark = pytest.mark.usefixtures("nothing_is_left")

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
    how = {name: value for name, value in how.items() if value is not None}
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
    """A pool that something happens to, once, in a phase of the training.

    starting   : before any worker is ready
    publishing : before version 1 is published. All workers are ready, and have played
    playing    : as soon as all workers have a task
    late       : while a task of version 2 or later is played
    """

    def __init__(
        self, *arguments: Any, nodes: Nodes, phase: str, event: Callable[[], None], **how: Any
    ) -> None:
        self._nodes, self._phase, self._event = nodes, phase, event
        super().__init__(*arguments, **how)
        self._reach("starting")

    def submit(self, task: Task) -> None:
        if task.number == 0 and self._phase:
            until(lambda: ready(self) == self._nodes.count)
        super().submit(task)

    def publish(self, version: int, arrays: Any) -> None:
        if version == 1:
            self._reach("publishing")
        super().publish(version, arrays)

    def collect(self, timeout: float) -> Any:
        if all(hand.calls for hand in self._crew.ready):
            self._reach("playing")
        if self._given and max(weights.version for weights in self._versions.values()) >= 2:
            self._reach("late")
        return super().collect(timeout)

    def _reach(self, phase: str) -> None:
        if phase == self._phase:
            self._phase = ""
            self._event()


def breaking(nodes: Nodes, phase: str, event: Callable[[], None]) -> Callable[..., Breaking]:
    def open_pool(make_player: Any, arguments: Any, weights: Any, **_: Any) -> Breaking:
        return Breaking(
            make_player, arguments, weights, address=nodes.address, workers=3,
            about=("pong", "cython", "console"), nodes=nodes, phase=phase, event=event,
        )  # fmt: skip

    return open_pool


@pytest.mark.parametrize("phase", PHASES)
def test_a_node_is_killed(nodes: Nodes, local: Any, phase: str) -> None:
    nodes.want(3)
    hook = noticed if phase != "starting" else None
    found = run("dqn", breaking(nodes, phase, nodes.kill), hook=hook)
    assert same_arrays(found.arrays, local("dqn").arrays)
    assert found.restarts == 1 or phase == "starting"


def noticed(pool: Any, trainer: Any) -> bool:
    """Wait before the last update until a loss is noticed. The lost actor has a task then.

    It may have had none when it died, and others may play all that is left before Ray tells.
    """
    assert pool._phase == "" or trainer.counters["update"] == 0
    if trainer.counters["update"] == UPDATES["dqn"] - 1:
        until(lambda: pool.restarts or pool.serve(0.1) is None)
    return False


def test_actors_are_killed(nodes: Nodes, local: Any) -> None:
    nodes.want(2)
    event = breaking(nodes, "playing", lambda: end(nodes, signal.SIGKILL))
    found = run("dqn", event, hook=noticed)
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
        breaking(nodes, "late", lambda: stopped.append(end(nodes, signal.SIGSTOP))),
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

    found = run("dqn", breaking(nodes, "playing", fill))
    assert same_arrays(found.arrays, local("dqn").arrays)
    assert len(kept) == 12
