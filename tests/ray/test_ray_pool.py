"""The pool on Ray: the same weights as on this machine, whatever happens to the nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ray_nodes import Nodes
from training_cases import Trained, same_arrays, stages_of, train

from fastpong.runtime.cluster.pool import RayPool

pytestmark = pytest.mark.timeout(300)

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
        if self.workers and self._given:
            self._reach("playing")
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
