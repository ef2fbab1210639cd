"""Weights that a new run begins with: those of another agent.

Only weights are taken. Optimizer, replay buffer, schedules and counters begin anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fastpong.agents import make_plan
from fastpong.arrays import Array, Arrays
from fastpong.settings.config import Config, default_backend
from fastpong.storage.finding import find
from fastpong.training.trained import Trained, check_finite, read_trained

_OF_MACHINE = frozenset({"workers", "pool", "backend", "emulator"})
"""Settings that a run of somebody else's has for its own machine."""


def find_weights(source: str) -> Trained:
    """Load the agent of a run, a file or pretrained weights.

    Raises CheckpointError as ``find`` and ``read_trained``.
    """
    return read_trained(find(Path(source))[0], default_backend())


def settings_of(trained: Trained) -> dict[str, object]:
    """Return settings for a new run of an agent: those of the stage that its weights are of."""
    config = trained.config
    stage = dataclasses.replace(
        config.stages[trained.stage], from_step=0, policy_temperature=1.0, sharpening=1.0
    )
    own = dataclasses.replace(config, stages=(stage,), recipe="", init_from=None)
    return {name: value for name, value in own.flat().items() if name not in _OF_MACHINE}


def initial_weights(config: Config) -> dict[str, Array]:
    """Return the weights that a run begins with, in its dtype.

    config : with ``init_from``

    Raises ValueError for weights of another agent or of other shapes, CheckpointError for a file
    that is none.
    """
    assert config.init_from is not None
    trained = find_weights(config.init_from)
    agent = trained.config.stages[trained.stage].agent
    plan = make_plan(config.env, config.stages, config.backend, config.dtype)
    wanted = plan.stages[0].spec.shapes
    got = {name: array.shape for name, array in trained.parameters.items()}
    if agent != config.agent or got != dict(wanted):
        raise ValueError(
            f"init_from: expected weights of agent {config.agent}, {_listed(wanted)}, got those of "
            f"agent {agent}, {_listed(got)}, in {trained.path}; without --recipe, --agent and "
            "--config a run takes the settings of the weights"
        )
    try:
        return cast(trained.parameters, config.dtype)
    except ValueError as error:
        raise ValueError(f"init_from: {trained.path}: {error}") from error


def cast(parameters: Arrays, dtype: str) -> dict[str, Array]:
    """Return weights in a dtype.

    Raises ValueError for those that are beyond its range.
    """
    with np.errstate(over="ignore"):
        found = {name: array.astype(dtype) for name, array in parameters.items()}
    check_finite(found)
    return found


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(
        f"{name} {'x'.join(map(str, shape))}" for name, shape in sorted(shapes.items())
    )
