"""The register of agents, and what an agent refuses to do."""

import numpy as np
import pytest

from fastpong.agents import AGENTS, create
from fastpong.agents.karpathy import Settings


def test_every_agent_is_created_and_has_what_it_says():
    for name, cls in AGENTS.items():
        agent = create(name, cls.Hyperparameters(), "cython", "float32")
        parameters = agent.initial_parameters(0)
        assert {k: v.shape for k, v in parameters.items()} == dict(agent.shapes)
        assert all(v.dtype == np.float32 for v in parameters.values())
        assert agent.batch_size >= 1 and agent.lag >= 0


def test_an_unknown_agent_is_named():
    with pytest.raises(ValueError, match=r"agent: expected one of pg.*got 'a3c'"):
        create("a3c", Settings(), "cython", "float32")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_update_that_is_not_finite_changes_nothing(value):
    agent = create("pg", Settings(hidden=3), "cython", "float32")
    parameters, state = agent.initial_parameters(0), agent.initial_state()
    state["gradient/w2"][1] = value
    before = {name: array.copy() for name, array in parameters.items()}
    with pytest.raises(ArithmeticError, match=r"diverged.*--learning-rate"):
        agent.update(parameters, state)
    assert all(np.array_equal(parameters[name], before[name]) for name in before)
    assert not state["cache/w1"].any()
