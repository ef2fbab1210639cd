"""Frames, compiled by Numba."""

from __future__ import annotations

import numpy as np

from fastpong.arrays import Array
from fastpong.geometry import PONG
from fastpong.kernels.numba.cache import I8, U8, U16, helper, kernel, reads, writes

TOP, WIDTH = PONG.top, PONG.columns


@kernel(2, lambda F: (reads(U8, 2), reads(U8, 1), writes(F, 1)))
def preprocess_frame(screen: Array, table: Array, out: Array) -> None:
    """Write ``table[screen]`` of the field, thinned out."""
    for row in range(WIDTH):
        for column in range(WIDTH):
            out[row * WIDTH + column] = table[screen[TOP + 2 * row, 2 * column]]


@kernel(1, lambda F: (reads(U8, 3), writes(F, 1)))
def preprocess_frame_rgb(frame: Array, out: Array) -> None:
    """Write 0 where red is 0, 109 or 144."""
    for row in range(WIDTH):
        for column in range(WIDTH):
            red = frame[TOP + 2 * row, 2 * column, 0]
            # & and not `and`: without branches the loop is vectorised.
            out[row * WIDTH + column] = (red != 0) & (red != 109) & (red != 144)


@kernel(0, lambda F: (reads(F, 1), reads(F, 1), writes(I8 if F == U8 else F, 1)))
def difference_frame(current: Array, previous: Array, out: Array) -> None:
    """Write f_t - f_{t-1}, int8 for u8 frames."""
    for d in range(len(out)):
        out[d] = current[d] - previous[d]


@helper
def encode(
    screen: Array, previous: Array, table: Array, indices: Array, signs: Array, start: int
) -> int:
    """Write two screens' difference, return where it ends."""
    n = start
    for row in range(WIDTH):
        y = TOP + 2 * row
        # Most rows are as they were, and comparing bytes is vectorised, looking them up is not.
        changed = np.uint8(0)
        for x in range(2 * WIDTH):
            changed = np.uint8(changed | (screen[y, x] ^ previous[y, x]))
        if changed == 0:
            continue
        for column in range(WIDTH):
            now, before = table[screen[y, 2 * column]], table[previous[y, 2 * column]]
            if now != before:
                indices[n] = row * WIDTH + column
                signs[n] = 1 if now > before else -1
                n += 1
    return n


@kernel(0, lambda F: (reads(U8, 2), reads(U8, 2), reads(U8, 1), writes(U16, 1), writes(I8, 1)))
def sparse_difference_frame(
    screen: Array, previous: Array, table: Array, indices: Array, signs: Array
) -> int:
    """Write a difference frame's non-zeros, return their number.

    indices[:n] u16 ascending, signs[:n] int8 in {-1, +1}. The rest of both is left alone.
    """
    return int(encode(screen, previous, table, indices, signs, 0))
