"""The place of a game's field on the screen. A leaf module: kernels and games both import it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """Describe a screen, the field on it and the pixels that an agent sees.

    screen_shape : (height, width) of a screen
    top          : first row of the field, which spans the screen's width
    field_shape  : (height, width) of the field on the screen
    pixel_stride : every so many rows and columns of the field make a frame
    """

    screen_shape: tuple[int, int]
    top: int
    field_shape: tuple[int, int]
    pixel_stride: int

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Return (height, width) of a frame."""
        height, width = self.field_shape
        return height // self.pixel_stride, width // self.pixel_stride

    @property
    def pixels(self) -> int:
        """Return the number of pixels of a frame, D."""
        height, width = self.frame_shape
        return height * width


PONG_GEOMETRY = Geometry((210, 160), top=35, field_shape=(160, 160), pixel_stride=2)
"""Pong's: a frame is 80 x 80, D = 6,400."""
