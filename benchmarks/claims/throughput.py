"""Claim a: a training run emulates several times as many frames a second as bare ale-py."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from measure import Effort, Figure, Report, Table, alternate, figure, quartiles, ratios
from programs import emulators, training
from programs.emulators import Bare
from programs.training import SETTINGS, Training

# rounds, seconds of training and of bare emulators, seconds of the strict ones
PLAN = {"quick": (1, 0.5, 0.3), "normal": (2, 5.0, 2.0), "full": (5, 8.0, 2.0)}

HOW = """\
`fastpong train` as a person runs it (Pong-v0, float32, batch 10, lag 1, hidden 200; metrics.csv,
TensorBoard, a checkpoint every 100 episodes, progress to a file) against bare emulators in as
many processes: ALE at frameskip 1 with random RIGHT and LEFT drawn beforehand, `game_over()`
after every frame, `reset_game()` after every game, no screen looked at. The strict emulators ask
`game_over()` every third frame only and begin a game by `restoreState()`. One run is paused while
the others are measured, windows alternate, and a window of training counts the frames and the
time from its first episode's end to its last one's, by the run's metrics.csv. The ratios are
round by round."""


def measure(effort: Effort, workers: tuple[int, ...] = (1, 2)) -> Report:
    """Check, then measure; returns the ratios for each number of workers."""
    figures, table = compare(effort, workers, SETTINGS, at_least={1: 7, 2: 6})
    return Report("Throughput: training against bare emulators", HOW, figures, [table])


def compare(
    effort: Effort,
    workers: tuple[int, ...],
    settings: Mapping[str, str],
    *,
    at_least: Mapping[int, float],
) -> tuple[list[Figure], Table]:
    """Measure training with these settings; return the ratios and a table of the rates."""
    emulators.check()
    figures, rows = [], []
    for count in workers:
        rates = _rates(count, effort, settings)
        names = f"{count} worker" + "s" * (count > 1)
        figures += [
            figure(f"training / bare emulators, {names}",
                   ratios(rates["training"], rates["bare"]),
                   at_least=at_least.get(count)),
            figure(f"training / strict emulators, {names}",
                   ratios(rates["training"], rates["strict"])),
        ]  # fmt: skip
        for name, values in rates.items():
            low, middle, high = quartiles(values)
            rows.append([str(count), name, f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}"])
    header = ["processes", "what", "median", "quartiles"]
    return figures, Table("Frames per second", header, rows)


def _rates(workers: int, effort: Effort, settings: Mapping[str, str]) -> dict[str, list[float]]:
    """Return frames per second, window by window."""
    rounds, seconds, strict_seconds = PLAN[effort]
    with tempfile.TemporaryDirectory() as directory, Bare(workers) as bare:
        with Training(workers, Path(directory), settings=settings) as run:
            run.pause()
            training.check(run.run, run.rows())
            bare.window(seconds / 20)  # the first blocks are slow
            rates = alternate(
                {
                    "bare": lambda: bare.window(seconds),
                    "training": lambda: run.window(seconds).frames_per_second,
                    "strict": lambda: bare.window(strict_seconds, tuned=True),
                },
                rounds,
            )
        training.check(run.run, run.rows())
    return rates
