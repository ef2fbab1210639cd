"""Frames: cropped, thinned out, in two colours, and their differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array
from fastpong.geometry import BACKGROUND_REDS, PONG
from fastpong.oracle.arrays import to_float64

PIXELS = PONG.pixels


def _crop(screen: Array) -> Array:
    """Return the field, thinned out: (80, 80, ...)."""
    field = screen[PONG.top : PONG.top + PONG.height, PONG.left : PONG.left + PONG.width]
    return field[:: PONG.stride, :: PONG.stride]


def preprocess_frame(screen: Array, table: Array, out: Array) -> None:
    """Write ``table[screen]`` of the field, thinned out."""
    out[:] = np.take(table, _crop(screen)).ravel()


def preprocess_frame_rgb(frame: Array, out: Array) -> None:
    """Write 0 where red is a background's, else 1."""
    out[:] = np.isin(_crop(frame)[..., 0], BACKGROUND_REDS, invert=True).ravel()


def difference_frame(current: Array, previous: Array, out: Array) -> None:
    """Write f_t - f_{t-1}, int8 for u8 frames."""
    out[:] = np.subtract(to_float64(current), to_float64(previous)).astype(out.dtype)


def sparse_difference_frame(
    screen: Array, previous: Array, table: Array, indices: Array, signs: Array
) -> int:
    """Write a difference frame's non-zeros, return their number.

    indices[:n] u16 ascending, signs[:n] int8 in {-1, +1}. Element n of both may be overwritten.
    """
    difference = np.zeros(PIXELS)
    frames = np.zeros((2, PIXELS))
    preprocess_frame(screen, table, frames[0])
    preprocess_frame(previous, table, frames[1])
    difference_frame(frames[0], frames[1], difference)
    active = np.flatnonzero(difference)
    indices[: active.size] = active
    signs[: active.size] = difference[active]
    return int(active.size)


def dense_frames(
    indptr: Array, indices: Array, signs: Array, pixels: int = PIXELS
) -> NDArray[np.float64]:
    """Return sparse frames as dense ones, (T, D)."""
    steps = len(indptr) - 1
    frames = np.zeros((steps, pixels))
    row = np.repeat(np.arange(steps), indptr[1:] - indptr[:-1])
    first, last = int(indptr[0]), int(indptr[-1])
    np.add.at(frames, (row, indices[first:last].astype(np.intp)), signs[first:last])
    return frames
