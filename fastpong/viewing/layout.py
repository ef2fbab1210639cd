"""Places on a terminal: the picture, the text and the difference frame."""

from __future__ import annotations

from dataclasses import dataclass

ASPECT = 4 / 3
"""Width of a game's picture by its height, as on a television. Half blocks are nearly square."""

LEAST = (24, 10)
"""Columns and rows that something can be shown in."""

_PANEL = (25, 34)  # least and most columns of the text beside the picture
_GAP = 2
_PREFERRED = 1.25  # text beside it, even if the picture is so much smaller
_BELOW = 4  # lines of text below the picture
_SEEN_LEAST, _SEEN_MOST = 7, 20  # rows of the difference frame


@dataclass(frozen=True)
class Box:
    """A part of the terminal.

    top, left     : its first row and column, from 0 on
    rows, columns : its size in characters
    """

    top: int
    left: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Layout:
    """Where everything is.

    seen   : place of the difference frame, None without room
    beside : the text is beside the picture, else below
    """

    picture: Box
    text: Box
    seen: Box | None
    beside: bool


def arrange(columns: int, rows: int, text_lines: int) -> Layout | None:
    """Return the layout of a terminal that gives the largest picture.

    text_lines : that the text beside the picture needs

    Returns None for a terminal that is too small.
    """
    if columns < LEAST[0] or rows < LEAST[1]:
        return None
    beside = _fit(columns - _PANEL[0] - _GAP, rows)
    below = _fit(columns, rows - _BELOW)
    if _PREFERRED * beside.columns >= below.columns and rows >= text_lines:
        return _beside(columns, rows, beside, text_lines)
    left = (columns - below.columns) // 2
    picture = Box(0, left, below.rows, below.columns)
    return Layout(picture, Box(below.rows, 0, rows - below.rows, columns), None, False)


def _fit(columns: int, rows: int) -> Box:
    """Return the largest picture in so many columns and rows."""
    if columns < 1 or rows < 1:
        return Box(0, 0, 0, 0)
    width = min(columns, int(2 * rows * ASPECT))
    return Box(0, 0, max(1, min(rows, round(width / ASPECT / 2))), width)


def _beside(columns: int, rows: int, fit: Box, text_lines: int) -> Layout:
    spare = columns - fit.columns - _GAP
    width = min(spare, _PANEL[1])
    left = (spare - width) // 2
    top = min((rows - fit.rows) // 2, rows - text_lines)
    picture = Box(top, left, fit.rows, fit.columns)
    text = Box(top, left + fit.columns + _GAP, text_lines, width)
    side = min(fit.rows - text_lines, width // 2, _SEEN_MOST)
    if side < _SEEN_LEAST:
        return Layout(picture, text, None, True)
    return Layout(picture, text, Box(top + text_lines, text.left, side, 2 * side), True)
