"""The last two screens of a game, and the frame that an agent sees of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastpong import kernels
from fastpong.arrays import Array
from fastpong.console.palette import greys_of, palette_of
from fastpong.wrappers.games import Ale


class Screens:
    """Hold two screens as ``read`` writes them, (rows, 160) or (rows, 160, 3).

    size : (rows, columns) of the frames
    """

    def __init__(
        self, read: Callable[[Array], Array], shape: tuple[int, ...], size: tuple[int, int]
    ) -> None:
        self._size = size
        self._hold(read, shape)

    def _hold(self, read: Callable[[Array], Array], shape: tuple[int, ...]) -> None:
        self._read = read
        self.newer, self.older, self._spare = np.zeros((3, *shape), np.uint8)

    def check_palette(self) -> None:
        """Compare the palette in use, if any, with what the game shows now."""

    def read_newer(self) -> None:
        """Read the newer of the two screens."""
        self._read(self.newer)

    def read_older(self) -> None:
        """Read the older one. The one before it is kept for ``pool_before``."""
        self.older, self._spare = self._spare, self.older
        self._read(self.older)

    def read_only(self) -> None:
        """Read one screen, which is both."""
        self._read(self.newer)
        self.older[...] = self.newer

    def pool_before(self) -> None:
        """Make the newer screen that of both before the older one was read."""
        np.maximum(self.newer, self._spare, out=self.newer)

    def frame(self, pooled: bool = True) -> Array:
        """Return a frame of both screens, or of the newer one."""
        raise NotImplementedError

    def frame_of_now(self) -> Array:
        """Return a frame of what the game shows. The two screens stay as they are."""
        self.newer, self._spare = self._spare, self.newer
        self._read(self.newer)
        frame = self.frame(pooled=False)
        self.newer, self._spare = self._spare, self.newer
        return frame


class GreyScreens(Screens):
    """Make grey frames of palette indices.

    ale    : of ale_py or of fastpong's console
    compat : of ``kernels.atari_frame``

    ALE gives out no palette. Its colours are known (console.palette), and compared with what ALE
    shows at the first reset. Should they ever differ, greys or colours are read in their place.
    """

    def __init__(self, ale: Ale, size: tuple[int, int], compat: str) -> None:
        super().__init__(ale.getScreen, ale.getScreenDims(), size)
        self._compat, in_grey = compat, compat == "gymnasium"
        self._ale, self._checked = ale, False
        self._table = (greys_of if in_grey else palette_of)(ale.getScreenDims()[0])
        self._palette: Array | None = self._table
        self._shown = ale.getScreenGrayscale if in_grey else ale.getScreenRGB

    def check_palette(self) -> None:
        """Compare the palette with what the game shows now."""
        if self._checked:
            return
        self._checked, shown = True, self._shown()
        table = self._table if shown.ndim == 3 else self._table[:, 0]
        if not np.array_equal(table[self._ale.getScreen()], shown):
            self._palette = None
            self._hold(self._shown, shown.shape)

    def pool_before(self) -> None:
        """Make the newer screen that of both before the older one was read.

        A pixel has the index of the two whose grey is the greater.
        """
        if self._palette is None:
            return super().pool_before()
        grey = self._table[:, 0]
        self.newer = np.where(grey[self.newer] >= grey[self._spare], self.newer, self._spare)

    def frame(self, pooled: bool = True) -> Array:
        """Return a frame of both screens, or of the newer one."""
        older = self.older if pooled else None
        return kernels.atari_frame(self.newer, older, self._palette, self._size, self._compat)


class ColourScreens(Screens):
    """Make frames in colour.

    ale : of ale_py or of fastpong's console
    """

    def __init__(self, ale: Ale, size: tuple[int, int]) -> None:
        super().__init__(ale.getScreenRGB, (*ale.getScreenDims(), 3), size)

    def frame(self, pooled: bool = True) -> Array:
        """Return a frame of both screens, or of the newer one."""
        both = kernels.max_pool_frames(self.newer, self.older) if pooled else self.newer
        return kernels.resize_area(both, self._size)
