"""Checkpoints as commands take them: a run's directory, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastpong.cli.display import warn

if TYPE_CHECKING:
    from fastpong.storage.checkpoint import Checkpoint

PATH = click.Path(path_type=Path)


def find_checkpoint(path: Path) -> Checkpoint:
    """Load a file, or a run's newest whole checkpoint.

    Refused checkpoints are reported.
    """
    from fastpong.storage import checkpoint

    if not path.exists():
        raise checkpoint.CheckpointError(
            f"{path}: is missing; name a run's directory, or a checkpoint in its checkpoints/"
        )
    if not path.is_dir():
        return checkpoint.load(path)
    inner = path / "checkpoints"
    found, refusals = checkpoint.newest(inner if inner.is_dir() else path)
    for refusal in refusals:
        warn(f"checkpoint refused: {refusal}")
    return found
