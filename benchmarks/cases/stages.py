"""Runs of one stage, as trainer and workers plan them."""

from __future__ import annotations

from typing import Any

from fastpong.agents import AGENTS, make_plan
from fastpong.agents.protocol import PlannedStage
from fastpong.settings.stages import Stage


def only_stage(
    agent: str, env: str, settings: Any = None, *, backend: str = "cython", dtype: str = "float32"
) -> PlannedStage:
    """Return the stage of a run that has no other one; without settings, with the defaults."""
    stage = Stage(agent=agent, settings=settings or AGENTS[agent].Settings())
    return make_plan(env, (stage,), backend, dtype).stages[0]
