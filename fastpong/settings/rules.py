"""The rules for the stages of a run: their order, their frame skips, changes of the agent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from fastpong.agents.dqn.settings import DQNSettings
from fastpong.agents.ppo.settings import RolloutSettings
from fastpong.envs.variants import find_variant
from fastpong.settings.stages import Stage

SAME_IN_ALL = (
    "lag", "hidden", "n_envs", "pixel_stride", "cell_size", "coarse_cells", "frame_history",
    "last_action",
)  # fmt: skip
"""Settings that all stages share, since each takes over network and environments."""


def check_stages(env: str, stages: Sequence[Stage]) -> None:
    """Check that every stage can follow the one before.

    Raises ValueError. The message names the stage, numbered from 1, and the key.
    """
    if stages[0].from_step:
        raise ValueError(
            f"from_step: expected 0 for the first stage, got {stages[0].from_step}; leave it out"
        )
    for number, stage in enumerate(stages, 1):
        _check_kind(number, stage, len(stages))
        _check_skip(number, stage, stages[number - 2] if number > 1 else None, env)
    begun = _first_steps(stages)
    for number, (before, stage) in enumerate(pairwise(stages), 2):
        if stage.agent != before.agent:
            _check_handover(number, before, stage, begun[number - 2])
        _check_same(number, before, stage)
    for number, stage in enumerate(stages, 1):
        follows = number > 1 and stages[number - 2].agent != stage.agent
        _check_policy(number, stage, follows)


def _name(number: int, key: str) -> str:
    return f"stage {number}: {key}" if number > 1 else key


def _check_kind(number: int, stage: Stage, count: int) -> None:
    if isinstance(stage.settings, RolloutSettings):
        return
    if count > 1:
        raise ValueError(
            f"stages: expected none with agent {stage.agent}, got {count}; stages are for agents "
            "ppo and dqn, whose updates have a fixed number of steps"
        )
    if stage.frame_skip is not None:
        raise ValueError(
            f"frame_skip: expected none with agent {stage.agent}, got {stage.frame_skip}; take an "
            "environment with another frame skip"
        )


def _check_skip(number: int, stage: Stage, before: Stage | None, env: str) -> None:
    """Require the environment's frame skip, halved any number of times."""
    skip, name = stage.frame_skip, _name(number, "frame_skip")
    if skip is None:
        return
    base = find_variant(env).frameskip
    if len(base) > 1:
        frames = ", ".join(map(str, base))
        raise ValueError(
            f"{name}: expected an environment with a fixed frame skip, got {env}, which plays an "
            f"action for {frames} frames; take another environment, or leave frame_skip out"
        )
    allowed, most = [base[0]], (before.frame_skip if before else None) or base[0]
    while allowed[-1] % 2 == 0:
        allowed.append(allowed[-1] // 2)
    if skip not in allowed or skip > most:
        choices = ", ".join(str(frames) for frames in allowed if frames <= most)
        raise ValueError(
            f"{name}: expected one of {choices}, the frame skip of {env} halved and no larger "
            f"than before, got {skip}"
        )


def _first_steps(stages: Sequence[Stage]) -> list[int]:
    """Return the steps before each stage's first update.

    Raises ValueError for a stage before which another one has no update.
    """
    begun = [0]
    for number, (before, stage) in enumerate(pairwise(stages), 2):
        each = _steps_per_update(before)
        if stage.from_step <= begun[-1]:
            raise ValueError(
                f"{_name(number, 'from_step')}: expected more than {begun[-1]}, where the stage "
                f"before begins, got {stage.from_step}; stages are in the order of their steps"
            )
        begun.append(begun[-1] + -(-(stage.from_step - begun[-1]) // each) * each)
    return begun


def _steps_per_update(stage: Stage) -> int:
    settings = stage.settings
    assert isinstance(settings, RolloutSettings)
    return settings.n_envs * settings.n_steps


def _check_same(number: int, before: Stage, stage: Stage) -> None:
    """Raise ValueError for another network or other environments."""
    for name in SAME_IN_ALL:
        old, new = getattr(before.settings, name), getattr(stage.settings, name)
        if old != new:
            raise ValueError(
                f"{_name(number, name)}: expected {old!r}, as before, since network and "
                f"environments are taken over, got {new!r}; leave it out"
            )


def _check_handover(number: int, before: Stage, stage: Stage, begun: int) -> None:
    """Require a network that ``stage`` can take over."""
    if (before.agent, stage.agent) != ("dqn", "ppo"):
        raise ValueError(
            f"{_name(number, 'agent')}: expected {before.agent}, as before, or ppo after dqn, "
            f"got {stage.agent}"
        )
    assert isinstance(before.settings, DQNSettings)
    each = _steps_per_update(before)
    waits = max(1, -(-before.settings.learning_starts // each)) * each
    if stage.from_step <= begun + waits:
        raise ValueError(
            f"{_name(number, 'from_step')}: expected more than {begun + waits}, so that the stage "
            f"before learns something (learning_starts {before.settings.learning_starts}), "
            f"got {stage.from_step}; begin this stage later"
        )


def _check_policy(number: int, stage: Stage, follows: bool) -> None:
    """Refuse settings of a takeover elsewhere."""
    for name in ("policy_temperature", "sharpening"):
        if getattr(stage, name) != 1 and not follows:
            raise ValueError(
                f"{_name(number, name)}: expected it where ppo takes over from dqn, got it "
                f"elsewhere, with agent {stage.agent}; leave it out"
            )
    ent_coef = getattr(stage.settings, "ent_coef", None)
    if stage.sharpening != 1 and not (ent_coef and ent_coef.steps):
        raise ValueError(
            f"{_name(number, 'sharpening')}: expected ent_coef as linear:START:END:STEPS with it, "
            f"over which the policy is sharpened, got ent_coef {ent_coef}; "
            "give a schedule, or leave sharpening out"
        )
