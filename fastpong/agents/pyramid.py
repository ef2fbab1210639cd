"""Cells of several sizes, the inputs of rollout agents.

The field, 160x160 pixels or every second row and column of them, is cut into base cells. An input
is the number of active pixels in one, of the frame (channel 0), of its difference to the frame
before (channel 1), of the frame before to its own predecessor (channel 2) and so on. Each base
cell also feeds the coarser cells that it lies in, so that what is learned at one place serves its
neighbourhood:

    z = sum_i x_i (W_i + sum_l s_l W_{parent_l(i)}) = sum_i x_i E_i

The effective rows E are all that playing needs. A gradient by E is one by W too: that of a coarse
row is s_l times the sum over its base cells. So the weights W are nowhere stored. An optimizer has
moments for all rows, and E takes the steps of a base row and of its parents together.

Pong upside down is Pong with its two actions exchanged. ``mirror`` maps a row to that of its mirror
image, the field's first row to its last.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpong.geometry import PONG
from fastpong.printable import brief

MAX_INPUTS = 1 << 16
"""As many as uint16 can number."""
_MOST_LEVELS = 16


class Level(NamedTuple):
    """Describe coarser cells: size in pixels, scale of weights."""

    height: int
    width: int
    scale: float


class Pyramid:
    """Number the rows, those of base cells first.

    cell_size     : pixels along a side of a base cell, a divisor of the field's side up to 10
    levels        : the coarser cells, multiples of ``cell_size``. At the right edge of the field
                    they may be cut short. From top to bottom they fit, because of the mirror
    last_action   : two more rows, for LEFT and RIGHT, exchanged in the mirror
    pixel_stride  : 2 for every second row and column of the screen, 1 for all
    frame_history : channels of earlier differences

    side    : base cells along a side, S
    base    : B = (2 + frame_history) S S, channel by channel, row by row (+ 2)
    rows    : R
    mirror  : (B,) int32
    parents : (levels, B) int32, -1 for none
    scales  : (levels,) float64

    Raises ValueError where cells do not fit into the field or each other.
    """

    def __init__(
        self, cell_size: int, levels: tuple[Level, ...], last_action: bool, pixel_stride: int = 2,
        frame_history: int = 0,
    ) -> None:  # fmt: skip
        field = PONG.height // pixel_stride
        if not 1 <= cell_size <= 10 or field % cell_size:
            raise ValueError(f"cell_size: expected a divisor of {field} up to 10, got {cell_size}")
        self.cell_size, self.levels, self.last_action = cell_size, levels, last_action
        self.field, self.side, self.channels = field, field // cell_size, 2 + frame_history
        places = self.side**2
        self.base = self.channels * places + 2 * last_action
        if self.base > MAX_INPUTS:
            raise ValueError(
                f"cell_size: expected at most {MAX_INPUTS} inputs, got {self.base}; "
                "take larger cells or a smaller frame_history"
            )
        row, column = np.divmod(np.arange(places), self.side)
        self.mirror = self._all((self.side - 1 - row) * self.side + column, places)
        if last_action:
            self.mirror[-2:] = self.base - 1, self.base - 2
        self.rows, parents = self.base, []
        for height, width, _ in levels:
            self._check(height, width)
            across = -(-field // width)
            cell = (row * cell_size // height) * across + column * cell_size // width
            count = field // height * across
            parents.append(self._all(self.rows + cell, count))
            self.rows += self.channels * count
        self.parents = np.array(parents, np.int32).reshape(len(levels), self.base)
        self.scales = np.array([level.scale for level in levels], np.float64)

    def image(
        self, indices: NDArray[np.uint16], counts: NDArray[np.int8], channel: int = 1
    ) -> NDArray[np.int8]:
        """Return a channel of one step's inputs as an image, (S, S)."""
        places = indices.astype(np.int64) - channel * self.side**2
        own = (places >= 0) & (places < self.side**2)
        image = np.zeros(self.side**2, np.int8)
        image[places[own]] = counts[own]
        return image.reshape(self.side, self.side)

    def _all(self, first: NDArray[np.int64], count: int) -> NDArray[np.int32]:
        """Return the rows of all channels, ``count`` apart.

        Those of the last action are -1.
        """
        rows = np.full(self.base, -1, np.int32)
        rows[: self.channels * len(first)] = np.concatenate(
            [first + channel * count for channel in range(self.channels)]
        )
        return rows

    def _check(self, height: int, width: int) -> None:
        if height < 1 or width < 1 or height % self.cell_size or width % self.cell_size:
            raise ValueError(
                f"coarse_cells: expected cells of multiples of {self.cell_size} pixels, "
                f"got {height}x{width}"
            )
        if width > self.field:
            raise ValueError(f"coarse_cells: expected widths up to {self.field}, got {width}")
        if self.field % height:
            raise ValueError(
                f"coarse_cells: expected heights that divide {self.field}, got {height}"
            )


def parse_levels(text: str) -> tuple[Level, ...]:
    """Read levels such as ``4x4:0.35 8x8:0.35``.

    Raises ValueError for other text. Empty text has no levels.
    """
    found = []
    words = text.split()
    if len(words) > _MOST_LEVELS:
        raise ValueError(f"coarse_cells: expected up to {_MOST_LEVELS} sizes, got {len(words)}")
    for word in words:
        size, _, scale = word.partition(":")
        height, _, width = size.partition("x")
        try:
            level = Level(int(height), int(width), float(scale))
        except ValueError as error:
            raise ValueError(
                f"coarse_cells: expected HEIGHTxWIDTH:SCALE, as in 4x4:0.35, got {brief(word)}"
            ) from error
        if not 0 < level.scale < 1e3:
            raise ValueError(f"coarse_cells: expected scales > 0, below 1000, got {brief(word)}")
        found.append(level)
    return tuple(found)


def mark_seen(tree: Pyramid, indices: NDArray[np.uint16], seen: NDArray[np.uint8]) -> None:
    """Mark the rows that inputs reach.

    Those are their own, their mirror images' and the parents of both.
    """
    lit = np.zeros(tree.base, bool)
    lit[indices] = True
    lit[tree.mirror[np.flatnonzero(lit)]] = True
    seen[: tree.base][lit] = 1
    above = tree.parents[:, lit]
    seen[above[above >= 0]] = 1
