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
