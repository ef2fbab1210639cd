"""Figures of a display: rates, the way to the goal, durations and sparklines."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fastpong.envs.games import PONG

if TYPE_CHECKING:
    from fastpong.training.stats import EpisodeStats

Counters: TypeAlias = Mapping[str, Any]
"""The trainer's."""

WINDOW_SECONDS = 15.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 32


class GoalProgress:
    """Track the mean return that ends a run.

    until    : that mean, None or beyond the game's best for none
    episodes : their number in the mean
    """

    def __init__(self, until: float | None, episodes: int) -> None:
        self._until = until
        self._scores: deque[float] = deque(maxlen=episodes)

    def begin(self, counters: Counters) -> None:
        """Add the returns of earlier episodes."""
        self._scores.extend(counters["recent"])

    def update(self, score: float) -> None:
        """Add an episode's return."""
        self._scores.append(score)

    @property
    def texts(self) -> tuple[str, str, str] | None:
        """Return a label, the mean and its goal."""
        if self._until is None or self._until > PONG.best_score or not self._scores:
            return None
        mean = sum(self._scores) / len(self._scores)
        count = len(self._scores)
        return f"last {count} episode{'s' * (count > 1)}", f"{mean:+.2f}", f"of {self._until:+g}"


@dataclass(frozen=True)
class Rates:
    """Hold rates per second, over the window."""

    frames: float
    steps: float
    episodes: float


class Meter:
    """Measure rates over the last ``WINDOW_SECONDS``.

    Over the last two episodes if that is longer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.started = clock()
        self._marks: deque[tuple[float, int, int, int]] = deque()

    @property
    def elapsed(self) -> float:
        """Return the seconds since the meter was made."""
        return self._clock() - self.started

    def begin(self, counters: Counters) -> None:
        """Begin to count at the trainer's counters."""
        frames, steps, episodes = (counters[f] for f in ("total_frames", "total_steps", "episode"))
        self._marks.append((self._clock(), frames, steps, episodes))

    def update(self, stats: EpisodeStats) -> Rates:
        """Add an episode, after ``begin``."""
        now = self._clock()
        self._marks.append((now, stats.total_frames, stats.total_steps, stats.episode))
        while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW_SECONDS:
            self._marks.popleft()
        first = self._marks[0]
        seconds = max(now - first[0], 1e-9)
        return Rates(
            (stats.total_frames - first[1]) / seconds,
            (stats.total_steps - first[2]) / seconds,
            (stats.episode - first[3]) / seconds,
        )


def clock(seconds: float) -> str:
    """Write a duration as ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def sparkline(values: list[float], *, ascii_only: bool = False) -> str:
    """Draw ``values`` in one line of text.

    The newest is right. Its height is from their lowest to their highest.
    """
    if len(values) < 2 or ascii_only:
        return ""
    count = min(_SPARK_WIDTH, len(values))
    picked = [values[(place + 1) * len(values) // count - 1] for place in range(count)]
    low, high = min(picked), max(picked)
    # A difference below one point is noise, and must not fill the height.
    span = max(high - low, 1.0)
    return "".join(_BLOCKS[min(7, int((value - low) / span * 8))] for value in picked)
