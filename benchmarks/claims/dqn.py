"""The agent dqn: training against bare emulators, and what learning takes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from cases.stages import only_stage
from claims import throughput
from claims.kernels import PLAN
from measure import Effort, Figure, Report, alternate, figure
from numpy.typing import NDArray
from programs.training import DQN_SETTINGS
from shared import tolerances

from fastpong import kernels
from fastpong.agents.dqn.agent import DQN, DQNLearner
from fastpong.agents.dqn.replay import Replay
from fastpong.agents.dqn.settings import DQNSettings
from fastpong.agents.dqn.updater import QUpdater
from fastpong.agents.protocol import Chance
from fastpong.envs.draws import TRAIN

ENV, ROUNDS = "ALE/Pong-v5", 6
SETTINGS = DQNSettings(buffer_size=20_000)

HOW = f"""\
`fastpong train --agent dqn` ({ENV}, every setting at its default, but that learning begins after
{DQN_SETTINGS["--learning-starts"]} steps, before the first window) against bare emulators as under
"Throughput". Learning by itself: one update from {ROUNDS} rounds that the untrained agent played,
{SETTINGS.n_envs} x {SETTINGS.n_steps} steps each, every one learned from
{SETTINGS.replay_ratio:g} times on average in minibatches of {SETTINGS.batch_size},
{SETTINGS.hidden} units; a step is one that was played, and its time that of all
{SETTINGS.replay_ratio:g}. The weights are first checked against the oracle's. Multiply-adds are
counted as for the agent ppo: 8 n H (n entries, upright and mirrored; forward for the step, twice
for the one that its return ends with, and backward), and 18 H for the heads."""


@dataclass(frozen=True)
class Data:
    """What was played: the agent's weights and its state, with the replay buffer."""

    parameters: dict[str, NDArray[np.floating]]
    state: dict[str, NDArray]

    @property
    def entries(self) -> float:
        """Entries of an observation, on average over what is kept."""
        replay = self.replay()
        last = replay.starts[(int(replay.stored[1]) - 1) % len(replay.starts)]
        return float(last[-1] - last[0]) / replay.size

    def replay(self) -> Replay:
        arrays = {
            name.removeprefix("replay/"): array
            for name, array in self.state.items()
            if name.startswith("replay/")
        }
        return Replay(SETTINGS.n_envs, SETTINGS.n_steps, arrays)

    def copy(self) -> Data:
        return Data(*({k: v.copy() for k, v in d.items()} for d in (self.parameters, self.state)))


def measure(effort: Effort, workers: tuple[int, ...] = (1, 2)) -> Report:
    """Check, then measure."""
    figures, rates = throughput.compare(effort, workers, DQN_SETTINGS, at_least={})
    figures += learning(effort)
    return Report("The agent dqn", HOW, figures, [rates])


def play(dtype: str) -> Data:
    """Play so many rounds with the weights that an agent begins with, and keep them."""
    stage = only_stage("dqn", ENV, SETTINGS, dtype=dtype)
    assert isinstance(stage.spec, DQN)
    actor = stage.spec.actor(stage, Chance(0, TRAIN))
    learner = DQNLearner(stage.spec, stage, stage.spec.initial_parameters(0), threads=1)
    for task in range(ROUNDS * SETTINGS.n_envs):
        rollout = actor.play(task, learner.parameters, learner.payload(task, None))
        learner.add(rollout, learner.parameters)
        if (task + 1) % SETTINGS.n_envs == 0:
            assert set(learner.update()) == {"exploration_rate"}  # learning has not begun
    return Data(learner.parameters, learner.state())


def learning(effort: Effort) -> list[Figure]:
    """Check and measure one update, on one thread and on two."""
    rounds, _, _ = PLAN[effort]
    _check()
    data = play("float32")
    steps = data.replay().size
    work = SETTINGS.replay_ratio * SETTINGS.hidden * (8 * data.entries + 18) * steps
    found = alternate({"one": _update(data, 1), "two": _update(data, 2)}, rounds)
    figures = []
    for name, threads in (("one", "1 thread"), ("two", "2 threads")):
        each = [1e6 * seconds / steps for seconds in found[name]]
        figures.append(figure(f"learning, a step, {threads}", each, "µs"))
    for name, threads in (("one", "1 thread"), ("two", "2 threads")):
        rates = [work / seconds / 1e9 for seconds in found[name]]
        figures.append(figure(f"learning, multiply-adds, {threads}", rates, "G/s"))
    return figures


def _update(data: Data, threads: int) -> Callable[[], float]:
    """Return an arm: the seconds of one update."""
    updater = QUpdater(SETTINGS, kernels.get_backend("cython"), "float32", threads)
    own = data.copy()

    def arm() -> float:
        start = time.perf_counter()
        updater.learn(own.replay(), own.parameters, own.state, SETTINGS.learning_rate.start)
        return time.perf_counter() - start

    arm()
    return arm


def _check() -> None:
    """Raise AssertionError unless an update's weights are the oracle's, in float64."""
    data, weights = play("float64"), []
    settings = dataclasses.replace(SETTINGS, replay_ratio=1.0)  # the oracle takes its time
    for backend, threads in (("numpy", 1), ("cython", 2)):
        own = data.copy()
        updater = QUpdater(settings, kernels.get_backend(backend), "float64", threads)
        updater.learn(own.replay(), own.parameters, own.state, SETTINGS.learning_rate.start)
        weights.append(own.parameters)
    for name, want in weights[0].items():
        assert not np.array_equal(want, data.parameters[name])
        tolerances.assert_close(weights[1][name], want, tolerances.TRAINING)
