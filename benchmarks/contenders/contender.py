"""What the contenders of side_by_side.py have in common: arguments, clock, scores, what is written.

A contender is a program that trains for so many seconds of wall time, counted from the start of its
process with all that it imports, then evaluates what it has learned, off the clock, and writes one
JSON file. Frames are ALE's own count, no-ops at the beginning of a game included. CPU time is that
of all processes, counted as fastpong counts its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

STICKY = {"PongDeterministic-v4": 0.0, "ALE/Pong-v5": 0.25}
"""Variant -> probability, per frame, that the action before is played; both skip four frames."""

RECENT = 40
GAMES, EVALUATION_SECONDS = 20, 300.0
"""Games an evaluation begins, and seconds after which those that still go on are counted as they
stand; a greedy agent may rally for ever."""

Act = Callable[[Any], npt.NDArray[np.int64]]
Step = Callable[[npt.NDArray[np.int64]], tuple[Any, npt.NDArray[Any], npt.NDArray[np.bool_]]]
"""Actions -> observations, points, and whether a game ended with this step."""


def parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of what every contender is told."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--env-variant", choices=STICKY, default="PongDeterministic-v4")
    parser.add_argument("--seconds", type=float, default=200.0, help="of training, from the start")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--games", type=int, default=GAMES, help="of an evaluation; 0: none")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: its own default")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    return parser


def set_threads(count: int) -> None:
    """Let PyTorch compute with so many threads, 0 for its own choice."""
    import torch

    if count:
        torch.set_num_threads(count)


def wall_seconds() -> float:
    """Return the seconds since this process was started, imports included."""
    after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


@dataclass
class Scores:
    """The training games that have ended, and how their mean moved."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    games: int = 0
    curve: list[tuple[float, int, float]] = field(default_factory=list)

    def add(self, score: float, frames: int) -> None:
        self.recent.append(score)
        self.games += 1
        self.curve.append((round(wall_seconds(), 2), frames, self.mean()))

    def mean(self) -> float:
        return statistics.fmean(self.recent)


@dataclass(frozen=True)
class Cost:
    """What training took."""

    wall: float
    cpu: float
    steps: int
    frames: int


def evaluate(first: Any, act: Act, step: Step, games: int) -> dict[str, float]:
    """Return mean and deviation of the first game of each of ``games`` environments.

    First games only: counting games as they end would favour the short ones.
    """
    observation, limit = first, time.monotonic() + EVALUATION_SECONDS
    score, over = np.zeros(games), np.zeros(games, bool)
    while not over.all() and time.monotonic() < limit:
        observation, points, ended = step(act(observation))
        score += np.where(over, 0, points)
        over |= ended
    return {
        "mean": float(score.mean()),
        "deviation": float(score.std()),
        "games": games,
        "finished": int(over.sum()),
    }


def write(
    given: argparse.Namespace, cost: Cost, scores: Scores,
    evaluations: dict[str, dict[str, float]], settings: str, packages: Sequence[str],
) -> None:  # fmt: skip
    """Write what came of it, and say it in a line."""
    import torch

    found = {
        "env": given.env_variant,
        "seed": given.seed,
        "seconds": given.seconds,
        "settings": settings,
        "threads": torch.get_num_threads(),
        "wall": cost.wall,
        "cpu": cost.cpu,
        "steps": cost.steps,
        "frames": cost.frames,
        "games": scores.games,
        "recent": scores.mean() if scores.games else None,
        **evaluations,
        "versions": {name: version(name) for name in packages},
        "curve": scores.curve,
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    recent = f"{scores.mean():+.2f}" if scores.games else "none"
    played = ", ".join(f"{name} {it['mean']:+.2f}" for name, it in evaluations.items())
    print(
        f"{cost.wall:.0f} s, {cost.cpu / 60:.2f} core-minutes, {cost.frames:,} frames "
        f"({cost.frames / cost.wall:,.0f}/s), {scores.games} games, the last {RECENT}: {recent}; "
        f"{played}",
        flush=True,
    )
