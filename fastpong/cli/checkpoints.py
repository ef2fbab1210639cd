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
