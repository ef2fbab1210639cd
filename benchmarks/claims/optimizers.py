"""Claim: optimizers, gradient clipping and statistics against those of PyTorch and NumPy."""

from __future__ import annotations

from cases.peers import HAS_TORCH, OURS, Contest, contests
from measure import (
    Effort,
    Figure,
    Report,
    Table,
    alternate,
    figure,
    quartiles,
    ratios,
    repeats_for,
    seconds_of,
)

# rounds, seconds of one arm in a round
PLAN = {"quick": (1, 0.0), "normal": (5, 0.02), "full": (15, 0.05)}
DTYPES = ("float32", "float64")
LEAST = 1.0
"""How many times as fast as each peer ours is to be."""

HOW = """\
Public calls on the default backend, checks included, with outputs allocated before where the peer
has a place for them, too. PyTorch runs on one thread, NumPy as it is installed. `standardize` has
the sample's deviation and an epsilon, as advantages in CleanRL and Stable-Baselines3.
"VecNormalize's NumPy" are the statements of Stable-Baselines3's `VecNormalize` around gymnasium's
`RunningMeanStd`, which is the same as its own. Ways are called in turn. All are checked to give the
same first."""


def measure(effort: Effort) -> Report:
    """Check, then measure every contest in both dtypes."""
    figures: list[Figure] = []
    tables = []
    for dtype in DTYPES:
        rows: list[list[str]] = []
        for contest in contests(dtype):
            contest.check()
            times = _times(contest, *PLAN[effort])
            rows += _rows(contest, times)
            if dtype == "float32":
                figures += _figures(contest, times)
        tables.append(Table(f"In {dtype}", ["what", "way", "µs", "peer / fastpong"], rows))
    how = HOW if HAS_TORCH else f"{HOW} PyTorch was not installed."
    return Report("Optimizers and statistics", how, figures, tables)


def _times(contest: Contest, rounds: int, seconds: float) -> dict[str, list[float]]:
    repeats = {name: repeats_for(run, seconds) for name, run in contest.arms.items()}
    return alternate(
        {
            name: lambda run=run, count=repeats[name]: seconds_of(run, count)
            for name, run in contest.arms.items()
        },
        rounds,
    )


def _rows(contest: Contest, times: dict[str, list[float]]) -> list[list[str]]:
    rows = []
    for name, seconds in times.items():
        gain = quartiles(ratios(seconds, times[OURS]))[1]
        micros = f"{1e6 * quartiles(seconds)[1]:,.2f}"
        rows.append([contest.what, name, micros, "" if name == OURS else f"{gain:,.2f}"])
    return rows


def _figures(contest: Contest, times: dict[str, list[float]]) -> list[Figure]:
    return [
        figure(f"{name} / {contest.what}", ratios(seconds, times[OURS]), at_least=LEAST)
        for name, seconds in times.items()
        if name != OURS
    ]
