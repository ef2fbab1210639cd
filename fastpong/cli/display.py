"""The display of a training run: a live panel on a terminal, plain lines elsewhere.

Rates are of the last seconds, not of the whole run, and count emulated frames and the agent's
steps. Nothing here runs in a thread: the caller's loop calls `tick`, so every failure of the screen
happens in one place, and is survived there. Rich is imported only for the live display.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from fastpong.cli.figures import Counters, Meter, RecentMean
from fastpong.cli.panel import Heading, Progress, make_panel
from fastpong.cli.stops import Stops
from fastpong.cli.surfaces import InPlace, Surface
from fastpong.printable import counted, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.panel import Panel

    from fastpong.storage.evaluations import EvaluationRow
    from fastpong.training.stats import EpisodeStats

REFRESH_SECONDS = 0.5  # a redraw takes about 5 ms


_gone: set[bool] = set()
"""Streams that could not be written to: False for standard output, True for standard error."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_refused: list[OSError] = []
"""Of a disk under standard output, while what it did not take has been said nowhere else."""


def say(text: str, *, error: bool = False) -> bool:
    """Print one line to standard output or error.

    Returns False, and stays silent from then on, if the stream is gone.

    A closed pipe, a vanished terminal or a full disk under the output must not end a run that
    has hours of work in it.
    """
    stream = sys.stderr if error else sys.stdout
    if stream is None or error in _gone:
        return False
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        if text.isascii():  # what the stream still holds cannot be written
            _silence(error)
            return False
        return say(text.encode("ascii", "backslashreplace").decode(), error=error)
    except (OSError, ValueError) as cause:  # ValueError: the stream was closed
        if isinstance(cause, OSError) and cause.errno in _FULL and not error:
            _refused.append(cause)
        _silence(error)
        return False
    return True


def refused() -> OSError | None:
    """Return why a full disk has less of a command's results than there are. None: it has all."""
    return next((OSError(e.errno, e.strerror, "standard output") for e in _refused), None)


def say_table(table: Mapping[str, str]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, table))
    for name, value in table.items():
        say(f"{name:<{width}}  {value}")


def announce(text: str) -> None:
    """Print a line that must arrive.

    Without output it goes to standard error.
    """
    if not say(text):
        warn(text)
        _refused.clear()


def warn(text: str) -> None:
    """Print a warning on standard error, above any panel.

    It may quote a file of anybody's, so that control characters are spelled out.
    """
    say("fastpong: " + printable(text, keep="\n\t"), error=True)


def _silence(error: bool) -> None:
    """Point a stream to nowhere.

    So the interpreter's own flush at the end succeeds, too.
    """
    _gone.add(error)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2 if error else 1)
    os.close(nowhere)


class Plain:
    """Print one line per episode."""

    def __init__(self, heading: Heading) -> None:
        self._meter, self._mean = Meter(), RecentMean(heading.until, heading.until_episodes)
        self._heard = True
        self._line(
            f"training {heading.agent} on {heading.env}: {heading.length}, "
            f"{counted(heading.workers, 'worker')}, {heading.backend}, "
            f"{heading.dtype}; run directory {heading.directory}"
        )

    def begin(self, counters: Counters) -> None:
        """Begin to count."""
        self._meter.begin(counters)
        self._mean.begin(counters)

    def update(self, stats: EpisodeStats, restarts: int) -> None:
        """Print the episode's line."""
        rates = self._meter.update(stats)
        self._mean.update(stats.score)
        self._line(
            f"episode {stats.episode}  return {stats.score:+.0f}  {self._mean.text}"
            f"  length {stats.length}  {rates.frames:,.0f} frames/s  {rates.steps:,.0f} steps/s"
            + (f"  restarts {restarts}" if restarts else "")
        )

    def evaluated(self, row: EvaluationRow, best: float) -> None:
        """Print the evaluation's line."""
        self._line(
            f"evaluation after episode {row.episode}  mean {row.mean:+.2f} of "
            f"{counted(row.eval_episodes, 'episode')}  best {best:+.2f}"
        )

    def _line(self, text: str) -> None:
        if self._heard and not say(text):
            self._heard = False
            warn("standard output is gone; training goes on without a line per episode")

    def tick(self) -> None:
        """Do nothing: lines come with episodes."""

    def close(self) -> None:
        """Do nothing: the lines stand."""

    def restore(self) -> None:
        """Do nothing: nothing was taken."""


class Live:
    """Show a panel of figures that is always up to date.

    surface : makes what it is shown on. None: the terminal, in place
    """

    def __init__(
        self,
        heading: Heading,
        *,
        width: int | None = None,
        surface: Callable[[Console], Surface] | None = None,
    ) -> None:
        from rich.console import Console

        mean = RecentMean(heading.until, heading.until_episodes)
        self._console = Console(width=width)
        self._meter = Meter()
        self._progress = Progress(_writable(heading, self._console.encoding), mean)
        self._drawn = 0.0
        self._open = True
        self._surface = (surface or InPlace)(self._console)
        self._stops = Stops()

    def begin(self, counters: Counters) -> None:
        """Show where the run is, and begin to count there."""
        self._meter.begin(counters)
        self._progress.begin(counters)
        self.tick()

    def update(self, stats: EpisodeStats, restarts: int) -> None:
        """Add an episode.

        The screen follows at its own pace.
        """
        self._progress.update(stats, self._meter.update(stats), restarts)
        self.tick()

    def evaluated(self, row: EvaluationRow, best: float) -> None:
        """Keep the evaluation for the screen."""
        self._progress.evaluation = row, best
        self.tick()

    def tick(self) -> None:
        """Redraw, at most twice a second."""
        if not self._open:
            return
        self._meter.pause(self._stops.seconds())
        now = time.monotonic()
        if now - self._drawn >= REFRESH_SECONDS:
            self._drawn = now
            self._guarded(lambda: self._surface.show(self._panel()))
        self._guarded(self._surface.tick)

    def close(self) -> None:
        """Draw the last state and release cursor and streams."""
        if self._open:
            self._stops.close()
            self._guarded(lambda: self._surface.close(self._panel()))
            self._open = False
        self.restore()

    def restore(self) -> None:
        """Give the terminal back at once, from a signal's handler."""
        self._surface.restore()

    def _panel(self) -> Panel:
        self._progress.elapsed = self._meter.elapsed
        return make_panel(self._progress)

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OSError, ValueError):  # the terminal is gone
            self._open = False
            self._stops.close()
            with suppress(OSError, ValueError):
                self._surface.abandon()
            _silence(error=False)


def _writable(heading: Heading, encoding: str) -> Heading:
    """Return a heading with a directory's name that the terminal can show."""
    name = heading.directory.encode(encoding, "backslashreplace").decode(encoding)
    return replace(heading, directory=name)


def open_display(
    heading: Heading,
    *,
    progress: bool,
    surface: Callable[[Console], Surface] | None = None,
) -> Plain | Live:
    """Return a live display, or lines without terminal."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if progress and terminal and os.environ.get("TERM", "") not in ("", "dumb", "unknown"):
        return Live(heading, surface=surface)
    return Plain(heading)
