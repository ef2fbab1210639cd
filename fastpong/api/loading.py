"""``fastpong.load``: a policy from a run, a checkpoint, exported or pretrained weights."""

from __future__ import annotations

import warnings
from pathlib import Path

from fastpong.api.policy import Policy
from fastpong.arrays import Arrays
from fastpong.settings.config import default_backend
from fastpong.storage.finding import find
from fastpong.training.evaluation import Player, restore


def load(
    source: str | Path, *, env: object = None, seed: int = 0, backend: str | None = None
) -> Policy:
    """Load a trained agent as a policy.

    source  : a run's directory, for its newest whole checkpoint, a checkpoint's file, a file of
              ``fastpong export``, or pretrained weights by the name of their recipe
    env     : the environment to play in, which is compared with that of training
    seed    : of sampled actions
    backend : kernels to compute with, by default the best there are

    Raises CheckpointError where nothing can be loaded.
    """
    policy = Policy(*find_agent(source, backend), seed=seed)
    if env is not None:
        policy.check(env, stacklevel=3)
    return policy


def find_agent(source: str | Path, backend: str | None) -> tuple[Player, Arrays]:
    """Load a trained agent and its weights, as ``restore`` does.

    Warns of refused checkpoints.
    """
    found, refusals = find(Path(source))
    for refusal in refusals:
        warnings.warn(f"checkpoint refused: {refusal}", stacklevel=3)
    return restore(found, backend or default_backend())
