"""The display of a sweep: a line per run, live or one after the other, and the table at its end."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fastpong.cli.display import say, warn
from fastpong.cli.figures import clock
from fastpong.cli.stops import CtrlZ
from fastpong.storage.sweep import read_rows
from fastpong.training.stats import sample_deviation
from fastpong.viewing.echo import QuietControls

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from fastpong.storage.logs import Row

LINE_SECONDS = 5.0
"""Between two lines of a run, at least."""

REFRESH_SECONDS = 0.5
_WIDE = 90
"""Columns for the whole line of a run."""
_TABLE = 72
"""Columns for the whole table of results."""


class Shown(Protocol):
    """Describe a run of a sweep for the display."""

    seed: int
    directory: Path
    log: Path

    @property
    def state(self) -> str:
        """Return its state in a word."""

    def complaint(self) -> str:
        """Return what the run said last."""


class SweepDisplay(Protocol):
    """Show a sweep to a person."""

    def tick(self) -> None:
        """Give the display its turn, several times a second."""

    def ended(self, job: Shown) -> None:
        """Show how a run ended."""

    def close(self) -> None:
        """Restore the screen."""

    def restore(self) -> None:
        """Restore the terminal's settings at once, from a signal's handler."""


class Lines:
    """Print a line per run, every few seconds."""

    def __init__(self, jobs: Sequence[Shown], window: int) -> None:
        self._jobs, self._window = jobs, window
        self._printed = {job.seed: (0, time.monotonic()) for job in jobs}

    def tick(self) -> None:
        """Print the lines that are due."""
        now = time.monotonic()
        for job in self._jobs:
            episode, before = self._printed[job.seed]
            if job.state != "running" or now - before < LINE_SECONDS:
                continue
            rows = read_rows(job.directory, newest=True)
            self._printed[job.seed] = rows[-1].episode if rows else 0, now
            if rows and rows[-1].episode > episode:
                say(f"seed {job.seed}  {_line(rows, self._window)}")

    def ended(self, job: Shown) -> None:
        """Print how a run ended."""
        say(_ending(job))

    def close(self) -> None:
        """Do nothing: the lines stand."""

    def restore(self) -> None:
        """Do nothing: nothing was taken."""


class Live:
    """Show a table with a line per run that is always up to date."""

    def __init__(self, jobs: Sequence[Shown], window: int) -> None:
        from rich.live import Live as RichLive

        self._jobs, self._window = jobs, window
        self._drawn, self._open = 0.0, True
        self._live = RichLive("", auto_refresh=False)
        self._controls = QuietControls(self._live.console.file)
        self._ctrl_z = CtrlZ()
        self._guarded(self._live.start)

    def tick(self) -> None:
        """Redraw, at most twice a second. A Ctrl-Z stops the display, and the runs go on."""
        if self._open and self._ctrl_z.asked:
            self._guarded(self._live.stop)
            self.restore()
            self._ctrl_z.stop()
            self._guarded(self._live.start)
        if self._open and time.monotonic() - self._drawn >= REFRESH_SECONDS:
            self._drawn = time.monotonic()
            self._controls.begin()
            self._guarded(lambda: self._live.update(self._table(), refresh=True))

    def ended(self, job: Shown) -> None:
        """Print a failure above the table. The rest stands in it."""
        if job.state == "failed":
            warn(_ending(job))

    def close(self) -> None:
        """Draw the last state and release the cursor."""
        if self._open:
            self._guarded(lambda: self._live.update(self._table(), refresh=True))
            self._guarded(self._live.stop)
            self._open = False
        self._ctrl_z.close()
        self.restore()

    def restore(self) -> None:
        """Give the terminal back at once, from a signal's handler."""
        self._controls.end()

    def _guarded(self, action: object) -> None:
        try:
            assert callable(action)
            action()
        except (OSError, ValueError):  # the terminal is gone
            self._open = False

    def _table(self) -> RenderableType:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True)
        console = self._live.console
        line = _line if console.width >= _WIDE else _short_line
        shown, others = _fitting(self._jobs, console.height)
        for job in shown:
            rows = read_rows(job.directory, newest=True)
            text = line(rows, self._window) if rows else ""
            table.add_row(f"seed {job.seed}", job.state, text)
        if others:
            table.add_row("others", "", others)
        return table


def _fitting(jobs: Sequence[Shown], lines: int) -> tuple[list[Shown], str]:
    """Return the runs to show, and counts of the others. The running ones come first."""
    if len(jobs) <= lines:
        return list(jobs), ""
    shown = [job for job in jobs if job.state == "running"][: max(0, lines - 1)]
    counts = Counter(job.state for job in jobs if job not in shown)
    return shown, ", ".join(f"{count} {state}" for state, count in counts.items())


def open_sweep_display(jobs: Sequence[Shown], window: int, *, progress: bool) -> SweepDisplay:
    """Return a live display, or lines without terminal."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if progress and terminal and os.environ.get("TERM", "") not in ("", "dumb", "unknown"):
        return Live(jobs, window)
    return Lines(jobs, window)


def results(jobs: Iterable[Shown], window: int) -> list[str]:
    """Return the lines of the table of results.

    window : episodes in a mean
    """
    from rich.console import Console

    console = Console(no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(_results(jobs, window, wide=console.width >= _TABLE))
    return [line.rstrip() for line in capture.get().splitlines()]


def _results(jobs: Iterable[Shown], window: int, *, wide: bool) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("seed", "episodes", f"last {window}", "best"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("steps", "wall time", "") if wide else ():
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    finals: list[float] = []
    for job in jobs:
        rows = read_rows(job.directory)
        means = _means([row.score for row in rows], window)
        finals += means[-1:]
        cells = _cells(job, rows, means)
        table.add_row(*(cells if wide else cells[:4]))
    if finals and table.row_count > 1:
        found = sample_deviation(finals)
        table.add_section()
        table.add_row("mean", "", f"{statistics.fmean(finals):+.2f}")
        table.add_row("std", "", "-" if found is None else f"{found:.2f}")
    return table


def _cells(job: Shown, rows: Sequence[Row], means: Sequence[float]) -> list[str]:
    """Return a run's cells of the table."""
    if not rows:
        return [str(job.seed), "0", "", "", "", "", job.state]
    last, best = rows[-1], _best(job.directory, means)
    figures = [str(job.seed), f"{last.episode:,}", f"{means[-1]:+.2f}", f"{best:+.2f}"]
    return [*figures, f"{last.total_steps:,}", clock(last.wall_seconds), job.state]


def _means(scores: Sequence[float], window: int) -> list[float]:
    """Return the mean of the last ``window`` returns after every episode."""
    parts = (scores[max(0, end - window) : end] for end in range(1, len(scores) + 1))
    return [sum(part) / len(part) for part in parts]


def _best(run: Path, means: Sequence[float]) -> float:
    """Return the best evaluation, or without any the best mean."""
    from fastpong.storage.checkpoint import CheckpointError
    from fastpong.training.periodic import read_best

    try:
        best = read_best(run)
    except CheckpointError:
        best = None
    return max(means) if best is None else best.mean


def _line(rows: Sequence[Row], window: int) -> str:
    last, scores = rows[-1], [row.score for row in rows[-window:]]
    return (
        f"episode {last.episode:,}  return {last.score:+.0f}  last {len(scores)} "
        f"{sum(scores) / len(scores):+.2f}  {last.total_steps:,} steps  {clock(last.wall_seconds)}"
    )


def _short_line(rows: Sequence[Row], window: int) -> str:
    scores = [row.score for row in rows[-window:]]
    return f"{sum(scores) / len(scores):+.2f} at {rows[-1].episode:,}"


def _ending(job: Shown) -> str:
    if job.state == "failed":
        return f"seed {job.seed} failed: {job.complaint()}; the others go on"
    return f"seed {job.seed} {job.state}"
