"""Pictures and lines on a terminal, of which only the changes are written.

Everything here returns text with control sequences. Who has the terminal writes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastpong.viewing.colours import RESET, RGB, Painter
from fastpong.viewing.layout import Box
from fastpong.viewing.scaling import Scaler

CLEAR = "\x1b[m\x1b[2J"


def go(row: int, column: int) -> str:
    """Return the sequence that moves the cursor, from 0 on."""
    return f"\x1b[{row + 1};{column + 1}H"


class Picture:
    """Draw pictures into a box, two pixels a character.

    source  : rows and columns of the pictures, uint8 palette indices
    colours : (256, 3) uint8, of the palette
    """

    def __init__(
        self, box: Box, source: tuple[int, int], colours: NDArray[np.uint8], painter: Painter
    ) -> None:
        self.box, self._painter = box, painter
        size = 2 * box.rows, box.columns
        self._colours = colours
        self._scaler = Scaler(source, size, colours, blend=painter.blends)
        self._pixels = np.zeros((2 * box.rows, box.columns, 3), np.uint8)
        self._shown = np.full((box.rows, box.columns), None, object)
        self._begun = False

    def draw(self, picture: NDArray[np.uint8]) -> str:
        """Return what changes the terminal from the picture before to this one."""
        rows, columns, colours = self._scaler.update(picture)
        if self._begun:
            new = (self._pixels[rows, columns] != colours).any(axis=1)
            rows, columns, colours = rows[new], columns[new], colours[new]
        self._begun = True
        if not len(rows):
            return ""
        self._pixels[rows, columns] = colours
        cells = np.unique((rows >> 1) * self.box.columns + columns)
        cell_rows, cell_columns = np.divmod(cells, self.box.columns)
        pairs = self._pixels.reshape(self.box.rows, 2, self.box.columns, 3)
        found = [
            ((r, g, b), (r2, g2, b2))
            for (r, g, b), (r2, g2, b2) in pairs[cell_rows, :, cell_columns].tolist()
        ]
        return self._written(cell_rows.tolist(), cell_columns.tolist(), found)

    def _written(self, rows: list[int], columns: list[int], pairs: list[tuple[RGB, RGB]]) -> str:
        """Return the text of some cells, those that look as before left out."""
        parts: list[str] = []
        at, style = (-1, -1), None
        red, green, blue = self._colours[self._scaler.background].tolist()
        for row, column, (upper, lower) in zip(rows, columns, pairs, strict=True):
            cell = self._painter.cell(upper, lower, (red, green, blue))
            if cell == self._shown[row, column]:
                continue
            self._shown[row, column] = cell
            if at != (row, column):
                parts.append(go(self.box.top + row, self.box.left + column))
            if cell[0] != style:
                style = cell[0]
                parts.append(style)
            parts.append(cell[1])
            at = row, column + 1
        if style:
            parts.append(RESET)
        return "".join(parts)


class Lines:
    """Write lines into a box, those that changed. They are as long as the box is wide."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._shown: dict[int, str] = {}

    def draw(self, lines: Sequence[str]) -> str:
        """Return what changes the terminal to these lines. Those without room are left out."""
        parts = []
        gone = [" " * self.box.columns] * (len(self._shown) - len(lines))
        for row, line in enumerate([*lines, *gone][: self.box.rows]):
            if self._shown.get(row, "") != line:
                self._shown[row] = line
                parts.append(f"{go(self.box.top + row, self.box.left)}{line}")
        return "".join(parts)
