"""Learning curves in characters, for a terminal, a pipe or a log.

A line is made of braille characters, two by four dots each. An episode's return is a faint dot, the
band of several seeds a shade. Without Unicode there are ``.``, ``:`` and ``*``, and several groups
have letters where there are no colours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from fastpong.arrays import Array, Doubles
from fastpong.viewing.chart import longest_x, score_ticks
from fastpong.viewing.colours import DIM, RGB, Painter, Piece
from fastpong.viewing.curves import PlotError, axis_scale
from fastpong.viewing.groups import Group

LEAST = 40
"""Columns that a chart needs."""

COLOURS: tuple[RGB, ...] = (
    (86, 180, 233), (230, 126, 34), (0, 178, 125), (214, 135, 181), (240, 200, 60), (90, 130, 255),
)  # fmt: skip
"""Okabe and Ito's, lighter, for dark and light terminals."""

_GUTTER = 5
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BRAILLE = 0x2800
_LETTER_EVERY = 6
_TICK_COLUMNS = 12  # columns from one number below the chart to the next, at least
_MARGIN = 0.8  # points above the best and below the worst return


@dataclass
class _Grid:
    """Hold the characters of a chart.

    lines         : (rows, columns) braille bits
    owner         : (rows, columns) of the group that drew a line last, -1 for none
    shade, dotted : (rows, columns) of the group whose band or episodes are there, -1 for none
    """

    rows: int
    columns: int
    lines: Array = field(init=False)
    owner: Array = field(init=False)
    shade: Array = field(init=False)
    dotted: Array = field(init=False)

    def __post_init__(self) -> None:
        size = self.rows, self.columns
        self.lines = np.zeros(size, np.int64)
        self.owner, self.shade, self.dotted = (np.full(size, -1) for _ in range(3))


@dataclass(frozen=True)
class _Scale:
    """Map numbers to dots.

    x goes from 0 to ``longest``, y from ``low`` to ``high``.
    """

    grid: _Grid
    longest: float
    low: float
    high: float

    @property
    def x(self) -> Doubles:
        """Return x in the middle of every column."""
        columns = 2 * self.grid.columns
        return (np.arange(columns, dtype=np.float64) + 0.5) * (self.longest / columns)

    def row(self, y: Doubles) -> Array:
        """Return rows of dots, from the top."""
        rows = 4 * self.grid.rows
        found: Array = np.floor((self.high - y) / (self.high - self.low) * rows).astype(np.int64)
        return np.clip(found, 0, rows - 1)

    def column(self, x: Doubles) -> Array:
        """Return columns of dots."""
        columns = 2 * self.grid.columns
        found: Array = np.floor(x / self.longest * columns).astype(np.int64)
        return np.clip(found, 0, columns - 1)


def draw_text(
    groups: Sequence[Group], axis: str, painter: Painter, *, width: int = 80, rows: int = 16,
    title: str = "", note: str = "",
) -> list[str]:  # fmt: skip
    """Draw groups of learning curves as lines of text.

    axis    : that the groups were made with
    painter : of the terminal
    width   : columns, >= 40
    rows    : of the chart itself
    note    : lines below the title

    Raises PlotError for a narrower terminal.
    """
    if width < LEAST:
        raise PlotError(
            f"expected a terminal of at least {LEAST} columns, got {width}; -o FILE makes a picture"
        )
    ticks = score_ticks(groups)
    grid = _Grid(rows, width - _GUTTER)
    scale = _Scale(grid, longest_x(groups), ticks[0] - _MARGIN, ticks[-1] + _MARGIN)
    for place, group in enumerate(groups):
        _draw_group(grid, scale, group, place)
    body = [
        painter.line([*_tick(row, scale, ticks, painter), *pieces], width)
        for row, pieces in enumerate(_pieces(grid, painter, len(groups) > 1))
    ]
    bold = painter.depth != "none"
    heading = [Piece(line, None, bold) for line in _wrapped(title, width) if title]
    heading += [Piece(line, DIM) for line in note.splitlines()]
    lines = [
        *(painter.line([piece], width) for piece in heading),
        *body,
        *_below(axis, scale, painter, width),
        *(painter.line(pieces, width) for pieces in _legend(groups, painter, width)),
    ]
    return [line.rstrip() for line in lines]


def _draw_group(grid: _Grid, scale: _Scale, group: Group, place: int) -> None:
    if band := group.band:
        top, bottom = (_columns_of(scale, band.x, edge) for edge in (band.high, band.low))
        for column in np.flatnonzero(np.isfinite(top)):
            first, last = scale.row(np.array([top[column], bottom[column]])) >> 2
            grid.shade[first : last + 1, column >> 1] = place
        _draw_line(grid, scale, _columns_of(scale, band.x, band.mean), place)
        return
    for curve in group.curves:
        grid.dotted[scale.row(curve.returns) >> 2, scale.column(curve.x) >> 1] = place
        _draw_line(grid, scale, _columns_of(scale, curve.x, curve.means), place)


def _columns_of(scale: _Scale, x: Doubles, y: Doubles) -> Doubles:
    """Return y at every column, NaN beside the curve."""
    found: Doubles = np.interp(scale.x, x, y)
    first, last = scale.column(x[[0, -1]])
    found[:first] = found[last + 1 :] = np.nan
    found[last] = y[-1]
    return found


def _draw_line(grid: _Grid, scale: _Scale, y: Doubles, place: int) -> None:
    there = np.flatnonzero(np.isfinite(y))
    rows = scale.row(y[there])
    before = rows[0]
    for column, row in zip(there, rows, strict=True):
        # From the row before on, so that steep lines have no gaps.
        first, last = sorted((row, before + np.sign(row - before)))
        for dot in range(first, last + 1):
            cell = dot >> 2, column >> 1
            grid.lines[cell] |= _BITS[dot & 3, column & 1]
            grid.owner[cell] = place
        before = row


def _pieces(grid: _Grid, painter: Painter, several: bool) -> list[list[Piece]]:
    """Return the rows of a chart, equal neighbours joined."""
    lettered = several and painter.depth == "none"
    found = []
    for row in range(grid.rows):
        cells = [_cell(grid, row, column, painter, lettered) for column in range(grid.columns)]
        found.append([
            Piece("".join(text for text, _ in run), colour)
            for colour, run in groupby(cells, key=lambda cell: cell[1])
        ])  # fmt: skip
    return found


def _cell(
    grid: _Grid, row: int, column: int, painter: Painter, lettered: bool
) -> tuple[str, RGB | None]:
    """Return a character and its colour."""
    place = int(grid.owner[row, column])
    if place >= 0:
        ascii_only = painter.ascii_only
        if lettered and (ascii_only or column % _LETTER_EVERY == place % _LETTER_EVERY):
            return _letter(place), None
        braille = chr(_BRAILLE + int(grid.lines[row, column]))
        return "*" if ascii_only else braille, _colour(place)
    if (place := int(grid.shade[row, column])) >= 0:
        return ":" if painter.ascii_only else "░", _faint(_colour(place))
    if (place := int(grid.dotted[row, column])) >= 0:
        return "." if painter.ascii_only else "·", _faint(_colour(place))
    return " ", None


def _letter(place: int) -> str:
    return chr(ord("a") + place % 26)


def _colour(place: int) -> RGB:
    return COLOURS[place % len(COLOURS)]


def _faint(colour: RGB) -> RGB:
    red, green, blue = ((part + grey) // 2 for part, grey in zip(colour, DIM, strict=True))
    return red, green, blue


def _tick(row: int, scale: _Scale, ticks: Sequence[int], painter: Painter) -> list[Piece]:
    """Return a row's left edge, with its tick."""
    edge = ("|", "+") if painter.ascii_only else ("│", "┤")
    for tick in ticks:
        if int(scale.row(np.array([float(tick)]))[0]) >> 2 == row:
            return [Piece(f"{f'{tick:+d}' if tick else '0':>3} {edge[1]}", DIM)]
    return [Piece(f"    {edge[0]}", DIM)]


def _below(axis: str, scale: _Scale, painter: Painter, width: int) -> list[str]:
    """Return the x axis: its line, numbers and label."""
    divisor, label = axis_scale(axis, scale.longest)
    columns = scale.grid.columns
    line = "+" if painter.ascii_only else "└"
    dash = "-" if painter.ascii_only else "─"
    numbers = [" "] * (width + 12)
    longest = scale.longest / divisor
    for tick in round_ticks(longest, columns // _TICK_COLUMNS):
        text = short_number(tick)
        middle = _GUTTER + int(min(tick / longest * columns, columns - 1))
        start = min(max(_GUTTER, middle - len(text) // 2), width - len(text))
        numbers[start : start + len(text)] = text
    texts = [
        f"    {line}{dash * columns}",
        "".join(numbers)[:width].rstrip(),
        " " * _GUTTER + f"{label:^{columns}}".rstrip(),
    ]
    return [painter.line([Piece(text, DIM)], width) for text in texts]


def round_ticks(longest: float, most: int) -> list[float]:
    """Return round numbers from 0 on.

    They are multiples of 1, 2, 2.5 or 5 times a power of ten.

    longest : the last one at most, > 0
    most    : of them besides 0, >= 1
    """
    power = 10.0 ** math.floor(math.log10(longest / most))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if longest / (power * n) < most + 1e-9)
    return [step * n for n in range(int(longest / step + 1e-9) + 1)]


def short_number(value: float) -> str:
    """Return a number in three digits, as in 1.25M."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def _legend(groups: Sequence[Group], painter: Painter, width: int) -> list[list[Piece]]:
    """Return each group's mark, last mean and name."""
    found, plain = [], painter.depth == "none"
    for place, group in enumerate(groups):
        mark = "*" if painter.ascii_only else "━━"
        if len(groups) > 1 and plain:
            mark = _letter(place)
        last = group.band.mean[-1] if group.band else np.mean([c.means[-1] for c in group.curves])
        pieces = [Piece(f"{mark} ", _colour(place)), Piece(f"{last:+6.2f} ", None, not plain)]
        left = sum(len(piece.text) for piece in pieces)
        first, *others = _wrapped(group.label, width - left)
        found.append([*pieces, Piece(first)])
        found += [[Piece(" " * left + line)] for line in others]
    return found


def _wrapped(text: str, width: int) -> list[str]:
    """Return a name in lines, broken behind spaces, dashes and underlines, else anywhere."""
    lines = [""]
    for word in re.findall(r"[^\s_-]*[\s_-]*", text):
        if len(lines[-1]) + len(word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines if line.strip()] or [""]
