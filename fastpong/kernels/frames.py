"""Frames: the field of a screen in two colours, and their differences."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels.arguments import F32, F64, FLOAT, I8, U8, U16, In, Out
from fastpong.kernels.checks import parts
from fastpong.kernels.parts import PIXELS, SCREEN, TABLE, any_bytes, bits
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Kernel

PREPROCESS_FRAME = Kernel(
    "preprocess_frame",
    "frames",
    (In("frame", U8, SCREEN, None, any_bytes), TABLE, Out("out", (F32, F64, U8), (PIXELS,))),
    exact=True,
)
PREPROCESS_FRAME_RGB = Kernel(
    "preprocess_frame_rgb",
    "frames",
    (In("frame", U8, (*SCREEN, 3), None, any_bytes), Out("out", (F32, F64, U8), (PIXELS,))),
    exact=True,
    public="preprocess_frame",
)
DIFFERENCE_FRAME = Kernel(
    "difference_frame",
    "frames",
    (
        In("current", FLOAT, ("D",), None, bits),
        In("previous", FLOAT, ("D",), None, bits),
        Out("out", FLOAT, ("D",), aliases=("current", "previous")),
    ),
    {"": {"D": 40}},
    exact=True,
)
DIFFERENCE_FRAME_U8 = Kernel(
    "difference_frame_u8",
    "frames",
    (
        In("current", U8, ("D",), None, bits),
        In("previous", U8, ("D",), None, bits),
        Out("out", I8, ("D",), aliases=("current", "previous")),
    ),
    {"": {"D": 40}},
    exact=True,
    raw="difference_frame",
    public="difference_frame",
)
SPARSE_DIFFERENCE_FRAME = Kernel(
    "sparse_difference_frame",
    "frames",
    (
        In("screen", U8, SCREEN, None, any_bytes),
        In("previous", U8, SCREEN, None, any_bytes),
        TABLE,
        Out("indices", U16, (PIXELS,)),
        Out("signs", I8, (PIXELS,)),
    ),
    exact=True,
)


class Frames(Runner):
    """The part of a ``Backend`` that this family adds."""

    def preprocess_frame(
        self, frame: Array, table: Array | None = None, out: Array | None = None
    ) -> Array:
        """Crop, thin out and binarize a screen.

            f[80 r + c] = 1 if the pixel at screen row 35 + 2r, column 2c is foreground, else 0

        frame : (210, 160, 3) uint8 RGB: background is a red value of 0, 109 or 144, or
                (210, 160) uint8 palette indices: background is what ``table`` maps to 0
        table : (256,) uint8 of 0 and 1, for palette indices only
        out   : (6400,) uint8, float32 or float64, a new float32 array by default

        Exact.
        """
        if isinstance(frame, np.ndarray) and frame.ndim == 3:
            if table is not None:
                raise TypeError("table: expected None with an RGB frame, got an array")
            return self._run_one(PREPROCESS_FRAME_RGB, frame, out)
        return self._run_one(PREPROCESS_FRAME, frame, table, out)

    def difference_frame(
        self, current: Array, previous: Array | None, out: Array | None = None
    ) -> Array:
        """Return the difference of two frames.

            x_t = f_t - f_{t-1},   0 for an episode's first frame

        current  : (D,) uint8, float32 or float64, a preprocessed frame
        previous : (D,) of the same dtype, or None on the first step
        out      : (D,) of the same dtype (int8 for uint8 frames), may be one of the inputs

        Exact.
        """
        previous = current if previous is None else previous
        if isinstance(current, np.ndarray) and current.dtype == np.uint8:
            return self._run_one(DIFFERENCE_FRAME_U8, current, previous, out)
        return self._run_one(DIFFERENCE_FRAME, current, previous, out)

    def sparse_difference_frame(
        self,
        screen: Array,
        previous: Array | None,
        table: Array,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Preprocess two palette screens, return their differences.

        screen   : (210, 160) uint8 palette indices, as ``ALEInterface.getScreen`` gives them
        previous : the screen of the step before, or None on the first step
        table    : (256,) uint8, 0 for background and 1 for foreground
        out      : buffers (indices, signs), (6400,) uint16 and (6400,) int8, or None

        Returns (indices, signs), both (n,): the pixels in rising order, and +1 where one became
        foreground, -1 where it ceased to be. Views of ``out``, whose next element may have been
        overwritten. Exact.
        """
        previous = screen if previous is None else previous
        n, (indices, signs) = self._run_raw(
            SPARSE_DIFFERENCE_FRAME, screen, previous, table, *parts("out", out, 2)
        )
        return indices[:n], signs[:n]
