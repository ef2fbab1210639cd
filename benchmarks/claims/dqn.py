"""The Q-learning agent: training against bare emulators, and what learning takes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from claims import throughput
from claims.kernels import PLAN
from fastpong.agents.dqn.learner import QLearner
from measure import Effort, Figure, Report, alternate, figure
from numpy.typing import NDArray
from programs.training import DQN_SETTINGS
from shared import tolerances

from fastpong import kernels
from fastpong.acting.rollout import EnvState
from fastpong.agents.dqn.agent import DeepQ
from fastpong.agents.dqn.replay import Replay
from fastpong.agents.dqn.settings import Settings
from fastpong.envs.draws import TRAIN

ENV, ROUNDS = "ALE/Pong-v5", 6
SETTINGS = Settings(replay=20_000)

HOW = f"""\
`fastpong train --agent dqn` ({ENV}, every setting at its default, but that learning begins after
{DQN_SETTINGS["--warmup"]} decisions, before the first window) against bare emulators as under
"Throughput". Learning by itself: one update from {ROUNDS} rounds that the untrained agent played,
{SETTINGS.lanes} x {SETTINGS.segment} decisions each, every one learned from {SETTINGS.reuse:g}
times on average in minibatches of {SETTINGS.minibatch}, {SETTINGS.hidden} units; a decision is one
that was played, and its time that of all {SETTINGS.reuse:g}. The weights are first checked against
the oracle's. Multiply-adds are counted as for the actor-critic agent: 8 n H (n entries, upright and
mirrored; forward for the decision, twice for the one that its return ends with, and backward), and
18 H for the heads."""


@dataclass(frozen=True)
class Data:
    """What was played: the agent's weights and its state, with the replay."""

    parameters: dict[str, NDArray[np.floating]]
    state: dict[str, NDArray]

    @property
    def entries(self) -> float:
        """Entries of an observation, on average over what is kept."""
        replay = self.replay()
        last = replay.starts[(int(replay.kept[1]) - 1) % len(replay.starts)]
        return float(last[-1] - last[0]) / replay.size

    def replay(self) -> Replay:
        return Replay(self.state, SETTINGS.lanes, SETTINGS.segment)

    def copy(self) -> Data:
        return Data(*({k: v.copy() for k, v in d.items()} for d in (self.parameters, self.state)))


def measure(effort: Effort, workers: tuple[int, ...] = (1, 2)) -> Report:
    """Check, then measure."""
    figures, rates = throughput.compare(effort, workers, DQN_SETTINGS)
    figures += learning(effort)
    return Report("The Q-learning agent", HOW, figures, [rates])


def play(dtype: str) -> Data:
    """Play so many rounds with the weights that an agent begins with, and keep them."""
    agent = DeepQ(SETTINGS, kernels.get_backend("cython"), dtype)
    data = Data(agent.initial_parameters(0), agent.initial_state())
    player, lanes = agent.player(ENV, 0, TRAIN, False), [EnvState()] * SETTINGS.lanes
    for task in range(ROUNDS * SETTINGS.lanes):
        segment = player(task, data.parameters, lanes[task % SETTINGS.lanes])
        lanes[task % SETTINGS.lanes] = segment.state
        agent.add(segment, data.parameters, data.state)
        if (task + 1) % SETTINGS.lanes == 0:
            assert agent.update(data.parameters, data.state) == {}  # learning has not begun
    return data


def learning(effort: Effort) -> list[Figure]:
    """Check and measure one update, on one thread and on two."""
    rounds, _, _ = PLAN[effort]
    _check()
    data = play("float32")
    decisions = data.replay().size
    work = SETTINGS.reuse * SETTINGS.hidden * (8 * data.entries + 18) * decisions
    found = alternate({"one": _update(data, 1), "two": _update(data, 2)}, rounds)
    figures = []
    for name, threads in (("one", "1 thread"), ("two", "2 threads")):
        each = [1e6 * seconds / decisions for seconds in found[name]]
        figures.append(figure(f"learning, a decision, {threads}", each, "µs"))
    for name, threads in (("one", "1 thread"), ("two", "2 threads")):
        rates = [work / seconds / 1e9 for seconds in found[name]]
        figures.append(figure(f"learning, multiply-adds, {threads}", rates, "G/s"))
    return figures


def _update(data: Data, threads: int) -> Callable[[], float]:
    """Return an arm: the seconds of one update."""
    learner = QLearner(SETTINGS, kernels.get_backend("cython"), "float32", threads)
    own = data.copy()

    def arm() -> float:
        start = time.perf_counter()
        learner.learn(own.replay(), own.parameters, own.state, SETTINGS.learning_rate)
        return time.perf_counter() - start

    arm()
    return arm


def _check() -> None:
    """Raise AssertionError unless an update's weights are the oracle's, in float64."""
    data, weights = play("float64"), []
    settings = dataclasses.replace(SETTINGS, reuse=1.0)  # the oracle takes its time
    for backend, threads in (("numpy", 1), ("cython", 2)):
        own = data.copy()
        learner = QLearner(settings, kernels.get_backend(backend), "float64", threads)
        learner.learn(own.replay(), own.parameters, own.state, SETTINGS.learning_rate)
        weights.append(own.parameters)
    for name, want in weights[0].items():
        assert not np.array_equal(want, data.parameters[name])
        tolerances.assert_close(weights[1][name], want, tolerances.TRAINING)
