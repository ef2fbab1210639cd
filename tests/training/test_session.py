"""Runs that are gone on with: of an older version, and after an update that failed."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from training_cases import same_arrays

from fastpong.settings.config import Config
from fastpong.storage import checkpoint
from fastpong.storage.run import Run
from fastpong.training.session import Session

EPISODES = {"agent": "karpathy", "hidden": 4, "batch_size": 3, "lag": 1, "episodes": 9}
ROLLOUTS = {
    "agent": "ppo", "hidden": 4, "n_envs": 4, "n_steps": 64, "batch_size": 64, "cell_size": 8,
    "coarse_cells": "16x16:0.35", "total_timesteps": 6000,
}  # fmt: skip


def config(values: dict[str, Any]) -> Config:
    return Config.build({"env": "PongDeterministic-v4", "workers": 2, "save_every": 1, **values})


def train(run: Run) -> None:
    with run, Session(run.config) as session:
        session.train(run)


def arrays(directory: Path) -> dict[str, Any]:
    """Return the newest checkpoint's arrays."""
    with contextlib.closing(checkpoint.newest(directory / "checkpoints")[0]) as found:
        return dict(found.arrays)


def saved(directory: Path) -> list[str]:
    """Return the names of the checkpoints, and assert that the newest is whole."""
    assert not checkpoint.newest(directory / "checkpoints")[1]
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("values", "part", "calls"),
    [(EPISODES, "update", 1), (ROLLOUTS, "add", 2), (ROLLOUTS, "update", 1)],
)
def test_a_state_with_an_update_half_done_is_not_saved(
    tmp_path: Path, values: dict[str, Any], part: str, calls: int
) -> None:
    """An error of the system, as where no memory is left, that comes after so many calls."""
    train(Run.create(tmp_path / "whole", config(values)))
    directory = tmp_path / "run"
    with Run.create(directory, config(values)) as run, Session(run.config) as session:
        episodes = session.episodes(run)
        next(episodes)
        learner = session._trainer_now.learner
        method, left, kept = getattr(learner, part), [calls], []

        def failing(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                kept.extend(saved(directory))
                raise OSError(12, "Cannot allocate memory")
            return method(*arguments)

        setattr(learner, part, failing)
        with pytest.raises(OSError, match="allocate"):
            list(episodes)
    assert kept and saved(directory) == kept
    train(Run.resume(directory))
    assert same_arrays(arrays(directory), arrays(tmp_path / "whole"))


OLDER = Path(__file__).parents[1] / "golden" / "older-run.zip"
OLDER_ENDED = "5d8743c8dce61e7cf992acde8c0607543a3e6fc7be345ace046b0c13dfb2e87d"
"""A run of ppo by commit 71098be, after 2,048 steps, and its weights after 4,096, by the same."""


def test_a_run_of_an_older_version_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    with zipfile.ZipFile(OLDER) as file:
        file.extractall(tmp_path)
    train(Run.resume(tmp_path / "run", overrides={"total_timesteps": 4000}))
    found = hashlib.sha256()
    for name, array in sorted(arrays(tmp_path / "run").items()):
        if name.startswith("parameters/"):
            found.update(name.encode() + array.tobytes())
    assert found.hexdigest() == OLDER_ENDED
