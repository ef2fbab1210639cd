"""A worker's player: the actors of a run's stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastpong.agents import AGENTS, make_plan
from fastpong.agents.protocol import Actor, Chance, Result
from fastpong.arrays import Arrays
from fastpong.runtime.pool import Task
from fastpong.settings.stages import Stage

PRELOAD = {
    "console": (__name__, "fastpong.console.machine"),
    "ale": (__name__, "ale_py"),
}
"""Modules that every player imports, by emulator. A fork server does it once for all workers."""


def needs_main(stages: Sequence[Stage]) -> bool:
    """Return whether workers must import the program's main module.

    It may be what registers an agent that is not fastpong's own.
    """
    return any(AGENTS[stage.agent].__module__.partition(".")[0] != "fastpong" for stage in stages)


def make_player(
    env: str,
    stages: Sequence[Stage],
    backend: str,
    dtype: str,
    chance: Chance,
    stage: int | None,
    emulator: str = "auto",
) -> Callable[[Task, Arrays], Result]:
    """Return ``play(task, parameters)`` for a worker.

    stage    : number of the stage that all tasks are played in, None for that of each task
    emulator : to play on, see ``envs.choice``

    The arguments travel to the worker as plain data.
    """
    plan = make_plan(env, stages, backend, dtype, emulator)
    actors: dict[int, Actor] = {}

    def play(task: Task, parameters: Arrays) -> Result:
        planned = plan.at(task.number) if stage is None else plan.stages[stage]
        if planned.index not in actors:
            actors[planned.index] = planned.spec.actor(planned, chance)
        return actors[planned.index].play(task.number, parameters, task.payload)

    return play
