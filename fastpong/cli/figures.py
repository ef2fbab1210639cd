"""Figures of a display: rates, the way to the goal, durations and sparklines."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fastpong.envs.games import PONG
from fastpong.printable import counted

if TYPE_CHECKING:
    from fastpong.training.stats import EpisodeStats

Counters: TypeAlias = Mapping[str, Any]
"""The trainer's."""

WINDOW_SECONDS = 15.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH, _SPARK_LEAST = 32, 2
_SCALE_WIDTH = 12  # of two numbers and two spaces


class RecentMean:
    """Track the mean return of the last episodes, and the one that ends the run.

    until    : that mean, None for none
    episodes : their number in the mean
    """

    def __init__(self, until: float | None, episodes: int) -> None:
        self.until = until
        self._scores: deque[float] = deque(maxlen=episodes)

    def begin(self, counters: Counters) -> None:
        """Add the returns of earlier episodes."""
        self._scores.extend(counters["recent"])

    def update(self, score: float) -> None:
        """Add an episode's return."""
        self._scores.append(score)

    @property
    def count(self) -> int:
        """Return how many episodes are in the mean."""
        return len(self._scores)

    @property
    def value(self) -> float | None:
        """Return the mean. None before the first episode."""
        return sum(self._scores) / len(self._scores) if self._scores else None

    @property
    def text(self) -> str:
        """Return the mean and its goal in words. Empty before the first episode."""
        if self.value is None:
            return ""
        goal = f" of {self.until:+g}" if self.until is not None else ""
        return f"last {counted(self.count, 'episode')} {self.value:+.2f}{goal}"

    @property
    def share(self) -> float | None:
        """Return the part of the way to the goal, 1 where the run ends. None without a goal.

        The mean counts from the worst score on, and it must be of all the episodes.
        """
        if self.until is None:
            return None
        lowest, most = PONG.worst_score, self._scores.maxlen or 1
        height = max(self.until - lowest, 1e-9)
        way = ((self.value if self.value is not None else lowest) - lowest) / height
        return max(0.0, min(1.0, way, self.count / most))


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

    def pause(self, seconds: float) -> None:
        """Leave out the last seconds, in which the program was stopped."""
        if seconds:
            self.started += seconds
            self._marks = deque((mark[0] + seconds, *mark[1:]) for mark in self._marks)

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
    """Write a duration in whole seconds, as ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def sparkline(values: list[float], width: int = 32, *, ascii_only: bool = False) -> str:
    """Draw values in one line of text, between the lowest and the highest of them in numbers.

    The newest is right. Empty for fewer than two values, or where the line has no room.

    width : of the whole text
    """
    if len(values) < 2:
        return ""
    room = min(_SPARK_WIDTH, width - _SCALE_WIDTH, len(values))
    count = max(room, 2)
    picked = [values[(place + 1) * len(values) // count - 1] for place in range(count)]
    low, high = min(picked), max(picked)
    scale = f"{low:+.1f}", f"{high:+.1f}"
    if ascii_only or room < _SPARK_LEAST:
        text = " to ".join(scale)
        return text if len(text) <= width else ""
    # A difference below one point is noise, and must not fill the height.
    span = max(high - low, 1.0)
    line = "".join(_BLOCKS[min(7, int((value - low) / span * 8))] for value in picked)
    return f"{scale[0]} {line} {scale[1]}"
