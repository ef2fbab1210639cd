"""What the panel of a training is shown on.

Rich is imported only for the live display.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from fastpong.cli.stops import CtrlZ
from fastpong.viewing.echo import QuietControls

if TYPE_CHECKING:
    from rich.console import Console
    from rich.panel import Panel


class Surface(Protocol):
    """Show a panel on a terminal, again and again.

    What it raises is OSError or ValueError: the terminal is gone.
    """

    def show(self, panel: Panel) -> None:
        """Show the panel as it is now."""

    def tick(self) -> None:
        """Take a turn, several times a second."""

    def close(self, panel: Panel) -> None:
        """Leave the panel as it is now, and give cursor and streams back."""

    def abandon(self) -> None:
        """Give the terminal back after a failure, without the panel."""

    def restore(self) -> None:
        """Give the terminal back at once, from a signal's handler."""


class InPlace:
    """Redraw a panel in place, by Rich."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live as RichLive

        self._controls = QuietControls(console.file)
        # Messages to standard error appear above the panel, unless they go somewhere else.
        self._live = RichLive(
            "",
            console=console,
            auto_refresh=False,
            redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
        )
        self._ctrl_z = CtrlZ()

    def show(self, panel: Panel) -> None:
        """Draw over the panel before."""
        self._controls.begin()
        self._live.update(panel)
        if not self._live.is_started:
            self._live.start()
        self._live.refresh()

    def tick(self) -> None:
        """Leave the panel where it is while the program is stopped, and begin below."""
        if self._ctrl_z.asked:
            self._live.stop()
            self.restore()
            self._ctrl_z.stop()
            self._live.start(refresh=True)

    def close(self, panel: Panel) -> None:
        """Draw the last state and release cursor and streams."""
        try:
            self.show(panel)
            self._live.stop()
        finally:
            self._ctrl_z.close()
            self.restore()

    def abandon(self) -> None:
        """Show the cursor again, and give streams and signals back."""
        self._ctrl_z.close()
        self.restore()
        try:
            self._live.stop()  # it may draw once more, and fail again
        finally:
            os.write(1, b"\x1b[?25h")

    def restore(self) -> None:
        """Show control characters again."""
        self._controls.end()
