"""How everything here is measured: arms in turn, medians with their spread, helper processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

Effort = Literal["quick", "normal", "full"]
"""quick: every line runs once, figures mean nothing; normal: pytest; full: docs/results.md."""


@dataclass(frozen=True)
class Figure:
    """One measured number. ``low`` and ``high`` are the quartiles of its rounds."""

    what: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""

    @property
    def met(self) -> bool | None:
        """Whether the value reaches its target; None without one."""
        if self.at_least is None and self.at_most is None:
            return None
        least = self.at_least if self.at_least is not None else float("-inf")
        most = self.at_most if self.at_most is not None else float("inf")
        return least <= self.value <= most


@dataclass(frozen=True)
class Table:
    title: str
    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Report:
    """What a claim's file hands back: figures first, then tables, and how they came about."""

    title: str
    how: str
    figures: list[Figure]
    tables: list[Table] = field(default_factory=list)


def figure(what: str, values: Sequence[float], unit: str = "", **target: float | None) -> Figure:
    """Make a figure of the values of all rounds."""
    low, middle, high = quartiles(values)
    return Figure(what, middle, unit, low, high, **target)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return lower quartile, median, upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def alternate(arms: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call the arms in turn, A B C A B C ..., so that a drift of the machine meets all alike."""
    values: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            values[name].append(arm())
    return values


def ratios(above: Iterable[float], below: Iterable[float]) -> list[float]:
    """Return the ratios round by round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def differences(more: Iterable[float], less: Iterable[float]) -> list[float]:
    """Return the differences round by round."""
    return [a - b for a, b in zip(more, less, strict=True)]


def seconds_of(call: Callable[[], Any], repeats: int = 1) -> float:
    """Return the seconds one call takes, averaged over ``repeats`` in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def repeats_for(call: Callable[[], Any], seconds: float) -> int:
    """Return how many calls fill about ``seconds``, after one that warms up; 1 for 0 seconds."""
    if seconds <= 0:
        return 1
    call()
    return max(1, min(1_000_000, round(seconds / max(seconds_of(call, 3), 1e-9))))


def plain_environment() -> dict[str, str]:
    """Return the environment for a process of fastpong that is to choose its backend itself."""
    return {name: value for name, value in os.environ.items() if name != "FASTPONG_BACKEND"}


def fastpong_command() -> list[str]:
    """Return the command ``fastpong`` of this environment, as a person types it."""
    script = Path(sys.executable).with_name("fastpong")
    return [str(script)] if script.exists() else [sys.executable, "-m", "fastpong"]


class Helper:
    """A program of programs/ in a process of its own: a line in, a line of JSON out.

    It does nothing between two questions, so that whatever else is measured has the machine.
    """

    def __init__(self, program: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "helper.py"), program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, question: Any) -> None:
        """Send a question; ``answer`` waits for what comes back."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")

    def answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended: {self._process.wait(10)}")
        return json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(answer: Callable[[Any], Any]) -> None:
    """Be a helper: answer questions until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
