"""A terminal as programs see it: a pseudo-terminal, and a screen that obeys what is written."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from commands import COMMAND, read_terminal
from waiting import PATIENCE

Cell = tuple[str, str, str]
"""A character, its foreground and its background, as the control sequence's numbers."""

_BLANK: Cell = (" ", "", "")
_TOKEN = re.compile(r"\x1b\[([0-9;?<>=]*)([A-Za-z])|\x1b(.)|(.)", re.DOTALL)


@dataclass
class Screen:
    """Obey the sequences that fastpong writes, and refuse others.

    modes   : private modes that are on: ?25 the cursor, ?7 wrapped lines, ?1049 the other screen
    touched : cells written since the last time somebody cleared it
    """

    columns: int = 80
    rows: int = 24
    cells: dict[tuple[int, int], Cell] = field(default_factory=dict)
    modes: set[str] = field(default_factory=set)
    touched: set[tuple[int, int]] = field(default_factory=set)
    row: int = 0
    column: int = 0
    front: str = ""
    back: str = ""
    rest: str = ""

    def feed(self, text: str) -> None:
        text = self.rest + text
        # A sequence may be cut off at the end of what was read.
        cut = re.search(r"\x1b(\[[0-9;?<>=]*)?$", text)
        self.rest = cut[0] if cut else ""
        for match in _TOKEN.finditer(text[: cut.start()] if cut else text):
            arguments, final, other, character = match.groups()
            if final:
                self._obey(arguments, final)
            elif other:
                raise AssertionError(f"unknown sequence ESC {other!r}")
            else:
                self._put(character)

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
        elif character != "\x03":  # an echoed Ctrl-C, which no terminal shows
            assert character.isprintable(), repr(character)
            front = self.front if character != " " else ""
            self.cells[self.row, self.column] = character, front, self.back
            self.touched.add((self.row, self.column))
            self.column += 1

    def _obey(self, arguments: str, final: str) -> None:
        if final == "H":
            row, column = arguments.split(";")
            self.row, self.column = int(row) - 1, int(column) - 1
        elif final == "J":
            assert arguments == "2"
            self.cells.clear()
        elif final in "hl":
            (self.modes.add if final == "h" else self.modes.discard)(arguments)
        elif final == "u":  # Kitty's keyboard: on, off, and a question without an answer here
            assert arguments in (">2", "<", "?")
            if arguments != "?":
                (self.modes.add if arguments == ">2" else self.modes.discard)("kitty")
        elif final == "m":
            self._style(arguments)
        else:
            raise AssertionError(f"unknown sequence ESC [ {arguments} {final}")

    def _style(self, arguments: str) -> None:
        for code in re.findall(r"[34]8;2;\d+;\d+;\d+|[34]8;5;\d+|\d+", arguments) or ["0"]:
            number = int(code.split(";")[0])
            if number == 0:
                self.front = self.back = ""
            elif number == 38 or 30 <= number <= 37 or 90 <= number <= 97:
                self.front = code
            elif number == 48 or 40 <= number <= 47 or 100 <= number <= 107:
                self.back = code
            else:
                assert number in (1, 2), code

    def cell(self, row: int, column: int) -> Cell:
        return self.cells.get((row, column), _BLANK)

    @property
    def lines(self) -> list[str]:
        return [
            "".join(self.cell(row, column)[0] for column in range(self.columns)).rstrip()
            for row in range(self.rows)
        ]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass
class Session:
    """A command on a terminal of its own.

    raw   : all that it wrote
    drawn : it is drawn on the screen, which knows the sequences of pictures alone
    """

    pid: int
    terminal: int
    screen: Screen
    raw: str = ""
    status: int | None = None
    drawn: bool = True
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")()
    )

    def read(self, seconds: float = 0.05) -> bool:
        """Read what there is. False: the other side is closed."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return True
        data = read_terminal(self.terminal)
        text = self.decoder.decode(data)
        self.raw += text
        if self.drawn:
            self.screen.feed(text)
        return bool(data)

    def until(self, condition: Callable[[Screen], bool], seconds: float = PATIENCE) -> None:
        """Read until the screen is so."""
        end = time.monotonic() + seconds
        while not condition(self.screen):
            assert time.monotonic() < end, self.screen.text
            assert self.read() or condition(self.screen), self.raw[-2000:]

    def press(self, keys: str) -> None:
        os.write(self.terminal, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.screen.columns, self.screen.rows = columns, rows
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self, seconds: float = PATIENCE) -> int:
        """Read to the end, and return the exit status."""
        end = time.monotonic() + seconds
        while self.status is None:
            assert time.monotonic() < end, self.screen.text
            if not self.read():
                self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was."""
        return self.screen.modes == {"?25", "?7"}


def echoes_controls(terminal: int) -> bool:
    """Return whether a terminal shows a typed Ctrl-C as ``^C``."""
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHOCTL)


@contextlib.contextmanager
def session(
    *arguments: object,
    cwd: Path,
    size: tuple[int, int] = (80, 24),
    env: Mapping[str, str | None] | None = None,
    drawn: bool = True,
) -> Iterator[Session]:
    """Run a command of fastpong on a terminal of so many columns and rows."""
    wanted = {"TERM": "xterm-256color", "COLORTERM": None, "NO_COLOR": None, "LC_ALL": "C.UTF-8"}
    environment = os.environ | {
        k: v for k, v in (wanted | dict(env or {})).items() if v is not None
    }
    for name in [n for n, v in (wanted | dict(env or {})).items() if v is None]:
        environment.pop(name, None)
    columns, rows = size
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(COMMAND[0], [*COMMAND, *map(str, arguments)], environment)
    started = Session(pid, terminal, Screen(columns, rows, modes={"?25", "?7"}), drawn=drawn)
    started.resize(columns, rows)
    try:
        yield started
    finally:
        if started.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            os.waitpid(pid, 0)
        os.close(terminal)
