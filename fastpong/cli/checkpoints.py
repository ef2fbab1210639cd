"""Agents and runs as commands take them: a run's directory, a file, a name, or none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.display import say, warn

if TYPE_CHECKING:
    from fastpong.storage.finding import Found

PATH = click.Path(path_type=Path)


def find_checkpoint(path: Path, older: str | None = None) -> Found:
    """Load a run's newest whole checkpoint, a checkpoint's file or exported weights.

    older : episode or file of another of the run's checkpoints

    Refused checkpoints are reported. Raises click.UsageError for a checkpoint that is not there.
    """
    from fastpong.storage.finding import find

    found, refusals = find(path if older is None else _older(path, older))
    for refusal in refusals:
        warn(f"checkpoint refused: {refusal}")
    return found


def _older(run: Path, older: str) -> Path:
    """Return the file of a run's checkpoint, of an episode or by its path."""
    if not (older.isascii() and older.isdecimal() and len(older) <= 18):
        path = Path(older)
        inside = run / "checkpoints" / path.name
        named = path.name == older and inside.is_file() and not path.exists()
        return inside if named else path
    path = run / "checkpoints" / f"{int(older):08d}.json"
    if path.exists():
        return path
    there = sorted(int(file.stem) for file in path.parent.glob("*.json") if file.stem.isdecimal())
    if not there:
        raise click.UsageError(f"--checkpoint: expected a run with checkpoints, got {run}")
    raise click.UsageError(
        f"--checkpoint: expected an episode that {run} has a checkpoint of, "
        f"{', '.join(map(str, there))}, got {older}"
    )


def newest_run() -> Path | None:
    """Return the run under runs/ with the newest checkpoint, None without one."""
    from fastpong.storage.finding import runs
    from fastpong.storage.run import ROOT

    return next(iter(runs(ROOT)), None)


def default_agent() -> Path:
    """Return the agent of a command without one: the newest run's, else the pretrained one.

    Raises click.UsageError without either.
    """
    from fastpong import pretrained
    from fastpong.storage.run import ROOT

    run = newest_run()
    if run is None and pretrained.path(pretrained.DEFAULT).exists():
        run = Path(pretrained.DEFAULT)
        say(f"no run under {ROOT}/: the pretrained agent {run}", error=True)
    if run is None:
        raise click.UsageError(
            "RUN: expected a run, and there is none under runs/; train one first: fastpong train "
            "--recipe pong"
        )
    return run
