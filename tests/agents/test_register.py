"""The register of agents, and what an agent refuses to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastpong.agents import AGENTS, make_plan
from fastpong.agents.protocol import Chance, PlannedStage
from fastpong.envs.draws import TRAIN
from fastpong.settings.stages import Stage

ENV = "PongDeterministic-v4"


def planned(agent: str, **settings: Any) -> PlannedStage:
    stages = [Stage(agent=agent, settings=AGENTS[agent].Settings(**settings))]
    return make_plan(ENV, stages, "cython", "float32").stages[0]


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_is_made_and_has_what_it_says(agent: str) -> None:
    stage = planned(agent)
    spec: Any = stage.spec
    parameters = spec.initial_parameters(0)
    assert {k: v.shape for k, v in parameters.items()} == dict(spec.shapes)
    assert all(v.dtype == np.float32 for v in parameters.values())
    assert spec.tasks_per_update >= 1 and stage.stage.settings.lag >= 0
    assert spec.steps_per_task is None or spec.steps_per_task >= 1
    assert spec.screens_needed(1) >= 2
    assert isinstance(spec.settings, AGENTS[agent].Settings)
    assert set(spec.defaults) <= {"episodes", "save_every"}
    learner = spec.learner(stage, parameters, 1)
    assert learner.parameters is parameters
    for name, array in learner.state().items():  # views: a resumed run writes into them
        array.fill(1)
        assert learner.state()[name].any() or not array.size
    averages = spec.evaluation_parameters(parameters, learner.state())
    assert {k: v.shape for k, v in averages.items()} == dict(spec.shapes)
    assert spec.actor(stage, Chance(0, TRAIN)).play


def test_an_unknown_agent_is_named() -> None:
    settings = AGENTS["karpathy"].Settings()
    with pytest.raises(ValueError, match=r"agent: expected one of karpathy.*got 'a3c'"):
        make_plan(ENV, [Stage(agent="a3c", settings=settings)], "cython", "float32")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("agent", ["karpathy", "keras"])
def test_an_update_that_is_not_finite_changes_nothing(agent: str, value: float) -> None:
    stage = planned(agent)
    spec: Any = stage.spec
    learner = spec.learner(stage, spec.initial_parameters(0), 1)
    state = learner.state()
    state["gradient/w2"].reshape(-1)[1] = value
    everything = learner.parameters | state
    before = {name: array.copy() for name, array in everything.items()}
    with pytest.raises(ArithmeticError, match=r"diverged.*--learning-rate"):
        learner.update()
    for name, array in everything.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
