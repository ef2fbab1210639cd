"""Pretrained weights, one file of exported weights for each recipe.

``benchmarks/pretrained.py`` makes them. The metadata of each file has the command that trained it
and its evaluation, and ``docs/pretrained.md`` lists them.
"""

from __future__ import annotations

from pathlib import Path

NAMES = ("karpathy", "keras", "pong", "pong-sticky")
"""Those of the recipes that trained them."""

DEFAULT = "pong"
"""The one to look at first."""


def path(name: str) -> Path:
    """Return the file of pretrained weights.

    Raises ValueError for an unknown name.
    """
    if name not in NAMES:
        raise ValueError(f"pretrained: expected one of {', '.join(NAMES)}, got {name!r}")
    return Path(__file__).with_name(f"{name}.safetensors")
