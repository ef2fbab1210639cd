"""The conditions that end training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


class Counters(TypedDict):
    """Count what a run has trained.

    running_mean : None before the first episode
    recent       : the last returns, ``RECENT`` at most
    """

    task: int
    episode: int
    update: int
    total_steps: int
    total_frames: int
    running_mean: float | None
    recent: list[float]
    wall_seconds: float
    cpu_seconds: float


RECENT = 100
"""The last episodic returns that are stored: the longest window of a ``Goal``."""


@dataclass(frozen=True)
class Goal:
    """Describe the end of training.

    episodes        : number of the last episode. A whole batch may end with a later one
    total_timesteps : steps of the run, up to the update that reaches them, or None
    until           : mean return of the last training episodes, or None
    until_episodes  : of so many, 1 to 100. With fewer it is not reached
    """

    episodes: int
    total_timesteps: int | None = None
    until: float | None = None
    until_episodes: int = 40

    def reached(self, counters: Counters) -> bool:
        """Return whether the mean return is reached."""
        if self.until is None:
            return False
        scores = counters.get("recent", [])[-self.until_episodes :]
        enough = len(scores) == self.until_episodes
        return enough and sum(scores) / self.until_episodes >= self.until

    def over(self, counters: Counters) -> bool:
        """Return whether nothing is left to train."""
        if self.reached(counters) or counters["episode"] >= self.episodes:
            return True
        limit = self.total_timesteps
        return limit is not None and counters["total_steps"] >= limit
