"""Claim: steps a second of preprocessed games, in our wrappers and in those of others."""

from __future__ import annotations

import os

import cv2
from cases import played_games as games
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

# rounds, seconds of one arm in a round, games
PLAN = {"quick": (1, 0.0, 1), "normal": (3, 0.15, 3), "full": (11, 0.4, 6)}

HOW = f"""\
A step is an action for {games.SKIP} frames, with its observation; actions are random, and episodes
that end are begun again. All runs on one core. Single environments are checked to return the same
first, to the last byte. SB3's wrappers are around its Monitor, as in its `make_vec_env`.
{games.N_ENVS} environments at once have stacks of four frames: EnvPool's and AtariVectorEnv's own,
with one thread, and ours by `gymnasium.make_vec` in its sync mode and `kernels.frame_stack_push`.
"ALE" is `ale.act` in a loop, which makes no observation."""


def measure(effort: Effort) -> Report:
    """Check, then measure one environment and many."""
    cv2.setNumThreads(1)
    games.console_is_compiled()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        rounds, seconds, count = PLAN[effort]
        one, one_rows = _single(rounds, seconds, games.GAMES[:count])
        many, many_rows = _many(rounds, seconds, games.GAMES[: min(count, 2)])
    finally:
        os.sched_setaffinity(0, cores)
    header = ["game", "environment", "steps/s", "/ ALE"]
    tables = [Table("One environment", header, one_rows)]
    tables.append(Table(f"{games.N_ENVS} environments, steps of all", header, many_rows))
    return Report("Wrappers", HOW, one + many, tables)


def _single(
    rounds: int, seconds: float, names: tuple[str, ...]
) -> tuple[list[Figure], list[list[str]]]:
    figures, rows = [], []
    for game in names:
        games.check(game)
        arms = {name: games.stepper(env) for name, env in games.single(game).items()}
        times = _times({"ALE": games.bare(game), **arms}, rounds, seconds)
        rows += _rows(game, times, 1)
        for theirs, ours in games.PAIRS:
            for arm, least in ((ours, 1.5), (ours + games.ON_CONSOLE, 6.0)):
                if arm in times and theirs in times:
                    values = ratios(times[theirs], times[arm])
                    figures.append(figure(f"{game}: {arm} / {theirs}", values, at_least=least))
    return figures, rows


def _many(
    rounds: int, seconds: float, names: tuple[str, ...]
) -> tuple[list[Figure], list[list[str]]]:
    figures, rows = [], []
    ours = "AtariFrame under make_vec"
    for game in names:
        times = _times({"ALE": games.bare(game), **games.many(game)}, rounds, seconds)
        times = {n: [t / (1 if n == "ALE" else games.N_ENVS) for t in v] for n, v in times.items()}
        rows += _rows(game, times, games.N_ENVS)
        for theirs, least in (("EnvPool", 1.4), ("AtariVectorEnv", 1.0)):
            if theirs in times:
                values = ratios(times[theirs], times[ours])
                figures.append(figure(f"{game}: {ours} / {theirs}", values, at_least=least))
    return figures, rows


def _times(steps: dict[str, games.Step], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return the seconds of a step, ALE's too."""
    repeats = {name: repeats_for(step, seconds) for name, step in steps.items()}
    return alternate(
        {n: lambda step=step, n=n: seconds_of(step, repeats[n]) for n, step in steps.items()},
        rounds,
    )


def _rows(game: str, times: dict[str, list[float]], envs: int) -> list[list[str]]:
    return [
        [
            game,
            name,
            f"{1 / quartiles(seconds)[1]:,.0f}",
            f"{quartiles(ratios(times['ALE'], seconds))[1]:.2f}",
        ]
        for name, seconds in times.items()
    ]
