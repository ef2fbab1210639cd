"""Make the pictures of docs/watching.md: a terminal, drawn as tmux shows it.

    python benchmarks/terminal_pictures.py -o docs/figures

trains the recipe pong with --watch for train-watch.png, and plays pretrained weights for play.png.
Needs tmux, Pillow and the font DejaVu Sans Mono. Nothing else should run meanwhile: the first
picture shows the speed.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import fastpong_command, plain_environment

CELL = 8, 16
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"
INK, PAPER = (204, 204, 204), (12, 12, 12)
SECONDS = 1800.0

RGB = tuple[int, int, int]
_BASIC: dict[int, RGB] = {
    0: (12, 12, 12), 1: (205, 49, 49), 2: (13, 188, 121), 3: (229, 229, 16),
    4: (36, 114, 200), 5: (188, 63, 188), 6: (17, 168, 205), 7: (204, 204, 204),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Hold a character of a terminal with its colours."""

    text: str
    ink: RGB
    paper: RGB


class Tmux:
    """Run a command in a terminal of tmux's. A context manager, which ends it."""

    def __init__(self, command: list[str], columns: int, rows: int, directory: Path) -> None:
        self._socket = str(directory / f"tmux-{rows}")  # an old server may still end
        shell = f"{shlex.join(command)}; sleep 60"
        self._tell("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                   "-c", str(directory), shell)  # fmt: skip

    def __enter__(self) -> Tmux:
        return self

    def __exit__(self, *_: object) -> None:
        self._tell("kill-server")

    def press(self, key: str) -> None:
        """Press a key."""
        self._tell("send-keys", key)

    def lines(self) -> list[str]:
        """Return what it shows, with the sequences of colours."""
        return self._tell("capture-pane", "-e", "-p", "-N").splitlines()

    def until(self, shown: Callable[[str], object]) -> list[str]:
        """Wait until it shows something, and return its lines."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            lines = self.lines()
            if shown(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))):
                return lines
            time.sleep(0.02)
        raise TimeoutError("\n".join(lines))

    def _tell(self, *words: str) -> str:
        environment = plain_environment() | {"COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        command = ["tmux", "-S", self._socket, *words]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout


def cells(lines: list[str]) -> Iterator[Cell | None]:
    """Yield the cells of all lines, None for the end of one. Colours go on in the next."""
    ink, paper, faint = INK, PAPER, False
    for codes, character in re.findall(r"\x1b\[([0-9;]*)m|(.|\n)", "\n".join(lines)):
        if character == "\n":
            yield None
            continue
        if character:
            shade = tuple((2 * a + b) // 3 for a, b in zip(ink, PAPER, strict=True))
            yield Cell(character, shade if faint else ink, paper)  # type: ignore[arg-type]
            continue
        numbers = [int(code or 0) for code in codes.split(";")]
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                ink, paper, faint = INK, PAPER, False
            elif number == 2:
                faint = True
            elif number in (38, 48):
                if numbers.pop(0) == 5:
                    colour = _of_256(numbers.pop(0))
                else:
                    colour = numbers.pop(0), numbers.pop(0), numbers.pop(0)
                ink, paper = (colour, paper) if number == 38 else (ink, colour)
            elif number == 39:
                ink = INK
            elif number == 49:
                paper = PAPER
            elif 30 <= number <= 37:
                ink = _BASIC[number - 30]
            elif 40 <= number <= 47:
                paper = _BASIC[number - 40]


def _of_256(number: int) -> RGB:
    """Return a colour of the table of 256."""
    if number < 16:
        return _BASIC[number % 8]
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return grey, grey, grey
    red, green, blue = (number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6
    steps = 0, 95, 135, 175, 215, 255
    return steps[red], steps[green], steps[blue]


def draw(lines: list[str], columns: int, path: Path) -> None:
    """Draw a terminal into a file."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = CELL
    image = Image.new("RGB", (columns * width, len(lines) * height), PAPER)
    brush, font = ImageDraw.Draw(image), ImageFont.truetype(FONT, 13)
    row = column = 0
    for cell in cells(lines):
        if cell is None:
            row, column = row + 1, 0
            continue
        x, y = column * width, row * height
        brush.rectangle((x, y, x + width - 1, y + height - 1), cell.paper)
        _draw_cell(brush, font, cell, x, y)
        column += 1
    image.quantize(64).save(path, optimize=True)


def _draw_cell(brush: Any, font: Any, cell: Cell, x: int, y: int) -> None:
    """Draw a character: parts of a block as they are, others by the font."""
    width, height = CELL
    number = ord(cell.text) - 0x2580
    if number == 0:
        brush.rectangle((x, y, x + width - 1, y + height // 2 - 1), cell.ink)
    elif 1 <= number <= 8:
        brush.rectangle((x, y + height - 2 * number, x + width - 1, y + height - 1), cell.ink)
    elif 9 <= number <= 15:
        brush.rectangle((x, y, x + 15 - number, y + height - 1), cell.ink)
    elif cell.text != " ":
        brush.text((x, y), cell.text, cell.ink, font)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    output = parser.parse_args().output.resolve()
    command = fastpong_command()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        train = [*command, "train", "--recipe", "pong", "--run-dir", "runs/first", "--watch"]
        with Tmux(train, 120, 28, home) as terminal:
            lines = terminal.until(
                lambda text: re.search(r"\b([6-9]\d|1\d\d) episodes, limit", text)
            )
            draw(lines, 120, output / "train-watch.png")
        with Tmux([*command, "play", "pong"], 120, 36, home) as terminal:
            draw(terminal.until(lambda text: "0:12" in text), 120, output / "play.png")


if __name__ == "__main__":
    main()
