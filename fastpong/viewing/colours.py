"""Colours as a terminal knows them, and characters that hold two pixels.

A character is two pixels, one above the other. With colours it is an upper half block. Without,
one of four characters, by whether a pixel differs from the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from fastpong.printable import printable

if TYPE_CHECKING:
    from rich.color import ColorSystem

Depth = Literal["truecolor", "256", "16", "none"]
"""How many colours a terminal has."""

RGB = tuple[int, int, int]

RESET = "\x1b[m"
_STEP = 4  # colours that are nearer to each other than this are one: fewer to convert


DIM: RGB = (120, 120, 120)
"""Of text that matters less."""


class Piece(NamedTuple):
    """A part of a line of text. No colour: the terminal's own."""

    text: str
    colour: RGB | None = None
    bold: bool = False


class Painter:
    """Write pixels and text in a terminal's colours.

    depth      : of the terminal
    ascii_only : it shows no half blocks
    """

    def __init__(self, depth: Depth, *, ascii_only: bool = False) -> None:
        self.depth, self.ascii_only = depth, ascii_only

    @property
    def blends(self) -> bool:
        """Return whether there are colours enough for mixed ones."""
        return self.depth == "truecolor"

    def cell(self, upper: RGB, lower: RGB, background: RGB) -> tuple[str, str]:
        """Return the style and the character of two pixels.

        background : the colour that is nothing, where there are no colours
        """
        if self.depth == "none":
            lit = (upper != background) + 2 * (lower != background)
            return "", (" '.:" if self.ascii_only else " ▀▄█")[lit]
        upper, lower = _coarse(upper), _coarse(lower)
        if self.ascii_only:
            mean = tuple((a + b) // 2 for a, b in zip(upper, lower, strict=True))
            return _style(self.depth, None, mean), " "
        if upper == lower:
            return _style(self.depth, None, upper), " "
        return _style(self.depth, upper, lower), "▀"

    def line(self, pieces: Sequence[Piece], width: int) -> str:
        """Return a line of text, cut or filled to ``width`` characters."""
        parts = []
        for piece in pieces:
            text = printable(piece.text)[:width]
            width -= len(text)
            parts.append(self._styled(text, piece.colour, piece.bold))
        return "".join(parts) + " " * width

    def bar(self, share: float, width: int, colour: RGB) -> list[Piece]:
        """Return a bar of ``width`` characters, filled by ``share`` from 0 to 1."""
        eighths = round(min(1.0, max(0.0, share)) * width * 8)
        if self.ascii_only:
            full = round(eighths / 8)
            return [Piece("#" * full, colour), Piece("-" * (width - full), DIM)]
        full, rest = divmod(eighths, 8)
        filled = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
        return [Piece(filled, colour), Piece("·" * (width - len(filled)), DIM)]

    def _styled(self, text: str, colour: RGB | None, bold: bool) -> str:
        style = _style(self.depth, colour, None) if colour and self.depth != "none" else ""
        style += "\x1b[1m" if bold else ""
        return f"{style}{text}{RESET}" if style and text else text


def _coarse(colour: RGB) -> RGB:
    red, green, blue = colour
    return red & -_STEP, green & -_STEP, blue & -_STEP


@lru_cache(1 << 14)
def _style(depth: Depth, front: RGB | None, back: RGB | None) -> str:
    """Return the control sequence of a foreground and a background."""
    codes = [] if front is None else _codes(depth, front, True)
    codes += [] if back is None else _codes(depth, back, False)
    return f"\x1b[{';'.join(codes)}m"


def _codes(depth: Depth, colour: RGB, foreground: bool) -> list[str]:
    from rich.color import Color

    return [*Color.from_rgb(*colour).downgrade(_system(depth)).get_ansi_codes(foreground)]


def _system(depth: Depth) -> ColorSystem:
    from rich.color import ColorSystem

    return {
        "truecolor": ColorSystem.TRUECOLOR,
        "256": ColorSystem.EIGHT_BIT,
        "16": ColorSystem.STANDARD,
    }[depth]
