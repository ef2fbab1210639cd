"""Agents that commands show: a run's, a checkpoint's or pretrained ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.checkpoints import default_agent, find_checkpoint

if TYPE_CHECKING:
    from fastpong.viewing.shown import Shown


def find_shown(
    run: Path | None,
    episode: int | None,
    *,
    seed: int,
    greedy: bool,
    env: str | None = None,
    emulator: str | None = None,
    backend: str | None = None,
) -> Shown:
    """Load an agent to be shown.

    run     : as for ``find_checkpoint``. None: the newest run under runs/, else pretrained weights
    episode : of the run's checkpoint. None: the newest

    Raises click.UsageError without anything to show, CheckpointError and EmulatorError as
    ``restore``.
    """
    from fastpong.viewing.shown import load_shown

    path = run or default_agent()
    found = find_checkpoint(path if episode is None else _checkpoint_of(path, episode))
    return load_shown(found, seed=seed, greedy=greedy, env=env, emulator=emulator, backend=backend)


def _checkpoint_of(run: Path, episode: int) -> Path:
    """Return the file of a run's checkpoint."""
    directory = run / "checkpoints"
    path = directory / f"{episode:08d}.json"
    if path.exists():
        return path
    there = sorted(int(file.stem) for file in directory.glob("*.json") if file.stem.isdigit())
    if not there:
        raise click.UsageError(f"--checkpoint: expected a run with checkpoints, got {run}")
    raise click.UsageError(
        f"--checkpoint: expected an episode that {run} has a checkpoint of, "
        f"{', '.join(map(str, there))}, got {episode}"
    )
