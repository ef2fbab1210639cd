"""Frames: the field of a screen in two colours, and their differences."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array
from fastpong.geometry import PONG_GEOMETRY as PONG
from fastpong.kernels import checks
from fastpong.kernels.checks import FLOATS, I8, U8, U16, Checker
from fastpong.kernels.raw import Raw

PIXELS, SCREEN = PONG.pixels, PONG.screen_shape


class Frames:
    """The part of a ``Backend`` that this family adds."""

    raw: Raw

    def preprocess_frame(
        self, frame: Array, table: Array | None = None, out: Array | None = None
    ) -> Array:
        """Crop to the field, take every second row and column, set background 0 and the rest 1.

            f[80 r + c] = 1 if the pixel at screen row 35 + 2r, column 2c is foreground, else 0

        frame : (210, 160, 3) uint8 RGB: background is a red value of 0, 109 or 144; or
                (210, 160) uint8 palette indices: background is what ``table`` maps to 0
        table : (256,) uint8 of 0 and 1, for palette indices only
        out   : (6400,) uint8, float32 or float64; a new float32 array by default

        Exact.
        """
        check = Checker()
        rgb = isinstance(frame, np.ndarray) and frame.ndim == 3
        frame = check.input("frame", frame, U8, (*SCREEN, 3) if rgb else SCREEN)
        out = check.output("out", out, (*FLOATS, *U8), (PIXELS,))
        checks.no_overlap({"out": out}, {"frame": frame})
        if rgb and table is not None:
            raise TypeError("table: expected None with an RGB frame, got an array")
        if rgb:
            self.raw.frames.preprocess_frame_rgb(frame, out)
        else:
            table = checks.table(table)
            checks.no_overlap({"out": out}, {"table": table})
            self.raw.frames.preprocess_frame(frame, table, out)
        return out

    def difference_frame(
        self, current: Array, previous: Array | None, out: Array | None = None
    ) -> Array:
        """Return x_t = f_t - f_{t-1}, and zeros for an episode's first frame.

        current  : (D,) uint8, float32 or float64, a preprocessed frame
        previous : (D,) of the same dtype, or None on the first step
        out      : (D,) of the same dtype (int8 for uint8 frames); may be one of the inputs

        Exact.
        """
        check = Checker()
        current = check.input("current", current, (*FLOATS, *U8), ("D",))
        if previous is None:
            previous = current
        kinds = (current.dtype,)
        previous = check.input("previous", previous, kinds, ("D",))
        out = check.output("out", out, I8 if current.dtype == np.uint8 else kinds, ("D",))
        checks.same_or_separate("out", out, "current", current)
        checks.same_or_separate("out", out, "previous", previous)
        self.raw.frames.difference_frame(current, previous, out)
        return out

    def sparse_difference_frame(
        self,
        screen: Array,
        previous: Array | None,
        table: Array,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Preprocess two palette screens and return only where they differ, in one pass.

        screen   : (210, 160) uint8 palette indices, as ``ALEInterface.getScreen`` gives them
        previous : the screen of the step before, or None on the first step
        table    : (256,) uint8, 0 for background and 1 for foreground
        out      : buffers (indices, signs), (6400,) uint16 and (6400,) int8, or None

        Returns (indices, signs), both (n,): the pixels in rising order, and +1 where one became
        foreground, -1 where it ceased to be. Views of ``out``, whose next element may have been
        overwritten. Exact.
        """
        check = Checker()
        screen = check.input("screen", screen, U8, SCREEN)
        previous = screen if previous is None else check.input("previous", previous, U8, SCREEN)
        first, second = checks.pair("out", out)
        indices = check.output("indices", first, U16, (PIXELS,))
        signs = check.output("signs", second, I8, (PIXELS,))
        table = checks.table(table)
        checks.no_overlap(
            {"indices": indices, "signs": signs},
            {"screen": screen, "previous": previous, "table": table},
        )
        n = self.raw.frames.sparse_difference_frame(screen, previous, table, indices, signs)
        return indices[:n], signs[:n]
