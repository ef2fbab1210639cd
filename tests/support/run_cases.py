"""A small run that tests write, here and in processes of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastpong.settings.config import Config
from fastpong.training.trainer import EpisodeStats, TrainerState

SETTINGS = {"workers": 1, "backend": "numpy", "hidden": 3, "batch_size": 2}


def config(**changes: Any) -> Config:
    return Config.build(SETTINGS | changes)


def stats(episode: int) -> EpisodeStats:
    """Episode n takes 1000 + n steps of 3 frames and 1 / 7 s."""
    total = 1000 * episode + episode * (episode + 1) // 2
    return EpisodeStats(
        episode=episode,
        score=float(np.sin(episode)),
        length=1000 + episode,
        frames=3 * (1000 + episode),
        running_mean=-21 + episode / 3,
        update=episode // 2,
        total_steps=total,
        total_frames=3 * total,
        wall_seconds=episode / 7,
        cpu_seconds=episode / 5,
        diagnostics={"gradient_norm": episode / 9},
    )


def snapshot(episode: int) -> TrainerState:
    """Return a whole state of ``config()`` after so many episodes."""
    last, update = stats(episode), episode // 2
    counters = {
        "task": episode,
        "episode": episode,
        "update": update,
        "total_steps": last.total_steps,
        "total_frames": last.total_frames,
        "running_mean": None,
        "recent": [-21.0] * min(100, episode),
        "wall_seconds": last.wall_seconds,
        "cpu_seconds": last.cpu_seconds,
    }
    names = ["parameters/0/", "parameters/1/"][: 1 + min(1, update)]
    arrays = {
        f"{name}{weights}": np.full(shape, episode, np.float32)
        for name in [*names, "state/gradient/", "state/cache/"]
        for weights, shape in (("w1", (6400, 3)), ("w2", (3,)))
    }
    return TrainerState(counters, arrays)
