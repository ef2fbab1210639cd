"""Scales of charts: their ends and their ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastpong.envs.games import PONG
from fastpong.pages.words import short

_MOST_TICKS = 6
_POINTS = 7  # between two ticks of returns
_CLOCK = ((2 * 86400.0, 86400.0, "days"), (7200.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))


@dataclass(frozen=True)
class Scale:
    """Hold the scale of an axis.

    low, high : its ends, which differ
    ticks     : value and text of each
    label     : its quantity, with the unit
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    label: str

    def place(self, value: float) -> float:
        """Return the share of the way from its low to its high end."""
        return (value - self.low) / (self.high - self.low)


def from_zero(high: float, label: str, text: Callable[[float], str] = short) -> Scale:
    """Return a scale from 0 to a value, with round ticks."""
    high = high if high > 0 else 1.0
    return Scale(0.0, high, [(tick, text(tick)) for tick in _round_ticks(high)], label)


def of_seconds(high: float, label: str) -> Scale:
    """Return a scale from 0 to a time, in a unit that fits."""
    unit, name = next(((s, n) for least, s, n in _CLOCK if high >= least), (1.0, "seconds"))
    high = high if high > 0 else 1.0
    ticks = [(tick * unit, f"{tick:g}") for tick in _round_ticks(high / unit)]
    return Scale(0.0, high, ticks, f"{label} ({name})")


def of_returns(highest: float) -> Scale:
    """Return the scale of returns.

    highest : return, above which it ends with the next tick
    """
    low, best = PONG.score_range
    top = next((tick for tick in range(low + _POINTS, best, _POINTS) if tick > highest), best)
    ticks = [(float(tick), f"{tick:+d}" if tick else "0") for tick in range(low, top + 1, _POINTS)]
    return Scale(low - 0.8, top + 0.8, ticks, "return")


def _round_ticks(high: float) -> list[float]:
    power = 10.0 ** math.floor(math.log10(high / _MOST_TICKS))
    step = next(power * f for f in (1, 2, 5, 10) if high / (power * f) <= _MOST_TICKS)
    return [n * step for n in range(int(high / step * (1 + 1e-9)) + 1)]
