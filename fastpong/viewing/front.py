"""Where games are shown, and keys come from: a terminal, or a window of ``window``."""

from __future__ import annotations

from typing import Protocol

from fastpong.viewing.canvas import CLEAR
from fastpong.viewing.colours import Painter
from fastpong.viewing.games import Moment, Odds
from fastpong.viewing.keys import Key
from fastpong.viewing.scene import Caption, Scene
from fastpong.viewing.terminal import Terminal


class Front(Protocol):
    """Show moments and read keys.

    gone     : it was closed
    releases : it tells when keys are released
    """

    @property
    def gone(self) -> bool:
        """Return whether it was closed."""

    @property
    def releases(self) -> bool:
        """Return whether it tells when keys are released."""

    def pressed(self) -> list[Key]:
        """Return the keys pressed since the last time."""

    def draw(self, moment: Moment, odds: Odds | None, caption: Caption, pace: str) -> None:
        """Show a moment."""


class TerminalFront:
    """Show moments on a terminal of any size, which may change."""

    def __init__(self, terminal: Terminal, painter: Painter) -> None:
        self._terminal, self._painter = terminal, painter
        self._scene: Scene | None = None

    @property
    def gone(self) -> bool:
        """Return whether it could not be written to."""
        return self._terminal.gone

    @property
    def releases(self) -> bool:
        """Return whether it tells when keys are released."""
        return self._terminal.releases

    def pressed(self) -> list[Key]:
        """Return the keys pressed since the last time."""
        return [self._on_picture(key) for key in self._terminal.pressed()]

    def draw(self, moment: Moment, odds: Odds | None, caption: Caption, pace: str) -> None:
        """Write what changes the terminal to a moment."""
        size, scene = self._terminal.size, self._scene
        resumed = self._terminal.resumed
        text = ""
        if scene is None or resumed or scene.size != size or scene.caption is not caption:
            self._scene = scene = Scene(*size, caption, self._painter)
            text = CLEAR
        self._terminal.show(text + scene.draw(moment, odds, pace))

    def _on_picture(self, key: Key) -> Key:
        """Return a key with the mouse's row as a share of the picture."""
        layout = self._scene.layout if self._scene is not None else None
        if key.name != "mouse" or layout is None:
            return key
        box = layout.picture
        return key._replace(height=(key.height + 0.5 - box.top) / box.rows)
