"""Where a game's field lies on the screen, and how it becomes a frame.

A leaf module: kernels, oracle, emulator and agents take these numbers from here. Compiled code has
a copy, ``_geometry.pxd``, because constants help the compiler.
"""

from __future__ import annotations

from typing import NamedTuple


class Geometry(NamedTuple):
    """The field on the screen and the pixel stride of a frame.

    screen        : rows and columns of the emulator's screen
    top, left     : first row and column of the field
    height, width : of the field on the screen
    stride        : every how many rows and columns a pixel is taken into a frame
    """

    screen: tuple[int, int]
    top: int
    left: int
    height: int
    width: int
    stride: int

    @property
    def rows(self) -> int:
        """Return the rows of a frame."""
        return self.height // self.stride

    @property
    def columns(self) -> int:
        """Return the columns of a frame."""
        return self.width // self.stride

    @property
    def pixels(self) -> int:
        """Return the pixels of a frame."""
        return self.rows * self.columns


PONG = Geometry(screen=(210, 160), top=35, left=0, height=160, width=160, stride=2)
BACKGROUND_REDS = (0, 109, 144)
"""Red values of Pong's backgrounds in RGB screens."""
