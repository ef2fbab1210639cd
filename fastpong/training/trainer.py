"""The update schedule: which tasks make which update, and with which weights they are played.

Update u is made from the tasks [u B, (u + 1) B), all played with the weights of version
max(0, u - lag), version v being the weights after v updates. With lag 0 that is the reference's
strictly on-policy loop, and every batch ends waiting for its longest task. With lag 1 idle
workers begin the next batch with the weights before, which hides the wait. Results are taken in
in the order of the tasks, so what comes of them is a function of (seed, settings) and never of the
number of workers or of timing.

What a task is, is the agent's to say. For the reference agents it is an episode, which stands alone
and is taken in by itself. Tasks of an agent that is ``chained`` go on from where those of the batch
before ended; they are taken in by whole batches, so that a run always stands between two updates,
and what has been played of a batch is played again, the same, when a run is resumed.

The trainer knows no screen and no file: it yields one ``EpisodeStats`` for every episode that
ended, and ``snapshot()`` between two takings-in is all that is needed to go on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fastpong.agents import Agent, Game
from fastpong.runtime.cputime import cpu_seconds
from fastpong.runtime.pool import Task, TaskPool
from fastpong.runtime.sharedmem import SharedArrays

Array = NDArray[Any]

RUNNING_MEAN_DECAY = 0.99
RECENT = 100
"""The last scores that are kept: the longest window of a `Goal`."""
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
    total_steps, total_frames : of the whole run, all taken in so far
    wall_seconds  : of the whole run, interruptions not counted
    cpu_seconds   : of the whole run, of all processes; each time from the start of the process
    diagnostics   : what the agent has to say, by name; of several updates that were made since
                    the last episode, the newest
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
    cpu_seconds: float = 0.0
    diagnostics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """Where training ends before its last episode: the mean of the last games' scores.

    score : the mean to be reached
    games : of so many games, 1 to 100; with fewer it is not reached
    """

    score: float
    games: int

    def reached(self, counters: Mapping[str, Any]) -> bool:
        """Return whether a run with these counters is there."""
        scores = counters.get("recent", [])[-self.games :]
        return len(scores) == self.games and sum(scores) / self.games >= self.score


@dataclass(frozen=True)
class TrainerState:
    """A run between two takings-in, as plain numbers and arrays.

    counters : task, episode, update, total_steps, total_frames, running_mean (None at the very
               beginning), recent (the last 100 scores), wall_seconds, cpu_seconds. Checkpoints of
               earlier versions lack some: the task is the episode there
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
        counters: dict[str, Any] = {
            "task": 0,
            "episode": 0,
            "update": 0,
            "total_steps": 0,
            "total_frames": 0,
            "running_mean": None,
            "recent": [],
            "wall_seconds": 0.0,
            "cpu_seconds": 0.0,
        }
        return cls(counters, arrays)


class Trainer:
    """Trains one agent over one pool.

    agent    : the mathematics
    pool     : plays tasks; ``weights`` must be the block that its workers read
    weights  : lag + 1 slots of the agent's parameters
    seed     : of the initial parameters (the pool's player has it too, for the episodes)
    episodes : number of the last episode to train on; a whole batch may end with a later one
    goal     : where to end before, if it is given
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
        goal: Goal | None = None,
        state: TrainerState | None = None,
    ) -> None:
        self.agent, self.pool, self.weights = agent, pool, weights
        self.episodes, self.goal = episodes, goal
        if state is None:
            state = TrainerState.initial(agent, agent.initial_parameters(seed))
        self.counters = self._counters(state.counters)
        self.state = agent.initial_state()
        self.parameters = self._restore(state)
        self._submitted = int(self.counters["task"])
        self._played: dict[int, Any] = {}
        self._diagnostics: dict[str, float] = {}
        self._clock = time.monotonic() - float(self.counters["wall_seconds"])
        self._cpu_before = float(self.counters["cpu_seconds"])

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[EpisodeStats]:
        """Train until ``done``, yielding every episode; return early once ``stop()`` is true.

        Raises what the pool raises. Nothing is half done then, nor where the episode yielded is
        the last of ``counters``.
        """
        self._submit()
        while not self.done:
            if stop():
                return
            results = self.pool.collect(POLL_SECONDS)
            self._played.update((task.number, result) for task, result in results)
            if self.agent.chained:
                self._submit()
            while self._complete():
                yield from self._take_in()
                if stop() or self.done:
                    return

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.goal is not None and self.goal.reached(self.counters)

    @property
    def done(self) -> bool:
        """Whether nothing is left to train."""
        return self.reached or self.counters["episode"] >= self.episodes

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
        recent = list(self.counters["recent"])
        return TrainerState({**self.counters, "recent": recent}, arrays)

    @staticmethod
    def _counters(found: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state's counters, with those that its version did not have."""
        former = {"task": found["episode"], "recent": [], "cpu_seconds": 0.0}
        counters = {**former, **found}
        return {**counters, "recent": [float(score) for score in counters["recent"]]}

    def _complete(self) -> bool:
        """Return whether all is there that is taken in next."""
        return all(number in self._played for number in self._next())

    def _next(self) -> range:
        """Return the tasks that are taken in next: one, or a whole batch."""
        first = int(self.counters["task"])
        return range(first, first + (self.agent.batch_size if self.agent.chained else 1))

    def _take_in(self) -> list[EpisodeStats]:
        """Take in the next tasks; make the update if they complete one; return what ended."""
        counters, agent = self.counters, self.agent
        played_with = max(0, counters["update"] - agent.lag)
        ended: list[tuple[Game, dict[str, Any]]] = []
        for number in self._next():
            result = self._played.pop(number)
            self._diagnostics |= agent.add(result, self._version(played_with), self.state)
            counters["task"] += 1
            counters["total_steps"] += result.length
            counters["total_frames"] += result.frames
            ended += [(game, self._count(game)) for game in result.games]
        if counters["task"] % agent.batch_size == 0:
            self._diagnostics |= agent.update(self.parameters, self.state)
            counters["update"] += 1
            self._publish(counters["update"], self.parameters)
            self._submit()
        counters["wall_seconds"] = time.monotonic() - self._clock
        # Workers that a signal killed together with their fork server take their share along.
        used = self._cpu_before + cpu_seconds()
        counters["cpu_seconds"] = max(counters["cpu_seconds"], used)
        names = ("update", "total_steps", "total_frames", "wall_seconds", "cpu_seconds")
        now = {name: counters[name] for name in names}
        said = dict(self._diagnostics)
        if ended:
            self._diagnostics.clear()
        return [
            EpisodeStats(
                score=game.score,
                length=game.length,
                frames=game.frames,
                diagnostics=said,
                **counted,
                **now,
            )
            for game, counted in ended
        ]

    def _count(self, game: Game) -> dict[str, Any]:
        """Count an episode; return the counters that are its own."""
        counters, keep = self.counters, RUNNING_MEAN_DECAY
        mean = counters["running_mean"]
        counters["running_mean"] = (
            game.score if mean is None else keep * mean + (1 - keep) * game.score
        )
        counters["recent"] = [*counters["recent"], game.score][-RECENT:]
        counters["episode"] += 1
        return {name: counters[name] for name in ("episode", "running_mean")}

    def _submit(self) -> None:
        """Put every task on the table that can be played by now, in their order."""
        batch, lag = self.agent.batch_size, self.agent.lag
        ready = (self.counters["update"] + lag + 1) * batch
        if not self.agent.chained:
            ready = min(ready, self.episodes)
        while self._submitted < ready:
            number = self._submitted
            before = self._played.get(number - batch)
            if self.agent.chained and before is None and number - batch >= self.counters["task"]:
                return
            payload = self.agent.payload(number, before, self.state)
            self.pool.submit(Task(number, version=max(0, number // batch - lag), payload=payload))
            self._submitted += 1

    def _version(self, version: int) -> dict[str, Array]:
        return self.weights.slot(version % (self.agent.lag + 1))

    def _publish(self, version: int, parameters: Mapping[str, Array]) -> None:
        # The slot held version - lag - 1, and the last task that needed that is taken in.
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
        self.agent.verify(self.state)
        for age in reversed(range(ages)):
            parameters = {
                name: state.arrays[f"parameters/{age}/{name}"].copy() for name in self.agent.shapes
            }
            self._publish(newest - age, parameters)
        return parameters
