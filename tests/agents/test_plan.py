"""The plan of a run: where stages and schedules begin, and which stages are refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_cases import stages_of

from fastpong.agents import AGENTS, make_plan
from fastpong.agents.plan import Plan
from fastpong.envs.variants import find_variant
from fastpong.settings.schedules import Schedule
from fastpong.settings.stages import Stage

ENV = "ALE/Pong-v5"
SEEN: dict[str, Any] = {"hidden": 16, "n_envs": 2, "cell_size": 8, "coarse_cells": ""}


def ppo(from_step: int = 0, *, agent: str = "ppo", **changes: Any) -> Stage:
    placed = {name: changes.pop(name) for name in ("frame_skip", "set_in") if name in changes}
    settings = AGENTS[agent].Settings(**{**SEEN, "n_steps": 10, **changes})
    return Stage(from_step=from_step, agent=agent, settings=settings, **placed)


def plan(*stages: Stage, env: str = ENV) -> Plan:
    return make_plan(env, stages, "cython", "float32")


@pytest.mark.parametrize(("from_step", "step"), [(1, 20), (19, 20), (20, 20), (21, 40), (40, 40)])
def test_a_stage_begins_with_the_first_update_at_or_after_its_step(
    from_step: int, step: int
) -> None:
    first, second = plan(ppo(), ppo(from_step)).stages
    assert (first.first_step, first.first_task) == (0, 0)
    assert (second.first_step, second.first_task) == (step, step // 10)
    assert (first.index, second.index) == (0, 1)


def test_each_stage_is_as_long_as_its_own_updates_make_it() -> None:
    made = plan(ppo(), ppo(30, n_steps=7), ppo(60, n_steps=100), ppo(300))
    assert [stage.steps_per_update for stage in made.stages] == [20, 14, 200, 20]
    # 40 = 2 * 20, 68 = 40 + 2 * 14, 468 = 68 + 2 * 200.
    assert [stage.first_step for stage in made.stages] == [0, 40, 68, 468]
    assert [stage.first_task for stage in made.stages] == [0, 4, 8, 12]


def test_steps_before_a_task_are_those_of_all_stages() -> None:
    made = plan(ppo(), ppo(30, n_steps=7), ppo(60, n_steps=100))
    steps = 0
    for task in range(0, 16, 2):
        stage = made.at(task)
        assert made.at(task + 1) is stage
        assert stage.steps_before(task) == stage.steps_before(task + 1) == steps
        steps += stage.steps_per_update
    assert [made.at(task).index for task in (0, 3, 4, 7, 8, 10**9)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_weights_are_as_old_as_the_lag_but_never_another_agents(lag: int) -> None:
    same: dict[str, Any] = {"lag": lag, "pixel_stride": 1, "frame_history": 0, "last_action": True}
    q: dict[str, Any] = {"agent": "dqn", "n_step": 5, "buffer_size": 100, **same}
    made = plan(ppo(**q), ppo(60, **q), ppo(120, **same))  # the policy begins with update 6
    versions = [made.version(task) for task in range(0, 20, 2)]
    assert versions == [max(0, u - lag) for u in range(6)] + [max(6, u - lag) for u in range(6, 10)]
    assert [made.version(task + 1) for task in range(0, 20, 2)] == versions


@given(st.lists(st.integers(1, 500), min_size=1, max_size=4, unique=True), st.integers(1, 40))
def test_stages_begin_in_order_at_most_an_update_late(begins: list[int], n_steps: int) -> None:
    begins = sorted(begins)
    stages = [ppo(n_steps=n_steps), *(ppo(step, n_steps=n_steps) for step in begins)]
    try:
        made = plan(*stages)
    except ValueError as error:
        assert str(error).startswith("from_step: expected at least one update between stages")
        each = 2 * n_steps
        assert any(-(-a // each) >= -(-b // each) for a, b in pairwise([0, *begins]))
        return
    for stage in made.stages[1:]:
        assert 0 <= stage.first_step - stage.stage.from_step < stage.steps_per_update


@pytest.mark.parametrize("begins", [(0,), (-5,), (20, 20), (40, 20), (1, 2), (21, 39)])
def test_a_stage_without_an_update_before_it_is_refused(begins: tuple[int, ...]) -> None:
    stages = [Stage(agent="ppo", settings=ppo().settings) for _ in begins]
    for stage, step in zip(stages, begins, strict=True):
        object.__setattr__(stage, "from_step", step)
    with pytest.raises(ValueError, match=r"^from_step: expected at least one update between"):
        plan(ppo(), *stages)


def test_a_schedule_counts_from_the_stage_that_set_it() -> None:
    made = plan(
        ppo(set_in={"learning_rate": 0, "ent_coef": 0}),
        ppo(30, set_in={"learning_rate": 1, "ent_coef": 0}),
        ppo(60, set_in={"learning_rate": 1, "ent_coef": 2}),
    ).stages
    assert [stage.first_step for stage in made] == [0, 40, 60]
    assert [stage.since("learning_rate", 100) for stage in made] == [100, 60, 60]
    assert [stage.since("ent_coef", 100) for stage in made] == [100, 100, 40]
    assert made[0].since("another", 100) == 100


def test_a_config_says_which_stage_set_a_schedule() -> None:
    stages = stages_of(
        "ppo", env=ENV, **SEEN, n_steps=10,
        stages=[{"from_step": 30, "learning_rate": 1e-4}, {"from_step": 60, "gamma": 0.5}],
    )  # fmt: skip
    made = plan(*stages).stages
    assert [stage.since("learning_rate", 100) for stage in made] == [100, 60, 60]
    assert [stage.since("ent_coef", 100) for stage in made] == [100] * 3


def test_screens_are_compared_over_the_same_time_in_every_stage() -> None:
    made = plan(
        ppo(frame_history=2), ppo(30, frame_skip=2, frame_history=2),
        ppo(60, frame_skip=1, frame_history=2),
    ).stages  # fmt: skip
    assert [stage.variant.frameskip for stage in made] == [(4,), (2,), (1,)]
    assert [stage.frame_spread for stage in made] == [1, 2, 4]
    assert [stage.frames_kept for stage in made] == [13] * 3  # 1 + 3 * 4
    assert made[0].variant is find_variant(ENV) and made[2].variant.sticky == 0.25
    (alone,) = plan(ppo(frame_skip=2)).stages
    assert (alone.frame_spread, alone.frames_kept) == (2, 3)
    (usual,) = plan(ppo(), env="Pong-v0").stages
    assert usual.variant.frameskip == (2, 3, 4) and usual.frame_spread == 1


@pytest.mark.parametrize(
    ("env", "frames"), [("Pong-v0", 2), ("PongNoFrameskip-v4", 2), (ENV, 3), (ENV, 8)]
)
def test_a_frame_skip_that_does_not_divide_the_environments_is_refused(
    env: str, frames: int
) -> None:
    with pytest.raises(
        ValueError, match=rf"^frame_skip: expected .* of {frames} frames, got {env}"
    ):
        plan(ppo(), ppo(30, frame_skip=frames), env=env)


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"hidden": 17}, "shapes of parameters"), ({"n_envs": 3}, "n_envs"),
     ({"lag": 1}, "lag"), ({"last_action": True}, "shapes of parameters")],
)  # fmt: skip
def test_stages_that_cannot_take_over_are_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=rf"^stages: expected the same {what} in all"):
        plan(ppo(), ppo(30, **changes))


def test_agents_of_whole_episodes_have_one_stage() -> None:
    karpathy = Stage(agent="karpathy", settings=AGENTS["karpathy"].Settings())
    later = Stage(from_step=30, agent="karpathy", settings=AGENTS["karpathy"].Settings())
    assert len(plan(karpathy).stages) == 1
    for stages in ((karpathy, later), (ppo(), later), (karpathy, ppo(30))):
        with pytest.raises(ValueError, match=r"^stages: expected agents with rollouts .*karpathy"):
            plan(*stages)


# --- schedules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 2048, 123_456, 799_999, 800_000, 10**9])
def test_a_schedule_is_the_arithmetic_of_a_final_share(steps: int) -> None:
    """To the bit: weights of earlier versions depend on it."""
    done = min(1.0, steps / 800_000)
    assert Schedule.parse("linear:1.5e-3:1.5e-4:800000").at(steps) == 1.5e-3 * (
        1 - done * (1 - 0.1)
    )
    assert Schedule.parse("linear:0.005:0.0005:800000").at(steps) == 0.005 * (1 - done * (1 - 0.1))
    assert Schedule.parse("linear:5e-4:5e-5:800000").at(steps) == 5e-4 * (1 - done * (1 - 0.1))


def test_a_schedule_may_rise_and_may_be_constant() -> None:
    assert Schedule.parse(3).at(10**6) == 3.0 and Schedule.parse("1e-4").at(0) == 1e-4
    rising = Schedule.parse("linear:1:3:10")
    np.testing.assert_allclose([rising.at(t) for t in (0, 5, 10, 99)], [1, 2, 3, 3])
    assert Schedule.parse(rising) is rising
    for text in ("linear:1.0:3.0:10", "0.25"):
        assert str(Schedule.parse(text)) == text
        assert Schedule.parse(str(Schedule.parse(text))) == Schedule.parse(text)


@pytest.mark.parametrize(
    "value",
    ["", "fast", "linear", "linear:1:2", "linear:1:2:0", "linear:1:2:-3", "linear:1:2:2.5",
     "linear:a:2:3", "cosine:1:2:3", "linear:1:2:3:4", None, True, [1.0], 10**400],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a number or linear:START:END:STEPS, got"):
        Schedule.parse(value)
