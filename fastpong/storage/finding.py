"""Trained agents by a path: a run, a checkpoint or exported weights."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from fastpong import pretrained
from fastpong.storage import checkpoint
from fastpong.storage.checkpoint import Checkpoint, CheckpointError
from fastpong.storage.weights import exported
from fastpong.storage.weights.exported import Exported

Found: TypeAlias = Checkpoint | Exported


def find(path: Path) -> tuple[Found, list[str]]:
    """Load the agent at a path, with the reasons why newer checkpoints were refused.

    path : a run's directory, for its newest whole checkpoint, or a file, or, where no such path
           exists, the name of pretrained weights

    Raises CheckpointError.
    """
    if not path.exists():
        if str(path) in pretrained.NAMES:
            return exported.read(pretrained.path(str(path))), []
        raise CheckpointError(
            f"{path}: is missing; name a run's directory, a checkpoint in its checkpoints/, a file "
            f"of fastpong export, or pretrained weights: {', '.join(pretrained.NAMES)}"
        )
    if path.is_dir():
        inner = path / "checkpoints"
        return checkpoint.newest(inner if inner.is_dir() else path)
    if path.suffix == ".safetensors" and not checkpoint.manifest_path(path).exists():
        return exported.read(path), []
    return checkpoint.load(path), []
