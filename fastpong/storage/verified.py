"""Checkpoints of runs, verified against their own settings before they are used.

All commands load them here. Beyond what ``checkpoint`` verifies, the manifest has all fields of
``manifest.RUN``, its settings are those of an agent that there is, its counters agree with these
settings and with each other, the arrays that play have the agent's shapes, and all numbers in
arrays are finite.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastpong.agents import make_plan
from fastpong.agents.plan import Plan
from fastpong.arrays import Arrays
from fastpong.printable import brief
from fastpong.settings.config import Config, default_backend
from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import Checkpoint
from fastpong.storage.manifest import RUN, Fields, broken, check
from fastpong.storage.tensors import float_names

_LARGE = 256 << 20
"""Bytes of a data file from which on all its arrays are checked before it is read."""


def load(path: Path) -> Checkpoint:
    """Load a checkpoint of a run by its manifest or data file.

    Raises CheckpointError, which names file and field.
    """
    found = checkpoint.load(path, check_run)
    if (name := not_finite(found.arrays)) is not None:
        raise broken(found.path, f"{name}: expected finite numbers, got NaN or infinity")
    return found


def newest(directory: Path) -> tuple[Checkpoint, list[str]]:
    """Return a run's newest sound checkpoint, and the refusals of newer ones.

    Raises CheckpointError as ``checkpoint.newest``.
    """
    return checkpoint.newest(directory, load)


def not_finite(arrays: Arrays) -> str | None:
    """Return the name of the first array with a number that is not finite, None without any."""
    for name in float_names(arrays):
        array = arrays[name]
        # The extremes are NaN if any number is, and need no memory.
        extremes = (array.min(), array.max()) if array.size else ()
        if not np.isfinite(extremes).all():
            return name
    return None


def check_run(path: Path, manifest: Fields) -> None:
    """Raise CheckpointError for a manifest that no run of its settings can have."""
    check(path, manifest, RUN)
    config, counters = manifest["config"], manifest["counters"]
    _same(path, "counters.episode", counters["episode"], "episode", manifest["episode"])
    backend = default_backend()
    try:
        built = Config.stored(config)
        plan = make_plan(built.env, built.stages, backend, built.dtype)
    except (ValueError, OverflowError, MemoryError) as error:
        raise broken(path, f"config: {error}") from error
    for name in ("agent", "env", "seed"):
        _same(path, name, manifest[name], f"config.{name}", getattr(built, name))
    _check_counters(path, plan, counters)
    _check_arrays(path, plan, built.dtype, manifest)


def _same(path: Path, name: str, found: object, other: str, expected: object) -> None:
    if found != expected:
        wanted = f"{brief(expected)}, that is {other}"
        raise broken(path, f"{name}: expected {wanted}, got {brief(found)}")


def _check_counters(path: Path, plan: Plan, counters: Fields) -> None:
    """Refuse counters that contradict each other: a resumed run could wait for ever."""
    task, stage = counters["task"], plan.at(counters["task"])
    batch = stage.spec.tasks_per_update
    _same(path, "counters.update", counters["update"], f"task {task} / {batch}", task // batch)
    if stage.spec.steps_per_task is None:
        _same(path, "counters.episode", counters["episode"], "counters.task", task)
        return
    _same(path, "counters.task", task, f"whole updates of {batch} tasks", task - task % batch)
    steps = stage.steps_before(task)
    _same(path, "counters.total_steps", counters["total_steps"], f"{task} tasks' steps", steps)


def _check_arrays(path: Path, plan: Plan, dtype: str, manifest: Fields) -> None:
    """Refuse other parameters than those of the agent."""
    first, arrays = plan.stages[0], manifest["arrays"]
    ages = min(first.stage.settings.lag, manifest["counters"]["update"]) + 1
    for age in range(ages):
        for name, shape in first.spec.shapes.items():
            full = f"parameters/{age}/{name}"
            wanted = {"shape": list(shape), "dtype": dtype}
            _same(path, f"arrays: {full}", arrays.get(full), "of its settings", wanted)
    if manifest["data"]["bytes"] > _LARGE:
        _check_state(path, plan, dtype, manifest)


def _check_state(path: Path, plan: Plan, dtype: str, manifest: Fields) -> None:
    """Refuse other arrays than those of the learner, before so much is read into memory."""
    stage = plan.at(manifest["counters"]["task"])
    parameters = {name: np.zeros(shape, dtype) for name, shape in stage.spec.shapes.items()}
    state = stage.spec.learner(stage, parameters, 1).state()  # zeros, which take up nothing yet
    for name, found in manifest["arrays"].items():
        array = state.get(name.removeprefix("state/"))
        if array is not None:
            wanted = {"shape": list(array.shape), "dtype": array.dtype.name}
            _same(path, f"arrays: {name}", found, "of its settings", wanted)
        elif not name.startswith("parameters/"):
            raise broken(path, f"arrays: {brief(name)}: expected none of that name, got {found}")
