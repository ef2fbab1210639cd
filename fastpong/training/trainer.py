"""The update schedule: tasks of updates, and their weights.

Update u is made from the tasks [u B, (u + 1) B), all played with the weights of version
max(0, u - lag). Version v is the weights after v updates. With lag 0 that is the reference's
strictly on-policy loop, and every batch ends waiting for its longest task. With lag 1 idle workers
begin the next batch with the weights before, and that hides the wait. Results are processed in the
order of the tasks, so the weights are a function of (seed, settings), and never of the number of
workers or of timing.

A task is the agent's: an episode that stands alone, or a rollout that goes on from the rollout of
the batch before in the same environment. Rollouts are processed by whole batches, so that a run
always stands between two updates. The part of a batch that was played is played again, the same,
by a resumed run.

The trainer knows no screen and no file. It yields one ``EpisodeStats`` for every episode that
ended, and ``snapshot()`` in between is all that is needed to go on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from threading import Event

from fastpong.agents.plan import Plan
from fastpong.agents.protocol import Game, Learner, PlannedStage, Result
from fastpong.arrays import Array
from fastpong.learning.team import Team
from fastpong.runtime.cputime import CpuMeter
from fastpong.runtime.pool import Task, TaskPool
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.storage.tensors import read_into, shapes_of
from fastpong.training.goal import RECENT, Counters, Goal
from fastpong.training.state import TrainerState, initial_counters
from fastpong.training.stats import EpisodeStats

RUNNING_MEAN_DECAY = 0.99
# How long a stop request may go unnoticed while all workers are playing.
POLL_SECONDS = 0.1
# How long the trainer may go on waiting for workers after an update. Less costs CPU time.
SERVE_SECONDS = 0.005


class Trainer:
    """Train the agents of one plan over one pool.

    pool    : plays tasks. ``weights`` must be the block that its workers read
    weights : lag + 1 slots of the agent's parameters
    seed    : of the initial parameters (the pool's player has it too, for the episodes)
    goal    : the end of training
    threads : cores that learners may use
    state   : of ``snapshot()``, to go on from. None begins anew

    Raises ValueError for a ``state`` that does not fit the agent.
    """

    def __init__(
        self,
        plan: Plan,
        pool: TaskPool,
        weights: SharedArrays,
        *,
        seed: int,
        goal: Goal,
        threads: int = 1,
        state: TrainerState | None = None,
    ) -> None:
        self.plan, self.pool, self.weights, self.goal = plan, pool, weights, goal
        first = plan.stages[0]
        self.lag, self.batch = first.stage.settings.lag, first.spec.tasks_per_update
        self.by_batches = first.spec.steps_per_task is not None
        counters = initial_counters() if state is None else state.counters
        self.counters: Counters = {
            **counters,
            "recent": [float(score) for score in counters["recent"]],
        }
        self.stage: PlannedStage = plan.at(int(self.counters["task"]))
        if state is None:
            self.learner = first.spec.learner(first, first.spec.initial_parameters(seed), threads)
            self._publish(0, self.learner.parameters)
        else:
            self.learner = self._restore(state, threads)
        self._submitted = int(self.counters["task"])
        self._played: dict[int, Result] = {}
        self._diagnostics: dict[str, float] = {}
        self._pair: Team | None = None
        self._clock = time.monotonic() - float(self.counters["wall_seconds"])
        self._cpu, self._cpu_before = CpuMeter(), float(self.counters["cpu_seconds"])

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[EpisodeStats]:
        """Train until ``done``, and yield every episode.

        Returns early once ``stop()`` is true.

        Raises the pool's errors. Nothing is half done then, nor after the last episode of
        ``counters`` was yielded.
        """
        self._submit()
        while not self.done:
            if stop():
                return
            results = self.pool.collect(POLL_SECONDS)
            self._played.update((task.number, result) for task, result in results)
            if self.by_batches:
                self._submit()
            while self._complete():
                yield from self._process()
                if stop() or self.done:
                    return

    @property
    def is_whole(self) -> bool:
        """Return whether neither an update nor a batch that is processed at once is half done."""
        update, rest = divmod(int(self.counters["task"]), self.batch)
        return update == int(self.counters["update"]) and not (rest and self.by_batches)

    @property
    def reached(self) -> bool:
        """Return whether the mean return is reached."""
        return self.goal.reached(self.counters)

    @property
    def done(self) -> bool:
        """Return whether nothing is left to train."""
        return self.goal.over(self.counters)

    def snapshot(self, copy: bool = True) -> TrainerState:
        """Return all that a resumed run needs.

        copy : the arrays. Else they change as training goes on
        """
        newest = self.counters["update"]
        versions = range(newest, max(0, newest - self.lag) - 1, -1)
        arrays = {
            f"parameters/{newest - version}/{name}": array
            for version in versions
            for name, array in self._version(version).items()
        }
        arrays |= {f"state/{name}": array for name, array in self.learner.state().items()}
        if copy:
            arrays = {name: array.copy() for name, array in arrays.items()}
        recent = list(self.counters["recent"])
        return TrainerState({**self.counters, "recent": recent}, arrays)

    def _complete(self) -> bool:
        """Return whether the next tasks have been played."""
        return all(number in self._played for number in self._next())

    def _next(self) -> range:
        """Return the next tasks: one, or a whole batch."""
        first = int(self.counters["task"])
        return range(first, first + (self.batch if self.by_batches else 1))

    def _process(self) -> list[EpisodeStats]:
        """Process the next tasks, and return ended episodes.

        They make an update if they complete a batch.
        """
        counters = self.counters
        played_with = self._version(self.plan.version(int(counters["task"])))
        ended: list[tuple[Game, int, float]] = []
        for number in self._next():
            result = self._played.pop(number)
            self._diagnostics |= self.learner.add(result, played_with)
            counters["task"] += 1
            counters["total_steps"] += result.length
            counters["total_frames"] += result.frames
            ended += [(game, *self._count(game)) for game in result.games]
        if counters["task"] % self.batch == 0:
            self._update()
        counters["wall_seconds"] = time.monotonic() - self._clock
        # Workers that a signal killed together with their fork server take their share along.
        used = self._cpu_before + self._cpu.seconds()
        counters["cpu_seconds"] = max(counters["cpu_seconds"], used)
        diagnostics = dict(self._diagnostics)
        if ended:
            self._diagnostics.clear()
        return [
            EpisodeStats(
                episode=episode,
                score=game.score,
                length=game.length,
                frames=game.frames,
                running_mean=mean,
                update=counters["update"],
                total_steps=counters["total_steps"],
                total_frames=counters["total_frames"],
                wall_seconds=counters["wall_seconds"],
                cpu_seconds=counters["cpu_seconds"],
                diagnostics=diagnostics,
            )
            for game, episode, mean in ended
        ]

    def _update(self) -> None:
        """Make an update, and go on playing.

        The next stage begins here if it is time.
        """
        self._diagnostics |= self._learn()
        self.counters["update"] += 1
        stage = self.plan.at(int(self.counters["task"]))
        if stage is not self.stage:
            self.stage, self.learner = stage, self.learner.advance(stage)
        self._publish(self.counters["update"], self.learner.parameters)
        self._submit()

    def _learn(self) -> dict[str, float]:
        """Update the learner.

        With a lag there are tasks that need no new weights. Workers get them meanwhile, which
        needs this thread. So the learner has one of its own.
        """
        if not self.lag:
            return self.learner.update()
        if self._pair is None:
            self._pair = Team(2)
        metrics: dict[str, float] = {}
        learned = Event()

        def work(number: int) -> None:
            if number == 0:
                while not learned.is_set() and self.pool.serve(SERVE_SECONDS):
                    pass
                return
            try:
                metrics.update(self.learner.update())
            finally:
                learned.set()

        self._pair.each(work)
        return metrics

    def _count(self, game: Game) -> tuple[int, float]:
        """Count an episode, and return its number and the running mean."""
        counters, keep = self.counters, RUNNING_MEAN_DECAY
        before = counters["running_mean"]
        mean = game.score if before is None else keep * before + (1 - keep) * game.score
        counters["running_mean"] = mean
        counters["recent"] = [*counters["recent"], game.score][-RECENT:]
        counters["episode"] += 1
        return counters["episode"], mean

    def _submit(self) -> None:
        """Submit all tasks that can be played."""
        ready = (self.counters["update"] + self.lag + 1) * self.batch
        if not self.by_batches:
            ready = min(ready, self.goal.episodes)
        while self._submitted < ready:
            number = self._submitted
            before = self._played.get(number - self.batch)
            if self.by_batches and before is None and number - self.batch >= self.counters["task"]:
                return
            version = self.plan.version(number)
            if version > self.counters["update"]:
                return
            self.pool.submit(Task(number, version, payload=self.learner.payload(number, before)))
            self._submitted += 1

    def _version(self, version: int) -> dict[str, Array]:
        return self.weights.slot(version % (self.lag + 1))

    def _publish(self, version: int, parameters: Mapping[str, Array]) -> None:
        # The slot held version - lag - 1, and the last task that needed that is processed.
        self.pool.publish(version, parameters)

    def _restore(self, state: TrainerState, threads: int) -> Learner:
        """Restore the stage's learner, and publish the weights."""
        newest, spec, arrays = int(self.counters["update"]), self.stage.spec, state.arrays
        found, ages = shapes_of(arrays), min(self.lag, newest) + 1
        for age in range(ages):
            _check(found, f"parameters/{age}/", spec.shapes)
        versions = [
            {name: arrays[f"parameters/{age}/{name}"] for name in spec.shapes}
            for age in range(ages)
        ]
        own = {name: array.copy() for name, array in versions[0].items()}
        learner = spec.learner(self.stage, own, threads)
        views = learner.state()
        _check(found, "state/", {name: array.shape for name, array in views.items()})
        if left := found.keys() - _names(ages, spec.shapes, views):
            raise ValueError(_misfit(min(left), "there", "no such array"))
        for name, array in views.items():
            read_into(arrays, f"state/{name}", array)
        learner.verify()
        for age in reversed(range(ages)):
            self._publish(newest - age, versions[age])
        return learner


def _check(
    found: Mapping[str, tuple[int, ...]], prefix: str, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise ValueError for arrays that are missing or of other shapes."""
    for name, shape in shapes.items():
        if (got := found.get(prefix + name)) != shape:
            raise ValueError(_misfit(prefix + name, "missing" if got is None else got, shape))


def _names(ages: int, *named: Mapping[str, object]) -> set[str]:
    parameters, state = named
    return {f"parameters/{age}/{name}" for age in range(ages) for name in parameters} | {
        f"state/{name}" for name in state
    }


def _misfit(name: str, got: object, expected: object) -> str:
    return (
        f"the checkpoint does not fit the agent: {name} is {got}, expected {expected}; "
        f"resume with the run's own settings"
    )
