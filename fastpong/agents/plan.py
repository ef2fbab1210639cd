"""The plan of a run: stages in steps.

All is arithmetic on the settings, so that trainer and workers agree without a word. A stage begins
with the first update at or after its ``from_step``. Only agents with rollouts of a fixed length can
follow each other in stages, since the steps of an episode are known only when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastpong.agents.protocol import PlannedStage, Spec
from fastpong.envs.variants import Variant, find_variant
from fastpong.settings.stages import Stage


class Plan:
    """All stages of a run, in order."""

    def __init__(
        self,
        env: str,
        stages: Sequence[Stage],
        make: Callable[[Stage], Spec],
        emulator: str = "auto",
    ) -> None:
        base = find_variant(env)
        specs = [make(stage) for stage in stages]
        variants = [
            base.with_frame_skip(stage.frame_skip) if stage.frame_skip is not None else base
            for stage in stages
        ]
        for stage, spec in zip(stages, specs, strict=True):
            _check_follows(stages[0], specs[0], stage, spec)
        spreads = [_spread(base, variant) for variant in variants]
        kept = max(s.screens_needed(n) for s, n in zip(specs, spreads, strict=True))
        self.stages: list[PlannedStage] = []
        for index, stage in enumerate(stages):
            task, step = self._begin(stage.from_step) if index else (0, 0)
            takes_over = index > 0 and stage.agent != stages[index - 1].agent
            oldest = self.stages[-1].oldest if index else 0
            if takes_over:
                oldest = task // specs[index].tasks_per_update
            begun = [planned.first_step for planned in self.stages] + [step]
            starts = {name: begun[setter] for name, setter in stage.set_in.items()}
            environment = variants[index], spreads[index], kept
            self.stages.append(
                PlannedStage(
                    index, stage, specs[index], *environment, task, step, starts, emulator, oldest
                )
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

    def version(self, task: int) -> int:
        """Return the version of the weights that a task is played with.

        It is ``lag`` updates old. But an agent that takes over waits for its own.
        """
        stage = self.at(task)
        before = task // stage.spec.tasks_per_update
        return max(stage.oldest, before - stage.stage.settings.lag)


def _spread(base: Variant, finer: Variant) -> int:
    """Return the finer steps in one of the environment's own."""
    return 1 if finer is base else base.frameskip[0] // finer.frameskip[0]


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
        ("shapes of parameters", spec.shapes, later_spec.shapes),
        ("n_envs", spec.tasks_per_update, later_spec.tasks_per_update),
        ("lag", first.settings.lag, later.settings.lag),
    ):
        if mine != theirs:
            raise ValueError(
                f"stages: expected the same {name} in all, {mine} as in the first, got {theirs}"
            )
