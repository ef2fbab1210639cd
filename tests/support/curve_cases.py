"""Runs with known curves, as files and as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastpong.viewing.curves import Curve, windowed_mean

HEADER = (
    "episode,return,length,frames,running_mean,update,total_steps,total_frames,wall_seconds,"
    "cpu_seconds"
)


def write_run(
    directory: Path, returns: Sequence[float], *, spacing: int = 100, **settings: object
) -> Path:
    """Write a run: episode e ends after ``spacing`` steps, 1.5 s and 3 s of CPU time more.

    settings : of its config.toml, none without any
    """
    directory.mkdir(parents=True)
    rows = [
        f"{e},{float(score)},100,400,-21.0,{e},{spacing * e},{4 * spacing * e},{1.5 * e},{3.0 * e}"
        for e, score in enumerate(returns, 1)
    ]
    (directory / "metrics.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    if settings:
        lines = [f"{name} = {value!r}\n" for name, value in settings.items()]
        (directory / "config.toml").write_text("".join(lines))
    return directory


def curve(
    name: str,
    x: Sequence[float],
    returns: Sequence[float],
    *,
    window: int = 1,
    at_goal: bool = False,
    **settings: object,
) -> Curve:
    """Return a curve of a run in the directory ``runs``."""
    values = np.array(returns, np.float64)
    path = Path("/runs") / name / "metrics.csv"
    means = windowed_mean(values, window)
    return Curve(path.parent.name, path, np.array(x, np.float64), values, means, settings, at_goal)
