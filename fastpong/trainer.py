"""The update schedule: which episodes make which update, and with which weights they are played.

Update u is made from the episodes [u B, (u + 1) B), all played with the weights of version
max(0, u - lag), version v being the weights after v updates. With lag 0 that is the reference's
strictly on-policy loop, and every batch ends waiting for its longest episode. With lag 1 idle
workers begin the next batch with the weights before, which hides the wait. Gradients are taken at
the weights that played, and added in the order of the episodes, so the result is a function of
(seed, settings) and never of the number of workers or of timing.

The trainer knows no screen and no file: it yields one ``EpisodeStats`` after every episode, and
``snapshot()`` between two of them is all that is needed to go on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fastpong.agents import Agent
from fastpong.pool import Task, TaskPool
from fastpong.sharedmem import SharedArrays

Array = NDArray[Any]

RUNNING_MEAN_DECAY = 0.99
# How long a stop request may go unnoticed while all workers are playing.
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class EpisodeStats:
    """One finished episode and where the run stands after it.

    episode       : number of the episode, from 1
    score         : its return, points won minus points lost
    length        : its steps, decisions of the agent
    frames        : its emulated frames
    running_mean  : of the scores, 0.99 old + 0.01 new, beginning with the first score
    update        : updates made so far
    total_steps, total_frames : of the whole run
    wall_seconds  : of the whole run, interruptions not counted
    diagnostics   : what the agent has to say, by name
    """

    episode: int
    score: float
    length: int
    frames: int
    running_mean: float
    update: int
    total_steps: int
    total_frames: int
    wall_seconds: float
    diagnostics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainerState:
    """A run between two episodes, as plain numbers and arrays.

    counters : episode, update, total_steps, total_frames, running_mean (None at the very
               beginning), wall_seconds
    arrays   : "parameters/<k>/<name>", the weights k versions back, k = 0..lag as far as there
               are so many, and "state/<name>", the agent's
    """

    counters: dict[str, Any]
    arrays: dict[str, Array]

    @classmethod
    def initial(cls, agent: Agent, parameters: Mapping[str, Array]) -> TrainerState:
        """Return the state before the first episode, with given weights."""
        arrays = {f"parameters/0/{name}": array for name, array in parameters.items()}
        arrays |= {f"state/{name}": array for name, array in agent.initial_state().items()}
        counters = {
            "episode": 0,
            "update": 0,
            "total_steps": 0,
            "total_frames": 0,
            "running_mean": None,
            "wall_seconds": 0.0,
        }
        return cls(counters, arrays)


class Trainer:
    """Trains one agent over one pool.

    agent    : the mathematics
    pool     : plays tasks; ``weights`` must be the block that its workers read
    weights  : lag + 1 slots of the agent's parameters
    seed     : of the initial parameters (the pool's player has it too, for the episodes)
    episodes : number of the last episode to train on
    state    : where to go on from, of ``snapshot()``; None begins anew

    Raises ValueError where ``state`` does not fit the agent.
    """

    def __init__(
        self,
        agent: Agent,
        pool: TaskPool,
        weights: SharedArrays,
        *,
        seed: int,
        episodes: int,
        state: TrainerState | None = None,
    ) -> None:
        self.agent, self.pool, self.weights = agent, pool, weights
        self.episodes = episodes
        if state is None:
            state = TrainerState.initial(agent, agent.initial_parameters(seed))
        self.counters: dict[str, Any] = dict(state.counters)
        self.state = agent.initial_state()
        self.parameters = self._restore(state)
        self._submitted = int(self.counters["episode"])
        self._clock = time.monotonic() - float(self.counters["wall_seconds"])

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[EpisodeStats]:
        """Train up to ``episodes``, yielding after each; return early once ``stop()`` is true.

        Raises what the pool raises. Between two yields nothing is half done.
        """
        played: dict[int, Any] = {}
        self._submit()
        while self.counters["episode"] < self.episodes:
            if stop():
                return
            played.update((task.number, result) for task, result in self.pool.collect(POLL_SECONDS))
            while (number := self.counters["episode"]) in played:
                yield self._learn(played.pop(number))
                if stop():
                    return

    def snapshot(self) -> TrainerState:
        """Return all that a later run needs to go on exactly from here; arrays are copies."""
        newest = self.counters["update"]
        versions = range(newest, max(0, newest - self.agent.lag) - 1, -1)
        arrays = {
            f"parameters/{newest - version}/{name}": array.copy()
            for version in versions
            for name, array in self._version(version).items()
        }
        arrays |= {f"state/{name}": array.copy() for name, array in self.state.items()}
        return TrainerState(dict(self.counters), arrays)

    def _learn(self, result: Any) -> EpisodeStats:
        """Take in the next episode; make the update if it completes one."""
        counters, agent = self.counters, self.agent
        played_with = max(0, counters["update"] - agent.lag)
        diagnostics = agent.add(result, self._version(played_with), self.state)
        score = result.score
        mean = counters["running_mean"]
        keep = RUNNING_MEAN_DECAY
        counters["running_mean"] = score if mean is None else keep * mean + (1 - keep) * score
        counters["episode"] += 1
        counters["total_steps"] += result.length
        counters["total_frames"] += result.frames
        if counters["episode"] % agent.batch_size == 0:
            diagnostics |= agent.update(self.parameters, self.state)
            counters["update"] += 1
            self._publish(counters["update"], self.parameters)
            self._submit()
        counters["wall_seconds"] = time.monotonic() - self._clock
        return EpisodeStats(
            score=score,
            length=result.length,
            frames=result.frames,
            diagnostics=diagnostics,
            **counters,
        )

    def _submit(self) -> None:
        """Put every episode on the table whose weights exist by now."""
        batch, lag = self.agent.batch_size, self.agent.lag
        ready = min(self.episodes, (self.counters["update"] + lag + 1) * batch)
        for number in range(self._submitted, ready):
            self.pool.submit(Task(number, version=max(0, number // batch - lag), payload=None))
        self._submitted = max(self._submitted, ready)

    def _version(self, version: int) -> dict[str, Array]:
        return self.weights.slot(version % (self.agent.lag + 1))

    def _publish(self, version: int, parameters: Mapping[str, Array]) -> None:
        # The slot held version - lag - 1, and the last episode that needed that is learned from.
        self.pool.publish(version, parameters)

    def _restore(self, state: TrainerState) -> dict[str, Array]:
        """Take over counters and the agent's state, publish the weights, return the newest."""
        newest = int(state.counters["update"])
        ages = min(self.agent.lag, newest) + 1
        wanted = {
            f"parameters/{age}/{name}": shape
            for age in range(ages)
            for name, shape in self.agent.shapes.items()
        } | {f"state/{name}": array.shape for name, array in self.state.items()}
        found = {name: array.shape for name, array in state.arrays.items()}
        if wanted != found:
            name = min(name for name, _ in wanted.items() ^ found.items())
            raise ValueError(
                f"the checkpoint does not fit the agent: {name} is {found.get(name, 'missing')}, "
                f"expected {wanted.get(name, 'no such array')}; resume with the run's own settings"
            )
        for name, array in self.state.items():
            array[...] = state.arrays[f"state/{name}"]
        for age in reversed(range(ages)):
            parameters = {
                name: state.arrays[f"parameters/{age}/{name}"].copy() for name in self.agent.shapes
            }
            self._publish(newest - age, parameters)
        return parameters
