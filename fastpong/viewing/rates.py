"""Throughput along a run: emulated frames in a second."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Doubles

POINTS = 60
"""Stretches of a run at most, each with a rate."""

_SHORTEST = 1.0  # seconds: games end together, with the update of several


def throughput(seconds: Doubles, frames: Doubles, points: int = POINTS) -> tuple[Doubles, Doubles]:
    """Return the frames a second of even stretches of a run.

    seconds, frames : (N,) of the run so far, at each episode's end, ascending, N >= 1
    points          : stretches at most

    Returns their ends in seconds, (M,), and the rates, (M,), M <= min(points, N), stretches
    of a second or more. They are empty for a run that took no time.
    """
    if seconds[-1] <= 0:
        return np.zeros(0), np.zeros(0)
    count = min(points, len(seconds), max(1, int(seconds[-1] / _SHORTEST)))
    ends = np.linspace(0.0, seconds[-1], count + 1)
    done = np.interp(ends, np.append(0.0, seconds), np.append(0.0, frames))
    return ends[1:], np.diff(done) / np.diff(ends)
