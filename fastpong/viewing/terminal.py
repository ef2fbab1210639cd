"""A terminal of a person: its size, colours and keys, and everything back as it was at the end."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

from fastpong.viewing.colours import Depth
from fastpong.viewing.echo import QuietControls
from fastpong.viewing.keys import Key

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"  # another screen, no cursor, no wrapped lines
_LEAVE = "\x1b[m\x1b[?7h\x1b[?25h\x1b[?1049l"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # a frame is shown at once, where that is known
_KEYS = re.compile(r"\x1b(?:\[|O)([0-9;:<?]*)([A-Za-z~])|(.)", re.DOTALL)
_CUT = re.compile(r"\x1b(\[[0-9;:<?]*|O)?$")
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_MOUSE = "\x1b[?1003h\x1b[?1006h", "\x1b[?1006l\x1b[?1003l"
# Kitty's protocol, which other terminals know, too: arrows tell when they are released. The
# question is answered only there.
_RELEASES = "\x1b[>2u\x1b[?u", "\x1b[<u"

_OTHERS = (
    "fastpong play --window opens a window, fastpong video -o pong.mp4 makes a film, and "
    "fastpong eval prints the returns"
)


class TerminalError(Exception):
    """Report that there is no terminal to draw on. The message says what to do."""


class Terminal:
    """Draw on the terminal of standard output, and read keys from standard input.

    A context manager: at its end the screen, the cursor and the keyboard are as before.

    played   : a person plays: the mouse is followed, and releases of keys, where that is known
    keyboard : keys are read, and not shown
    gone     : the terminal could not be written to any more
    releases : it tells when keys are released
    """

    def __init__(self, *, played: bool = False, keyboard: bool = True) -> None:
        self._begin, self._finish = _ENTER, _LEAVE
        if played:
            self._begin += _MOUSE[0] + _RELEASES[0]
            self._finish = _RELEASES[1] + _MOUSE[1] + _LEAVE
        self.releases = False
        self._out, self._in = sys.stdout.fileno(), _keyboard() if keyboard else None
        self._before: list[Any] | None = None
        self._controls = QuietControls(sys.stdout)  # read as keys nothing is echoed at all
        self._inside = False
        self._handlers: dict[int, Any] = {}
        self._resumed = False
        self._unread = ""
        self.gone = False

    def __enter__(self) -> Self:
        for number, handler in ((signal.SIGTSTP, self._stop), (signal.SIGCONT, self._resume)):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, handler)
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def size(self) -> tuple[int, int]:
        """Return its columns and rows. 80 and 24 if it does not know."""
        try:
            columns, rows = os.get_terminal_size(self._out)
        except OSError:
            columns, rows = 0, 0
        return columns or 80, rows or 24

    @property
    def resumed(self) -> bool:
        """Return, once, whether the picture was lost: all has to be drawn again."""
        resumed, self._resumed = self._resumed, False
        return resumed

    def show(self, text: str) -> None:
        """Write a frame."""
        if text:
            self._write(f"{_BEGIN}{text}{_END}")

    def pressed(self) -> list[Key]:
        """Return the keys that were pressed. The mouse's heights are rows, from 0 on."""
        if self._in is None or self.gone or not select.select([self._in], [], [], 0)[0]:
            text, self._unread = self._unread, ""
            return [*self._keys(text)]
        try:
            read = os.read(self._in, 4096)
        except OSError:
            read = b""
        if not read:
            self._in = None
        text = self._unread + read.decode(errors="replace")
        # A sequence may have come in part. If no more comes, it was the key Escape.
        cut = _CUT.search(text)
        self._unread = cut[0] if cut else ""
        return [*self._keys(text[: cut.start()] if cut else text)]

    def _keys(self, text: str) -> Iterator[Key]:
        for arguments, final, character in _KEYS.findall(text):
            if character:
                yield Key("escape" if character == "\x1b" else character)
            elif final in _ARROWS:
                yield Key(_ARROWS[final], released=arguments.endswith(":3"))
            elif final == "u" and arguments.startswith("?"):
                self.releases = True
            elif final in "Mm" and arguments.startswith("<"):
                yield Key("mouse", height=float(arguments.split(";")[2]) - 1)

    def restore(self) -> None:
        """Give the terminal back. May be called twice, and from a signal's handler."""
        if self._inside:
            self._inside = False
            self._write(self._finish)
            self._controls.end()
            if self._before is not None and self._in is not None:
                with contextlib.suppress(termios.error):
                    termios.tcsetattr(self._in, termios.TCSAFLUSH, self._before)

    def _enter(self) -> None:
        if self._in is not None:
            self._before = termios.tcgetattr(self._in)
            tty.setcbreak(self._in)
        else:
            self._controls.begin()
        self._inside = True
        self._write(self._begin)

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        try:
            while data and not self.gone:
                data = data[os.write(self._out, data) :]
        except OSError:
            self.gone = True

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.restore()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _resume(self, number: int, frame: FrameType | None) -> None:
        if not self._inside:
            self._enter()
        self._resumed = True


def _keyboard() -> int | None:
    try:
        number = sys.stdin.fileno()
        return number if os.isatty(number) else None
    except (AttributeError, OSError, ValueError):
        return None


def check_terminal() -> None:
    """Raise TerminalError unless pictures can be drawn on standard output."""
    if sys.stdout is None or not sys.stdout.isatty():
        raise TerminalError(f"expected a terminal to draw on, got a pipe or a file; {_OTHERS}")
    if (term := os.environ.get("TERM", "")) in ("", "dumb", "unknown"):
        raise TerminalError(
            f"expected a terminal with a cursor that moves, got TERM={term!r}; {_OTHERS}"
        )


def depth() -> Depth:
    """Return how many colours the terminal has, by COLORTERM, TERM and NO_COLOR."""
    from rich.console import Console

    console = Console(file=sys.stdout)
    if console.no_color or console.color_system is None:
        return "none"
    known: dict[str, Depth] = {"truecolor": "truecolor", "256": "256"}
    return known.get(console.color_system, "16")


def ascii_only() -> bool:
    """Return whether standard output shows no half blocks."""
    return not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
