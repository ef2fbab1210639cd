"""The panel of a training: what it says, and how it fits a width.

Rich is imported only where it is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fastpong.cli.figures import Counters, Rates, RecentMean, clock, sparkline
from fastpong.printable import counted

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.panel import Panel
    from rich.text import Text

    from fastpong.storage.evaluations import EvaluationRow
    from fastpong.training.stats import EpisodeStats

_NARROW = 72
"""Columns below which the figures of the bar stand in lines of their own."""
_CURVE_LEAST = 24
"""Columns that a curve beside its figure needs. With fewer it has a line of its own."""
_WAITING = "-"


@dataclass(frozen=True)
class Heading:
    """Hold the constant facts of a run on display.

    total_timesteps : the run's length in steps, or None for a length in episodes
    stages          : first step and description of each stage
    """

    env: str
    agent: str
    backend: str
    dtype: str
    workers: int
    episodes: int
    directory: str
    until: float | None
    until_episodes: int
    total_timesteps: int | None = None
    stages: tuple[tuple[int, str], ...] = ()

    @property
    def length(self) -> str:
        """Return the length of the run in words."""
        if self.total_timesteps is None:
            return counted(self.episodes, "episode")
        return counted(self.total_timesteps, "step")


class Row(NamedTuple):
    """Hold a line of figures.

    notes : from the longest to the shortest, of which the first that fits is shown
    """

    label: str
    value: str
    notes: tuple[str, ...] = ()
    style: str = ""


@dataclass
class Progress:
    """Hold what the panel shows, as far as a training has come.

    means       : of the last episodes, after each of this session's
    exploration : the share of random actions, None where there is none
    evaluation  : the last one, and the best mean so far
    elapsed     : seconds of this session
    """

    heading: Heading
    mean: RecentMean
    means: list[float] = field(default_factory=list)
    episodes: int = 0
    steps: int = 0
    updates: int = 0
    stats: EpisodeStats | None = None
    exploration: float | None = None
    rates: Rates = field(default_factory=lambda: Rates(0.0, 0.0, 0.0))
    restarts: int = 0
    evaluation: tuple[EvaluationRow, float] | None = None
    elapsed: float = 0.0

    def begin(self, counters: Counters) -> None:
        """Begin at the trainer's counters."""
        self.episodes, self.steps = int(counters["episode"]), int(counters["total_steps"])
        self.updates = int(counters["update"])
        self.mean.begin(counters)

    def update(self, stats: EpisodeStats, rates: Rates, restarts: int) -> None:
        """Add an episode."""
        self.stats, self.rates, self.restarts = stats, rates, restarts
        self.episodes, self.steps, self.updates = stats.episode, stats.total_steps, stats.update
        if stats.diagnostics:  # of an update since the last episode
            self.exploration = stats.diagnostics.get("exploration_rate")
        self.mean.update(stats.score)
        self.means.append(self.mean.value or 0.0)

    @property
    def share(self) -> float:
        """Return the part of the training that is done, in steps, episodes or points."""
        heading, parts = (
            self.heading,
            [self.mean.share or 0.0, self.episodes / self.heading.episodes],
        )
        if heading.total_timesteps is not None:
            parts.append(self.steps / heading.total_timesteps)
        return min(1.0, max(parts))

    @property
    def done(self) -> str:
        """Return how far it has come, in words.

        A mean that ends the run may be reached any time: then the limit is no total.
        """
        heading = self.heading
        done = self.episodes if heading.total_timesteps is None else self.steps
        if self.mean.until is None:
            return f"{done:,} / {heading.length}"
        count, unit = heading.length.split()
        return f"{done:,} {unit}, limit {count}"  # an update may take it past the limit

    @property
    def times(self) -> str:
        """Return the time so far, and the time left where that is known."""
        text = f"elapsed {clock(self.elapsed)}"
        if self.mean.until is not None:
            return text
        heading, rates = self.heading, self.rates
        left, rate = heading.episodes - self.episodes, rates.episodes
        if heading.total_timesteps is not None:
            left, rate = heading.total_timesteps - self.steps, rates.steps
        return f"{text}  left {clock(math.ceil(max(0, left) / rate)) if rate else '-:--:--'}"

    def rows(self) -> Iterator[Row]:
        """Return the lines of figures. That of the mean is the second one."""
        heading, stats, mean = self.heading, self.stats, self.mean
        yield Row("episodic return", f"{stats.score:+.0f}" if stats else _WAITING, ("points",))
        goal = f"of {mean.until:+g}" if mean.until is not None else ""
        label = f"mean of last {mean.count}" if mean.count else "mean return"
        value = _WAITING if mean.value is None else f"{mean.value:+.2f}"
        yield Row(label, value, (goal,), "bold")
        if self.evaluation is not None:
            row, best = self.evaluation
            notes = f"episode {row.episode:,}, best {best:+.2f}", f"best {best:+.2f}"
            yield Row("evaluation", f"{row.mean:+.2f}", notes)
        yield Row("episode length", f"{stats.length:,}" if stats else _WAITING, ("steps",))
        yield Row("step", f"{self.steps:,}", ("of the run",))
        yield from self._stage()
        if self.exploration is not None:
            random = "share of random actions", "random"
            yield Row("exploration", f"{self.exploration:.3f}", random)
        yield Row("updates", f"{self.updates:,}", (f"{heading.backend}, {heading.dtype}",))
        yield Row("speed", f"{self.rates.frames:,.0f}", ("emulated frames/s", "frames/s"))
        yield Row("", f"{self.rates.steps:,.0f}", ("steps/s",))
        workers: tuple[str, ...] = ("none restarted",)
        if self.restarts:
            workers = f"{self.restarts} restarted", f"{self.restarts} new"
        yield Row("workers", f"{heading.workers}", workers, "red" if self.restarts else "")

    def _stage(self) -> Iterator[Row]:
        stages = self.heading.stages
        if len(stages) < 2:
            return
        number = sum(first <= self.steps for first, _ in stages)
        what = stages[number - 1][1]
        end = f" to step {stages[number][0]:,}" if number < len(stages) else ", the last"
        yield Row("stage", f"{number} of {len(stages)}", (what + end, what, what.split(",")[0]))


def make_panel(progress: Progress) -> Panel:
    """Return the panel, which fits any width from 34 columns on."""
    from rich.panel import Panel
    from rich.text import Text

    heading = progress.heading
    title = f"[bold]fastpong[/] {heading.agent} on {heading.env}"
    footer = Text(heading.directory, style="dim", overflow="ellipsis", no_wrap=True)
    body = _Body(progress)
    return Panel(body, title=title, title_align="left", subtitle=footer, subtitle_align="left")


class _Body:
    """Draw bar and figures in the width that there is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        width = options.max_width
        yield from self._bar(width)
        rows = [*self._progress.rows()]
        labels, values = (max(len(row[k]) for row in rows) for k in (0, 1))
        gap = 1 if width < _NARROW else 2
        room = width - labels - values - 2 * gap
        for number, row in enumerate(rows):
            notes = row.notes
            if number == 1:
                notes = self._with_curve(notes[0], room, options.ascii_only)
            note = next((text for text in notes if len(text) <= room), "")
            style = row.style if row.style != "bold" else ""
            yield _line(
                (row.label.ljust(labels + gap), "dim"),
                (row.value.rjust(values) + " " * gap, "bold" if row.style == "bold" else ""),
                (note, style),
            )
            if number == 1 and room < _CURVE_LEAST:
                curve = sparkline(self._progress.means, width, ascii_only=options.ascii_only)
                yield from [_line((curve, ""))] if curve else []

    def _bar(self, width: int) -> Iterator[RenderableType]:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        progress = self._progress
        bar = ProgressBar(total=1, completed=progress.share, complete_style="cyan")
        grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
        grid.add_column(ratio=1)
        if width < _NARROW:
            grid.add_row(bar)
            yield from (grid, _line((progress.done, "bold")), _line((progress.times, "")))
            return
        for _ in range(2):
            grid.add_column(no_wrap=True, justify="right")
        grid.add_row(bar, f"[bold]{progress.done}[/]", progress.times)
        yield from (grid, "")

    def _with_curve(self, goal: str, room: int, ascii_only: bool) -> tuple[str, ...]:
        if room < _CURVE_LEAST:
            return (goal,)
        spaced = goal + "  " * bool(goal)
        curve = sparkline(self._progress.means, room - len(spaced), ascii_only=ascii_only)
        return (spaced + curve, goal)


def _line(*pieces: tuple[str, str]) -> Text:
    from rich.text import Text

    return Text.assemble(*pieces, no_wrap=True, overflow="ellipsis")
