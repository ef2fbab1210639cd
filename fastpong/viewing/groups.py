"""Runs in groups: seeds of the same settings as a mean and a band.

The groups of some curves are those of equal settings, or of an environment, an agent, a recipe or
a directory. Their names say only what differs between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

import numpy as np

from fastpong.arrays import Doubles
from fastpong.printable import printable
from fastpong.viewing.curves import AXES, Curve

BY = ("settings", "directory", "env", "agent", "recipe", "run")
"""What may join runs. ``run``: each stands alone."""

BANDS = ("std", "range")
"""Kinds of bands: the mean and one standard deviation, or the lowest to the highest seed."""

POINTS = 400
"""Points of a band along x."""

UNRELATED = frozenset({
    "recipe", "seed", "workers", "episodes", "total_timesteps", "until", "until_episodes",
    "save_every", "eval_every", "eval_episodes", "backend", "emulator", "pool", "task_timeout",
})  # fmt: skip
"""Settings in which seeds of the same settings may differ."""

_FIRST = ("recipe", "agent", "env")
_MOST = 3
"""Settings that a name holds."""

Settings: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class Band:
    """Hold the mean of several runs.

    x              : (M,) float64, evenly spaced
    mean, low, high: (M,) float64
    """

    x: Doubles
    mean: Doubles
    low: Doubles
    high: Doubles


@dataclass(frozen=True)
class Group:
    """Hold some curves of a name.

    band : of several curves, None for one, or where they have no x in common
    """

    name: str
    curves: tuple[Curve, ...]
    band: Band | None

    @property
    def label(self) -> str:
        """Return the name with its number of seeds."""
        count = len(self.curves)
        seeds = {repr(curve.settings.get("seed")) for curve in self.curves}
        noun = "seeds" if len(seeds) == count else "runs"
        return self.name if count == 1 else f"{self.name}, {count} {noun}"


def make_groups(
    curves: Sequence[Curve], by: str = "settings", band: str = "std", points: int = POINTS
) -> list[Group]:
    """Return groups of curves, in order of appearance.

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
    keeps its last value. Another one drops out at its end, and the band ends where fewer than half
    of the runs, or fewer than two, are left.

    kind   : "std": mean -+ the standard deviation of the runs, with n - 1. "range": lowest and
             highest
    points : of x, evenly spaced from the first x of the last run to begin, >= 2

    Returns None for fewer than two curves, or if they have no x in common. Raises ValueError for
    another kind.
    """
    if kind not in BANDS:
        raise ValueError(f"band: expected one of {', '.join(BANDS)}, got {kind!r}")
    if len(curves) < 2:
        return None
    low, high = _extent(curves)
    if high <= low:
        return None
    x = np.linspace(low, high, points)
    values = np.array([value_at(curve, x) for curve in curves])
    mean = np.nanmean(values, axis=0)
    if kind == "range":
        return Band(x, mean, np.nanmin(values, axis=0), np.nanmax(values, axis=0))
    deviation = np.nanstd(values, axis=0, ddof=1)
    return Band(x, mean, mean - deviation, mean + deviation)


def _extent(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return a band's first and last x."""
    ends = sorted(np.inf if curve.at_goal else float(curve.x[-1]) for curve in curves)
    needed = max(2, (len(ends) + 1) // 2)
    last = max(float(curve.x[-1]) for curve in curves)
    return max(float(curve.x[0]) for curve in curves), min(ends[-needed], last)


def value_at(curve: Curve, x: Doubles) -> Doubles:
    """Return a curve's newest mean at each x.

    x : (M,) float64

    Returns (M,) float64, NaN before its first episode, and after its last one unless it is at its
    goal.
    """
    places = np.searchsorted(curve.x, x, side="right") - 1
    there = (places >= 0) & ((x <= curve.x[-1]) | curve.at_goal)
    values: Doubles = np.where(there, curve.means[places], np.nan)
    return values


def table(groups: Sequence[Group], axis: str) -> Iterator[list[str]]:
    """Yield the numbers drawn as rows of text.

    A run's rows are its episodes: the return and the mean of the last ones. Rows without a run are
    the band of a group. Floats are written so that they are read back exactly.
    """
    yield ["group", "run", AXES[axis].unit, "return", "mean", "low", "high"]
    for group in groups:
        for curve in group.curves:
            for x, score, mean in zip(curve.x, curve.returns, curve.means, strict=True):
                yield [group.name, curve.name, *map(_number, (x, score, mean)), "", ""]
        if band := group.band:
            for x, *three in zip(band.x, band.mean, band.low, band.high, strict=True):
                yield [group.name, "", _number(x), "", *map(_number, three)]


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(float(value))


def _key(curve: Curve, by: str) -> object:
    """Return the key that a group's curves share."""
    if by == "run" or (by != "directory" and not curve.settings):
        return curve.path
    if by == "directory":
        return curve.path.resolve().parent.parent
    if by == "settings":
        return repr(sorted(_related(curve.settings).items()))
    return repr(curve.settings.get(by, ""))


def _related(settings: Settings) -> Settings:
    return {name: value for name, value in settings.items() if name not in UNRELATED}


def _names(groups: Sequence[Sequence[Curve]], by: str) -> list[str]:
    """Return a name for each group, all different."""
    plain = [_name(group, by) for group in groups]
    if by == "settings":
        plain = _with_differences(groups, plain)
    plain = [printable(name) for name in plain]
    return [
        name if plain.count(name) == 1 else f"{name} ({plain[:place].count(name) + 1})"
        for place, name in enumerate(plain)
    ]


def _name(group: Sequence[Curve], by: str) -> str:
    curve = group[0]
    if by == "directory":
        return curve.path.resolve().parent.parent.name
    if by in _FIRST:
        return str(curve.settings.get(by) or (f"no {by}" if curve.settings else curve.name))
    if len(group) == 1:
        return curve.name
    return str(curve.settings.get("recipe") or curve.settings.get("agent") or curve.name)


def _with_differences(groups: Sequence[Sequence[Curve]], names: Sequence[str]) -> list[str]:
    """Add differing settings to equal names."""
    found = []
    for group, name in zip(groups, names, strict=True):
        rivals = [g[0].settings for g, n in zip(groups, names, strict=True) if n == name]
        if len(rivals) > 1:
            words = _differences(group[0].settings, rivals) or [_common_name(group)]
            name = " ".join([name, *(word for word in words if word not in ("", name))])
        found.append(name)
    return found


def _differences(own: Settings, rivals: Sequence[Settings]) -> list[str]:
    keys = [
        key
        for key in _related(own)
        if key != "stages" and len({repr(other.get(key)) for other in rivals}) > 1
    ]
    keys.sort(key=lambda key: key not in _FIRST)
    return [str(own[key]) if key in _FIRST else f"{key}={own[key]}" for key in keys[:_MOST]]


def _common_name(group: Sequence[Curve]) -> str:
    """Return the beginning that the names of runs share."""
    letters = takewhile(lambda same: len({*same}) == 1, zip(*(c.name for c in group), strict=False))
    return "".join(same[0] for same in letters).rstrip("-_. ")
