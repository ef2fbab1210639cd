"""Claim: frames of twelve Atari games against the statements of gymnasium's and SB3's wrappers."""

from __future__ import annotations

from statistics import median

import cv2
from cases.atari_calls import GAMES, MOMENTS, Run, arms, moments_of
from fastpong.kernels.cython.atari import use_vectors
from measure import (
    Effort,
    Figure,
    Report,
    Table,
    alternate,
    quartiles,
    ratios,
    repeats_for,
    seconds_of,
)

# rounds, seconds of one arm in a round, games
PLAN = {"quick": (1, 0.0, 2), "normal": (5, 0.01, 12), "full": (15, 0.03, 12)}
LEAST, LEAST_MEDIAN = 6.0, 10.0
"""How many times as fast ours is to be, in each game and in the median of the games."""
NAMES = {
    "gymnasium": "AtariPreprocessing's two grey screens, maximum, `cv2.resize`",
    "sb3": "MaxAndSkipEnv's and WarpFrame's two screens in colour, maximum, `cvtColor`, `resize`",
}


COLUMNS = ("theirs", "ours", "kernel", "kernel, SSSE3")


def how(unit: str) -> str:
    """Return how it is measured."""
    return f"""\
From an emulator to one frame of 84 x 84, in {MOMENTS} moments of each game: two screens are read
from ALE, pooled, made grey and resized. Theirs are the statements of the wrappers, on OpenCV
{cv2.__version__} with one thread. Ours are two palette screens and a public call of
`kernels.atari_frame`, on the vector unit `{unit}`. "Kernel" is that call without reading screens,
and once more on SSSE3. Frames are checked to be equal to the last byte first."""


def measure(effort: Effort) -> Report:
    """Check, then measure both compats in every game."""
    cv2.setNumThreads(1)
    unit = use_vectors("plain")
    use_vectors(unit)
    rounds, seconds, games = PLAN[effort]
    gains: dict[str, list[float]] = {compat: [] for compat in NAMES}
    rows = []
    for game in GAMES[:games]:
        moments = moments_of(game)
        for compat in NAMES:
            times = _times(arms(moments, compat), rounds, seconds)
            times |= _on_ssse3(arms(moments, compat)["kernel"], rounds, seconds)
            gain = quartiles(ratios(times["theirs"], times["ours"]))[1]
            gains[compat].append(gain)
            rows.append([game, compat, *_micros(times), f"{gain:.1f}"])
    header = ["game", "compat", *(f"{name}, µs" for name in COLUMNS), "theirs / ours"]
    return Report("Atari frames", how(unit), _figures(gains), [Table("Frames", header, rows)])


def _times(runs: dict[str, Run], rounds: int, seconds: float) -> dict[str, list[float]]:
    repeats = {name: repeats_for(run, seconds) for name, run in runs.items()}
    return alternate(
        {n: lambda run=run, n=n: seconds_of(run, repeats[n]) / MOMENTS for n, run in runs.items()},
        rounds,
    )


def _on_ssse3(kernel: Run, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return the times of the kernel on a vector unit that every x86-64 has."""
    here = use_vectors("plain")
    use_vectors("ssse3" if here != "plain" else here)
    try:
        kernel()  # makes its plan
        return _times({"kernel, SSSE3": kernel}, rounds, seconds)
    finally:
        use_vectors(here)


def _micros(times: dict[str, list[float]]) -> list[str]:
    return [f"{1e6 * quartiles(times[name])[1]:.1f}" for name in COLUMNS]


def _figures(gains: dict[str, list[float]]) -> list[Figure]:
    figures = []
    for compat, values in gains.items():
        what = f"{NAMES[compat]} / fastpong"
        figures.append(Figure(f"{what}, least of games", min(values), at_least=LEAST))
        figures.append(Figure(f"{what}, median", median(values), at_least=LEAST_MEDIAN))
    return figures
