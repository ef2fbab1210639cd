"""A game beside the live display of a training: ``fastpong train --watch``.

The terminal has two owners here, the loop with the panel and the spectator with the picture. Each
writes whole pieces, one at a time.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from fastpong.cli.display import say
from fastpong.settings.config import available_cores
from fastpong.viewing.canvas import CLEAR, Lines
from fastpong.viewing.colours import Painter, Piece
from fastpong.viewing.games import Moment, Odds
from fastpong.viewing.layout import LEAST, Box
from fastpong.viewing.scene import Caption, Scene
from fastpong.viewing.spectator import Spectator
from fastpong.viewing.terminal import (
    Terminal,
    TerminalError,
    ascii_only,
    check_terminal,
    depth,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.panel import Panel

    from fastpong.agents.plan import Plan
    from fastpong.arrays import Arrays
    from fastpong.training.session import Session

PANEL_COLUMNS = (44, 64)
"""Least and most columns of the panel."""

COLUMNS, ROWS = PANEL_COLUMNS[0] + 1 + LEAST[0], 16
"""Least size of a terminal with a picture beside the panel."""

_MESSAGES = 4  # lines below the panel


class Beside:
    """Show a panel with a game to its left.

    newest   : returns the stage and the newest weights, None before training
    plan     : as for `Spectator`
    terminal : that it takes, until ``close``
    """

    def __init__(
        self,
        console: Console,
        newest: Callable[[], tuple[int, Arrays] | None],
        plan: Callable[[], Plan],
        seed: int,
        agent: str,
    ) -> None:
        self._console, self._newest = console, newest
        self._painter = Painter(depth(), ascii_only=ascii_only())
        self._caption = Caption(
            [agent, "the newest weights"], "computer", agent, "", ["Ctrl-C saves and ends"]
        )
        self._lock = Lock()
        self._scene: Scene | None = None
        self._panel_lines = Lines(Box(0, 0, 0, 0))
        self._size = 0, 0
        self._messages = _Messages()
        self._error = sys.stderr
        self.terminal = Terminal(keyboard=False).__enter__()
        if sys.stderr is not None and sys.stderr.isatty():
            sys.stderr = self._messages
        self._spectator = Spectator(plan, seed, available_cores(), self._show_moment)

    def tick(self) -> None:
        """Hand the newest weights over, if they are wanted."""
        newest = self._newest()
        if newest is not None:
            self._spectator.offer(*newest)

    def show(self, panel: Panel) -> None:
        """Write the panel's lines that changed."""
        with self._lock:
            text = self._resized()
            self.terminal.show(text + self._panel_lines.draw(self._written(panel)))
        self._check()

    def close(self, panel: Panel) -> None:
        """Give the terminal back, with the panel and all messages on it."""
        self._end()
        if not self.terminal.gone:
            self._console.print(panel)
        self._check()

    def abandon(self) -> None:
        """Give the terminal back after a failure, and say what was to be said."""
        self._end()

    def restore(self) -> None:
        """Give the terminal back at once, without the panel."""
        self.terminal.restore()

    def _end(self) -> None:
        self._spectator.close()
        self.terminal.__exit__(None, None, None)
        if sys.stderr is self._messages:
            sys.stderr = self._error
            print(self._messages.getvalue(), end="", file=self._error, flush=True)

    def _check(self) -> None:
        """Raise OSError, with everything given back, once the terminal is gone."""
        if self.terminal.gone:
            self._end()
            raise OSError("the terminal is gone")

    def _written(self, panel: Panel) -> list[str]:
        """Return the panel's lines, and the newest messages below."""
        width = self._panel_columns
        with self._console.capture() as capture:
            self._console.print(panel, width=width)
        failure = self._spectator.failure
        said = self._messages.getvalue().splitlines()[-_MESSAGES:]
        said += [f"no picture: {failure}"] if failure is not None else []
        said += [f"no picture below {COLUMNS}x{ROWS} characters"] if self._scene is None else []
        notes = [self._painter.line([Piece(line)], width) for line in said]
        return [*capture.get().splitlines(), *notes]

    def _show_moment(self, moment: Moment, odds: Odds | None, game: int) -> None:
        """Draw a picture. Called in the spectator's thread."""
        with self._lock:
            if self._scene is None or self.terminal.gone:
                return
            name = f"episode {game + 1}"
            if self._caption.game != name:
                self._caption = replace(self._caption, game=name)
                self._scene = self._new_scene()
            self.terminal.show(self._scene.draw(moment, odds, "60 frames/s"))

    def _resized(self) -> str:
        """Make everything anew on a terminal of another size."""
        size = self.terminal.size
        if size == self._size and not self.terminal.resumed:
            return ""
        self._size = size
        width = self._panel_columns
        self._panel_lines = Lines(Box(0, size[0] - width, size[1], width))
        self._scene = self._new_scene() if size >= (COLUMNS, 0) and size[1] >= ROWS else None
        return CLEAR

    def _new_scene(self) -> Scene:
        columns, rows = self._size
        return Scene(columns - self._panel_columns - 1, rows, self._caption, self._painter)

    @property
    def _panel_columns(self) -> int:
        columns, rows = self._size
        if columns < COLUMNS or rows < ROWS:  # no room for a picture
            return columns
        least, most = PANEL_COLUMNS
        return max(least, min(most, columns // 2))


class _Messages(io.StringIO):
    """Keep what is written to standard error while the terminal is taken."""

    def isatty(self) -> bool:
        """Return True: it ends on the terminal."""
        return True


def beside(session: Session) -> Callable[[Console], Beside] | None:
    """Return what makes the surface of a training's display. None, with a word why: no picture."""
    config = session.config
    try:
        check_terminal()
    except TerminalError as error:
        say(f"--watch: no picture: {error}")
        return None

    def plan() -> Plan:
        from fastpong.agents import make_plan

        run = (config.env, config.stages, config.backend, config.dtype)
        return make_plan(*run, session.emulator)

    def make(console: Console) -> Beside:
        return Beside(console, session.newest, plan, config.seed, config.agent)

    return make
