"""Agents and runs as commands take them: a run's directory, a file, a name, or none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.display import say, warn

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
