"""The statistics of training, episode by episode."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpisodeStats:
    """Describe an ended episode, and the run after it.

    episode       : number of the episode, from 1
    score         : its return, points won minus points lost
    length        : its steps
    frames        : its emulated frames
    running_mean  : of the scores, 0.99 old + 0.01 new, beginning with the first score
    update        : updates made so far
    total_steps, total_frames : of the whole run, all processed so far
    wall_seconds  : of the whole run, interruptions not counted
    cpu_seconds   : of the whole run, of all processes, each from its start on
    diagnostics   : the agent's metrics by name, of the newest update since the last episode
    """

    episode: int
    score: float
    length: int
    frames: int
    running_mean: float
    update: int
    total_steps: int
    total_frames: int
    wall_seconds: float
    cpu_seconds: float = 0.0
    diagnostics: Mapping[str, float] = field(default_factory=dict)


def sample_deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample, with n - 1. None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None
