"""Small training runs: over a pool as users make them, and in one process, written in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np

from fastpong.agents import make_plan
from fastpong.agents.plan import Plan
from fastpong.agents.protocol import Chance, Learner
from fastpong.envs.draws import TRAIN
from fastpong.runtime.pool import Pool, Task
from fastpong.runtime.sharedmem import SharedArrays
from fastpong.settings.config import Config
from fastpong.settings.stages import Stage
from fastpong.training.goal import Goal
from fastpong.training.players import PRELOAD, make_player
from fastpong.training.state import TrainerState
from fastpong.training.stats import EpisodeStats
from fastpong.training.trainer import Trainer

SEED = 5

Stages = Sequence[Stage]
Hook = Callable[[Pool, Trainer], bool]


def stages_of(agent: str, *, env: str, stages: Sequence[Any] = (), **settings: Any) -> Stages:
    """Return the stages that a config file with these values has."""
    return Config.build({"agent": agent, "env": env, **settings, "stages": list(stages)}).stages


@dataclass
class Trained:
    """What a run over a pool came to."""

    snapshot: TrainerState
    stats: list[EpisodeStats]
    tasks: list[Task]
    restarts: int

    @property
    def arrays(self) -> dict[str, Any]:
        return self.snapshot.arrays

    @property
    def counters(self) -> dict[str, Any]:
        return self.snapshot.counters


def train(
    env: str, stages: Stages, *, updates: int = 10**9, goal: Goal | None = None,
    backend: str = "cython", dtype: str = "float32", workers: int = 2, threads: int = 1,
    start_method: str | None = None, state: TrainerState | None = None,
    stop_after: int | None = None, emulator: str = "console",
    hook: Hook = lambda pool, trainer: False, open_pool: Any = Pool,
) -> Trained:  # fmt: skip
    """Train for real, until so many updates or episodes, the goal, or until the hook says so.

    open_pool : takes what a local pool takes
    """
    plan = make_plan(env, stages, backend, dtype, emulator)
    first = plan.stages[0]
    weights = SharedArrays(first.spec.shapes, dtype, first.stage.settings.lag + 1)
    arguments = (env, stages, backend, dtype, Chance(SEED, TRAIN), None, emulator)
    stats: list[EpisodeStats] = []
    tasks: list[Task] = []
    try:
        with open_pool(
            make_player, arguments, weights, workers=workers, preload=PRELOAD[emulator],
            start_method=start_method,
        ) as pool:  # fmt: skip
            submit = pool.submit

            def recorded(task: Task) -> None:
                tasks.append(task)
                submit(task)

            pool.submit = recorded  # type: ignore[method-assign]
            trainer = Trainer(
                plan, pool, weights, seed=SEED, goal=goal or Goal(episodes=10**6),
                threads=threads, state=state,
            )  # fmt: skip

            def stop() -> bool:
                enough = stop_after is not None and len(stats) >= stop_after
                return hook(pool, trainer) or enough or trainer.counters["update"] >= updates

            for item in trainer.run(stop):
                stats.append(item)
            return Trained(trainer.snapshot(), stats, tasks, pool.restarts)
    finally:
        weights.close()


_MADE: dict[str, Trained] = {}


def train_once(env: str, stages: Stages, **how: Any) -> Trained:
    """Return the run of ``train``, made by the first test that asks. Nobody may change it."""
    key = repr((env, tuple(stages), sorted(how.items())))
    if key not in _MADE:
        _MADE[key] = train(env, stages, **how)
    return _MADE[key]


@dataclass
class Made:
    """An update made in one process.

    learner : as it stands, of the next stage where the update was the last of its own
    by      : the learner that made it
    """

    plan: Plan
    learner: Any
    by: Any
    metrics: dict[str, float]

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.learner.parameters)

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.learner.state())

    def arrays(self) -> dict[str, Any]:
        """Return copies under a checkpoint's names."""
        found = {f"parameters/0/{name}": array.copy() for name, array in self.parameters.items()}
        return found | {f"state/{name}": array.copy() for name, array in self.state.items()}

    def evaluated(self) -> dict[str, Any]:
        """Return the parameters that are evaluated."""
        task = int(self.state["updates"][0]) * self.plan.stages[0].spec.tasks_per_update
        spec = self.plan.at(task).spec
        return dict(spec.evaluation_parameters(self.parameters, self.state))


def course(
    env: str, stages: Stages, *, backend: str = "cython", dtype: str = "float64",
    seed: int = SEED, threads: int = 1,
) -> Iterator[Made]:  # fmt: skip
    """Train in one process, task by task, as the schedule is written in words."""
    plan = make_plan(env, stages, backend, dtype)
    first = plan.stages[0]
    batch, lag = first.spec.tasks_per_update, first.stage.settings.lag
    learner: Learner = first.spec.learner(first, first.spec.initial_parameters(seed), threads)
    actors = [stage.spec.actor(stage, Chance(SEED, TRAIN)) for stage in plan.stages]
    versions = [{name: array.copy() for name, array in learner.parameters.items()}]
    for update in count():
        stage = plan.at(update * batch)
        agent = stage.stage.agent
        began = next(s.first_task for s in plan.stages if s.stage.agent == agent) // batch
        behaviour = versions[max(began, update - lag)]
        for task in range(update * batch, (update + 1) * batch):
            result = actors[stage.index].play(task, behaviour, learner.payload(task, None))
            learner.add(result, behaviour)
        by, metrics = learner, learner.update()
        if (following := plan.at((update + 1) * batch)) is not stage:
            learner = learner.advance(following)
        versions.append({name: array.copy() for name, array in learner.parameters.items()})
        yield Made(plan, learner, by, metrics)


def after(updates: int, env: str, stages: Stages, **how: Any) -> Made:
    """Return the last of so many updates made in one process."""
    return next(islice(course(env, stages, **how), updates - 1, None))


def same_arrays(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether all arrays are equal, after asserting that there are the same."""
    assert first.keys() == second.keys()
    return all(np.array_equal(array, second[name]) for name, array in first.items())
