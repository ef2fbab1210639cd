"""The plan of a run: stages in steps.

All is arithmetic on the settings, so that trainer and workers agree without a word. A stage begins
with the first update at or after its ``from_step``. Only agents with rollouts of a fixed length can
follow each other in stages, since the steps of an episode are known only when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastpong.envs.variants import Variant, find_variant
from fastpong.settings.stages import Stage

if TYPE_CHECKING:
    from fastpong.agents.protocol import Spec


@dataclass(frozen=True)
class PlannedStage:
    """A stage in its place.

    index        : its number, from 0
    spec         : its agent with its settings
    variant      : the environment with the stage's frame skip
    frame_spread : steps from one compared screen to the next, over the time of one step of the
                   first stage
    frames_kept  : screens that an environment keeps, the same in all stages
    first_task, first_step : tasks and steps of the run before it
    starts       : for each schedule, the steps of the run before it started
    """

    index: int
    stage: Stage
    spec: Spec
    variant: Variant
    frame_spread: int
    frames_kept: int
    first_task: int = 0
    first_step: int = 0
    starts: dict[str, int] = field(default_factory=dict)

    @property
    def steps_per_update(self) -> int:
        """Return the steps of an update."""
        assert self.spec.steps_per_task is not None
        return self.spec.tasks_per_update * self.spec.steps_per_task

    def steps_before(self, task: int) -> int:
        """Return the run's steps before ``task``'s update."""
        updates = (task - self.first_task) // self.spec.tasks_per_update
        return self.first_step + updates * self.steps_per_update

    def since(self, schedule: str, steps: int) -> int:
        """Return a schedule's steps after ``steps`` of the run."""
        return steps - self.starts.get(schedule, 0)


class Plan:
    """All stages of a run, in order."""

    def __init__(self, env: str, stages: Sequence[Stage], make: Callable[[Stage], Spec]) -> None:
        base = find_variant(env)
        specs = [make(stage) for stage in stages]
        variants = [
            base.with_frame_skip(stage.frame_skip) if stage.frame_skip is not None else base
            for stage in stages
        ]
        for stage, spec in zip(stages, specs, strict=True):
            _check_follows(stages[0], specs[0], stage, spec)
        spreads = [_spread(variants[0], variant) for variant in variants]
        kept = max(s.screens_needed(n) for s, n in zip(specs, spreads, strict=True))
        self.stages: list[PlannedStage] = []
        for index, stage in enumerate(stages):
            task, step = self._begin(stage.from_step) if index else (0, 0)
            begun = [planned.first_step for planned in self.stages] + [step]
            starts = {name: begun[setter] for name, setter in stage.set_in.items()}
            environment = variants[index], spreads[index], kept
            self.stages.append(
                PlannedStage(index, stage, specs[index], *environment, task, step, starts)
            )

    def _begin(self, from_step: int) -> tuple[int, int]:
        """Return tasks and steps before the next stage.

        It begins with the first update at or after ``from_step``.
        """
        last = self.stages[-1]
        updates = -(-(from_step - last.first_step) // last.steps_per_update)
        if updates < 1:
            raise ValueError(
                f"from_step: expected at least one update between stages, that is "
                f"{last.first_step + last.steps_per_update} or more, got {from_step}"
            )
        tasks = last.first_task + updates * last.spec.tasks_per_update
        return tasks, last.first_step + updates * last.steps_per_update

    def at(self, task: int) -> PlannedStage:
        """Return the stage that a task belongs to."""
        return next(stage for stage in reversed(self.stages) if stage.first_task <= task)


def _spread(first: Variant, later: Variant) -> int:
    """Return the later steps in one of the first."""
    if later is first:
        return 1
    (whole,), (part,) = first.frameskip, later.frameskip
    if whole % part:
        raise ValueError(
            f"frame_skip: expected a divisor of the first stage's, {whole}, got {part}"
        )
    return whole // part


def _check_follows(first: Stage, spec: Spec, later: Stage, later_spec: Spec) -> None:
    """Raise ValueError for a stage that cannot follow."""
    if later is first:
        return
    if spec.steps_per_task is None or later_spec.steps_per_task is None:
        agent = first.agent if spec.steps_per_task is None else later.agent
        raise ValueError(
            f"stages: expected agents with rollouts of a fixed length, got {agent}, "
            f"whose tasks are episodes"
        )
    for name, mine, theirs in (
        ("the parameters' shapes", spec.shapes, later_spec.shapes),
        ("environments", spec.tasks_per_update, later_spec.tasks_per_update),
        ("lag", first.settings.lag, later.settings.lag),
    ):
        if mine != theirs:
            raise ValueError(
                f"stages: expected the same {name} in all, {mine} as in the first, got {theirs}"
            )
