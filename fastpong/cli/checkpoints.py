"""Checkpoints as commands take them: a run's directory, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.display import warn

if TYPE_CHECKING:
    from fastpong.storage.finding import Found

PATH = click.Path(path_type=Path)


def find_checkpoint(path: Path) -> Found:
    """Load a run's newest whole checkpoint, a checkpoint's file or exported weights.

    Refused checkpoints are reported.
    """
    from fastpong.storage.finding import find

    found, refusals = find(path)
    for refusal in refusals:
        warn(f"checkpoint refused: {refusal}")
    return found


def newest_run() -> Path | None:
    """Return the run under runs/ with the newest checkpoint, None without one."""
    from fastpong.storage.run import ROOT

    found = [
        (path.stat().st_mtime_ns, path.parent)
        for path in ROOT.glob("*/config.toml")
        if any(path.parent.glob("checkpoints/*.json"))
    ]
    return max(found)[1] if found else None


def find_shown(run: Path | None, episode: int | None) -> Found:
    """Load the agent to be shown.

    run     : as for ``find_checkpoint``. None: the newest run under runs/, else pretrained weights
    episode : of the run's checkpoint. None: the newest

    Raises click.UsageError without anything to show, CheckpointError as ``find_checkpoint``.
    """
    from fastpong import pretrained

    if run is None:
        own = pretrained.path(pretrained.DEFAULT)
        run = newest_run() or (Path(pretrained.DEFAULT) if own.exists() else None)
    if run is None:
        raise click.UsageError(
            "RUN: expected a run, and there is none under runs/; train one first: fastpong train "
            "--recipe pong"
        )
    return find_checkpoint(run if episode is None else _checkpoint_of(run, episode))


def _checkpoint_of(run: Path, episode: int) -> Path:
    """Return the file of a run's checkpoint."""
    directory = run / "checkpoints"
    path = directory / f"{episode:08d}.json"
    if path.exists():
        return path
    there = sorted(int(file.stem) for file in directory.glob("*.json") if file.stem.isdigit())
    raise click.UsageError(
        f"--checkpoint: expected an episode that {run} has a checkpoint of, "
        f"{', '.join(map(str, there)) or 'of which there is none'}, got {episode}"
    )
