"""The randomness of a run: one stream of uniforms for every episode."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat

import numpy as np

try:
    from fastpong.envs.uniforms import Uniforms
except Exception:  # built without a C compiler, or for another NumPy
    Uniforms = None  # type: ignore[assignment, misc]

TRAIN, EVAL, INIT = 0, 1, 2
"""Streams of `uniforms`: episodes of training, episodes of evaluation, initial parameters."""

_BLOCK = 1024

Draw = Callable[[], float]
"""A source of uniforms in [0, 1). Each call returns the next one."""


def uniforms(seed: int, stream: int, episode: int) -> Draw:
    """Return an endless source of uniforms.

    They are those of ``Generator(PCG64(SeedSequence(seed, spawn_key=(stream, episode))))``, so
    every (seed, stream, episode) has a sequence of its own. An `Uniforms`, which loops without the
    GIL draw from, too. Where that is not compiled, an iterator over blocks: either takes about 40
    ns a call, and ``Generator.random`` ten times as long.

    Raises ValueError when an argument is negative.
    """
    for name, value in (("seed", seed), ("stream", stream), ("episode", episode)):
        if value < 0:
            raise ValueError(f"{name}: expected 0 or more, got {value}")
    sequence = np.random.SeedSequence(seed, spawn_key=(stream, episode))
    generator = np.random.PCG64(sequence)
    if Uniforms is not None:
        return Uniforms(generator)
    random = np.random.Generator(generator).random
    return chain.from_iterable(random(_BLOCK).tolist() for _ in repeat(None)).__next__
