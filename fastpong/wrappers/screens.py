"""The last two screens of a game, and the frame that an agent sees of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastpong.arrays import Array
from fastpong.console.palette import greys_of, palette_of
from fastpong.kernels import atari as declared
from fastpong.kernels.backend import get_backend


class Screens:
    """Hold two screens as ``read`` writes them, (1, rows, 160) or (1, rows, 160, 3).

    size : (rows, columns) of the frames
    """

    def __init__(
        self, read: Callable[[Array], Array], shape: tuple[int, ...], size: tuple[int, int]
    ) -> None:
        self._size, self._raw = size, get_backend().raw
        self._hold(read, shape)

    def _hold(self, read: Callable[[Array], Array], shape: tuple[int, ...]) -> None:
        self._read = read
        self.newer, self.older, self._spare = (np.zeros((1, *shape), np.uint8) for _ in range(3))

    def check_palette(self) -> None:
        """Compare the palette in use, if any, with what the game shows now."""

    def read_newer(self) -> None:
        """Read the newer of the two screens."""
        self._read(self.newer[0])

    def read_older(self) -> None:
        """Read the older one. The one before it is kept for ``pool_before``."""
        self.older, self._spare = self._spare, self.older
        self._read(self.older[0])

    def read_only(self) -> None:
        """Read one screen, which is both."""
        self._read(self.newer[0])
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
        self._read(self.newer[0])
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

    def __init__(self, ale: Any, size: tuple[int, int], compat: str) -> None:
        super().__init__(ale.getScreen, ale.getScreenDims(), size)
        self._compat, in_grey = declared.COMPATS.index(compat), compat == "gymnasium"
        self._ale, self._known, self._checked = ale, True, False
        self._table = (greys_of if in_grey else palette_of)(ale.getScreenDims()[0])
        self._shown = ale.getScreenGrayscale if in_grey else ale.getScreenRGB
        self._by_palette = self._raw[declared.ATARI_FRAME_PALETTE]
        self._as_shown = self._raw[declared.ATARI_FRAME if in_grey else declared.ATARI_FRAME_RGB]

    def check_palette(self) -> None:
        """Compare the palette with what the game shows now."""
        if self._checked:
            return
        self._checked, shown = True, self._shown()
        table = self._table if shown.ndim == 3 else self._table[:, 0]
        if not np.array_equal(table[self._ale.getScreen()], shown):
            self._known = False
            self._hold(self._shown, shown.shape)

    def pool_before(self) -> None:
        """Make the newer screen that of both before the older one was read.

        A pixel has the index of the two whose grey is the greater.
        """
        if not self._known:
            return super().pool_before()
        grey = self._table[:, 0]
        self.newer = np.where(grey[self.newer] >= grey[self._spare], self.newer, self._spare)

    def frame(self, pooled: bool = True) -> Array:
        """Return a frame of both screens, or of the newer one."""
        out = np.empty(self._size, np.uint8)
        newer, older = self.newer, self.older if pooled else self.newer
        if self._known:
            self._by_palette(newer, older, self._table, self._size, self._compat, out[None])
        else:
            self._as_shown(newer, older, self._size, self._compat, out[None])
        return out


class ColourScreens(Screens):
    """Make frames in colour.

    ale : of ale_py or of fastpong's console
    """

    def __init__(self, ale: Any, size: tuple[int, int]) -> None:
        super().__init__(ale.getScreenRGB, (*ale.getScreenDims(), 3), size)
        self._pool = self._raw[declared.MAX_POOL_FRAMES]
        self._resize = self._raw[declared.RESIZE_AREA]

    def frame(self, pooled: bool = True) -> Array:
        """Return a frame of both screens, or of the newer one."""
        out = np.empty((*self._size, 3), np.uint8)
        both = self.newer
        if pooled:
            both = np.empty_like(self.newer)
            self._pool(self.newer.reshape(-1), self.older.reshape(-1), both.reshape(-1))
        self._resize(both, self._size, out[None])
        return out
