"""Runs in groups: seeds of the same settings as a mean and a band.

The groups of some curves are those of equal settings, or of an environment, an agent, a recipe or
a directory. Their names say only what differs between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fastpong.arrays import Doubles
from fastpong.viewing.curves import Curve

BY = ("settings", "directory", "env", "agent", "recipe", "run")
"""What may join runs. ``run``: each stands alone."""

BANDS = ("std", "range")
"""Kinds of bands: the mean and one standard deviation, or the lowest to the highest seed."""

POINTS = 400
"""Points of a band along x."""

UNRELATED = frozenset({
    "recipe", "seed", "workers", "episodes", "total_timesteps", "until", "until_episodes",
    "save_every", "backend", "emulator",
})  # fmt: skip
"""Settings in which seeds of the same settings may differ."""

_FIRST = ("recipe", "agent", "env")
_MOST = 3
"""Settings that a name holds."""

Settings: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class Band:
    """Hold the mean of several runs.

    x              : (M,) float64, even, where every run has a value
    mean, low, high: (M,) float64
    """

    x: Doubles
    mean: Doubles
    low: Doubles
    high: Doubles


@dataclass(frozen=True)
class Group:
    """Hold some curves of a name.

    band : of several curves, None for one, or where no x has a value of every curve
    """

    name: str
    curves: tuple[Curve, ...]
    band: Band | None

    @property
    def label(self) -> str:
        """Return the name with the number of runs."""
        return self.name if len(self.curves) == 1 else f"{self.name}, {len(self.curves)} runs"


def make_groups(
    curves: Sequence[Curve], by: str = "settings", band: str = "std", points: int = POINTS
) -> list[Group]:
    """Return the groups of some curves, in the order of their first runs.

    by     : one of ``BY``
    band   : one of ``BANDS``
    points : of a band, >= 2

    Raises ValueError for others.
    """
    if by not in BY:
        raise ValueError(f"by: expected one of {', '.join(BY)}, got {by!r}")
    members: dict[object, list[Curve]] = {}
    for curve in curves:
        members.setdefault(_key(curve, by), []).append(curve)
    found = [tuple(group) for group in members.values()]
    return [
        Group(name, group, make_band(group, band, points))
        for name, group in zip(_names(found, by), found, strict=True)
    ]


def make_band(curves: Sequence[Curve], kind: str = "std", points: int = POINTS) -> Band | None:
    """Return the mean of several curves, and their spread.

    At each x a run has the value of its last episode up to there. A run that ended at its goal
    keeps its last value. The others end the band, so that no run drops out within it.

    kind   : "std": mean -+ the standard deviation of the runs, with n - 1. "range": lowest and
             highest
    points : of x, evenly spaced, >= 2

    Returns None for fewer than two curves, or without an x at which all have values. Raises
    ValueError for another kind.
    """
    if kind not in BANDS:
        raise ValueError(f"band: expected one of {', '.join(BANDS)}, got {kind!r}")
    if len(curves) < 2:
        return None
    low = max(float(curve.x[0]) for curve in curves)
    unfinished = [float(curve.x[-1]) for curve in curves if not curve.at_goal]
    high = min(unfinished) if unfinished else max(float(curve.x[-1]) for curve in curves)
    if high <= low:
        return None
    x = np.linspace(low, high, points)
    values = np.array([value_at(curve, x) for curve in curves])
    mean = values.mean(axis=0)
    if kind == "range":
        return Band(x, mean, values.min(axis=0), values.max(axis=0))
    deviation = values.std(axis=0, ddof=1)
    return Band(x, mean, mean - deviation, mean + deviation)


def value_at(curve: Curve, x: Doubles) -> Doubles:
    """Return a curve's mean of its last episode up to each x.

    x : (M,) float64, none before the curve's first
    """
    values: Doubles = curve.means[np.searchsorted(curve.x, x, side="right") - 1]
    return values


def _key(curve: Curve, by: str) -> object:
    """Return what the curves of a group have in common."""
    if by == "run" or (by != "directory" and not curve.settings):
        return curve.path
    if by == "directory":
        return curve.path.resolve().parent.parent
    if by == "settings":
        return repr(sorted(_related(curve.settings).items()))
    return curve.settings.get(by, "")


def _related(settings: Settings) -> Settings:
    return {name: value for name, value in settings.items() if name not in UNRELATED}


def _names(groups: Sequence[Sequence[Curve]], by: str) -> list[str]:
    """Return a name for each group, all different."""
    plain = [_name(group, by) for group in groups]
    if by == "settings":
        plain = _with_differences(groups, plain)
    return [
        name if plain.count(name) == 1 else f"{name} ({plain[:place].count(name) + 1})"
        for place, name in enumerate(plain)
    ]


def _name(group: Sequence[Curve], by: str) -> str:
    curve = group[0]
    if by == "directory":
        return curve.path.resolve().parent.parent.name
    if by in _FIRST:
        return str(curve.settings.get(by) or curve.name)
    if len(group) == 1:
        return curve.name
    return str(curve.settings.get("recipe") or curve.settings.get("agent") or curve.name)


def _with_differences(groups: Sequence[Sequence[Curve]], names: Sequence[str]) -> list[str]:
    """Add to equal names the settings in which their groups differ."""
    found = []
    for group, name in zip(groups, names, strict=True):
        rivals = [g[0].settings for g, n in zip(groups, names, strict=True) if n == name]
        own = group[0].settings
        differing = [key for key in own if len({repr(other.get(key)) for other in rivals}) > 1]
        told = [key for key in differing if key not in UNRELATED and key != "stages"]
        told.sort(key=lambda key: key not in _FIRST)
        words = [_word(key, own[key]) for key in told[:_MOST]]
        found.append(" ".join([name, *words]) if len(rivals) > 1 else name)
    return found


def _word(key: str, value: object) -> str:
    return str(value) if key in _FIRST else f"{key}={value}"
