"""``fastpong.load``: a policy from a run, a checkpoint or a file of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastpong.api.policy import Policy
from fastpong.settings.config import default_backend
from fastpong.storage import checkpoint
from fastpong.training.evaluation import restore


def load(
    source: str | Path, *, env: Any = None, seed: int = 0, backend: str | None = None
) -> Policy:
    """Load a trained agent as a policy.

    source  : a run's directory, for its newest checkpoint, or a checkpoint's file
    env     : the environment to play in, which is compared with that of training
    seed    : of sampled actions
    backend : kernels to compute with, by default the best there are

    Raises CheckpointError where nothing can be loaded.
    """
    path = Path(source)
    found = _newest(path) if path.is_dir() else checkpoint.load(path)
    player, parameters = restore(found, backend or default_backend())
    policy = Policy(player, parameters, seed=seed)
    if env is not None:
        policy.check(env)
    return policy


def _newest(directory: Path) -> checkpoint.Checkpoint:
    inner = directory / "checkpoints"
    return checkpoint.newest(inner if inner.is_dir() else directory)[0]
