"""Progress as plain lines, for scripts and notebooks."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from fastpong.printable import counted
from fastpong.settings.config import Config
from fastpong.training.goal import Counters
from fastpong.training.session import Outcome
from fastpong.training.stats import EpisodeStats

SECONDS = 2.0
"""Between two lines."""


class Lines:
    """Print a line every few seconds."""

    def __init__(self, config: Config, directory: Path) -> None:
        self._recent: deque[float] = deque(maxlen=config.until_episodes)
        self._next, self._shown = 0.0, -1
        agents = " then ".join(dict.fromkeys(stage.agent for stage in config.stages))
        print(f"training {agents} on {config.env} in {directory}", flush=True)

    def begin(self, counters: Counters) -> None:
        """Begin to count."""
        self._recent.extend(counters["recent"])
        self._frames, self._wall = counters["total_frames"], counters["wall_seconds"]
        self._next = time.monotonic() + SECONDS

    def update(self, stats: EpisodeStats) -> None:
        """Add an episode, and print it if it is time."""
        self._recent.append(stats.score)
        self._stats = stats
        if time.monotonic() >= self._next:
            self._print()

    def end(self, outcome: Outcome) -> None:
        """Print the last episode and the end."""
        if outcome.episode > max(self._shown, 0) and hasattr(self, "_stats"):
            self._print()
        state = "reached the goal" if outcome.reached else "ended"
        print(
            f"{state} after {counted(outcome.episode, 'episode')}, {counted(outcome.steps, 'step')}"
            if outcome.finished
            else f"stopped after episode {outcome.episode:,}",
            flush=True,
        )

    def _print(self) -> None:
        stats, recent = self._stats, self._recent
        seconds = max(stats.wall_seconds - self._wall, 1e-9)
        print(
            f"episode {stats.episode:,}  return {stats.score:+.0f}  "
            f"last {len(recent)} {sum(recent) / len(recent):+.2f}  {stats.total_steps:,} steps  "
            f"{(stats.total_frames - self._frames) / seconds:,.0f} frames/s  "
            f"{stats.wall_seconds:.0f} s",
            flush=True,
        )
        self._next, self._shown = time.monotonic() + SECONDS, stats.episode
