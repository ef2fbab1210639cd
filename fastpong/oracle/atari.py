"""Frames of any Atari game: pooled, grey, resized, stacked.

Resizing follows OpenCV in float32, sum by sum: the result of a tie depends on it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array

GYMNASIUM, SB3, CLEANRL = range(3)

Floats = NDArray[np.float32]
Weights = list[list[tuple[int, float]]]
"""For every output the pixels that it is made of, and their weights."""


def max_pool_frames(frame: Array, previous: Array, out: Array) -> None:
    """Write the greater of each two bytes."""
    out[...] = np.stack([frame, previous]).max(axis=0)


def grayscale(colours: Array, compat: int, out: Array) -> None:
    """Write the greys of (n, 3) colours."""
    out[...] = _grey(colours, compat)


def _grey(colours: Array, compat: int) -> Array:
    """Return the greys of (..., 3) colours."""
    if compat == GYMNASIUM:
        # Added from left to right, as ALE does. floor(x + 1/2): ALE rounds halves up.
        parts = colours * np.array([0.2989, 0.5870, 0.1140])
        return np.asarray(np.floor(parts[..., 0] + parts[..., 1] + parts[..., 2] + 0.5), np.uint8)
    weights = np.array([9798, 19235, 3735])  # of 2^15: OpenCV's fixed point
    return np.asarray((colours.astype(np.int64) @ weights + 2**14) // 2**15, np.uint8)


# --- resizing -------------------------------------------------------------------------------------


def resize_area(frame: Array, size: tuple[int, int], out: Array) -> None:
    """Resize (N, rows, columns, channels)."""
    for n in range(frame.shape[0]):
        for channel in range(frame.shape[3]):
            out[n, ..., channel] = _resize(frame[n, ..., channel], size)


def _resize(frame: Array, size: tuple[int, int]) -> Array:
    """Return a frame resized as OpenCV does with INTER_AREA."""
    # OpenCV inverts the quotient, and so decides by the rounding of both divisions.
    high, wide = (1 / (after / before) for before, after in zip(frame.shape, size, strict=True))
    if high < 1 or wide < 1:
        return _enlarge(frame, size)
    eps = np.finfo(np.float64).eps
    if abs(high - round(high)) < eps and abs(wide - round(wide)) < eps:
        return _boxes(frame, size)
    return _areas(frame, size)


def _boxes(frame: Array, size: tuple[int, int]) -> Array:
    """Return means of boxes of pixels."""
    high, wide = frame.shape[0] // size[0], frame.shape[1] // size[1]
    total = frame.reshape(size[0], high, size[1], wide).sum(axis=(1, 3), dtype=np.int64)
    if (high, wide) == (2, 2):
        return np.asarray((total + 2) // 4)  # halves up, and to even in all other boxes
    return _to_bytes(total.astype(np.float32) * (np.float32(1) / np.float32(high * wide)))


def _areas(frame: Array, size: tuple[int, int]) -> Array:
    """Return sums over parts of pixels, in float32."""
    rows, columns = (area_weights(*pair) for pair in zip(frame.shape, size, strict=True))
    across = _weighted(frame.T.astype(np.float32), columns).T
    return _to_bytes(_weighted(across, rows))


def _weighted(lines: Floats, weights: Weights) -> Floats:
    """Return weighted sums of lines, added one after the other."""
    sums = np.zeros((len(weights), lines.shape[1]), np.float32)
    for total, parts in zip(sums, weights, strict=True):
        for line, weight in parts:
            total += lines[line] * np.float32(weight)
    return sums


def area_weights(before: int, after: int) -> Weights:
    """Return the pixels in each cell of an axis, and the share of the cell that each has."""
    scale, weights = 1 / (after / before), []
    for d in range(after):
        start, end = d * scale, d * scale + scale
        cell = min(scale, before - start)
        last = min(math.floor(end), before - 1)
        first = min(math.ceil(start), last)
        cut = [(first - 1, (first - start) / cell)] if first - start > 1e-3 else []
        whole = [(s, 1 / cell) for s in range(first, last)]
        rest = [(last, min(end - last, 1, cell) / cell)] if end - last > 1e-3 else []
        weights.append(cut + whole + rest)
    return weights


def _enlarge(frame: Array, size: tuple[int, int]) -> Array:
    """Return sums of two neighbours along each axis, in fixed point of 11 bits."""
    (top, down), (left, right) = (
        _neighbours(*pair) for pair in zip(frame.shape, size, strict=True)
    )
    pixels = frame.astype(np.int64)
    across = pixels[:, left[0]] * right[0] + pixels[:, left[1]] * right[1]
    lines = [(across[top[k]] >> 4) * down[k][:, None] >> 16 for k in range(2)]
    return (lines[0] + lines[1] + 2) >> 2


def _neighbours(before: int, after: int) -> tuple[list[Array], list[Array]]:
    """Return the two pixels of each output, and their weights in 2048ths."""
    d = np.arange(after)
    low = np.floor(d * (1 / (after / before))).astype(np.int64)
    share = ((d + 1) - (low + 1) * (after / before)).astype(np.float32)
    share = np.where(share <= 0, np.float32(0), share - np.floor(share))
    share[low >= before - 1] = 0
    low = np.minimum(low, before - 1)
    weights = [np.rint(part * np.float32(2048)).astype(np.int64) for part in (1 - share, share)]
    return [low, np.minimum(low + 1, before - 1)], weights


def _to_bytes(values: Floats) -> Array:
    """Round halves to even."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


# --- stacks and frames ----------------------------------------------------------------------------


def frame_stack_push(stack: Array, frame: Array, fresh: Array, padding: int) -> None:
    """Drop each stack's oldest frame, append one. padding: 0 repeats it, 1 is zeros."""
    for n, new in enumerate(frame):
        kept = list(stack[n, 1:])
        if fresh[n]:
            kept = [np.zeros_like(new) if padding else new] * len(kept)
        stack[n] = np.array([*kept, new])[len(kept) + 1 - stack.shape[1] :]


def atari_frame(
    frame: Array, previous: Array, size: tuple[int, int], compat: int, out: Array
) -> None:
    """Make frames of (N, rows, columns) grey screens."""
    for n, pair in enumerate(zip(frame, previous, strict=True)):
        out[n] = _resize(np.maximum(*pair), size)


def atari_frame_palette(
    frame: Array, previous: Array, palette: Array, size: tuple[int, int], compat: int, out: Array
) -> None:
    """Make frames of (N, rows, columns) screens of palette indices."""
    atari_frame_rgb(palette[frame], palette[previous], size, compat, out)


def atari_frame_rgb(
    frame: Array, previous: Array, size: tuple[int, int], compat: int, out: Array
) -> None:
    """Make frames of (N, rows, columns, 3) screens in colour."""
    for n, pair in enumerate(zip(frame, previous, strict=True)):
        if compat == GYMNASIUM:
            out[n] = _resize(np.maximum(*(_grey(screen, compat) for screen in pair)), size)
        elif compat == SB3:
            out[n] = _resize(_grey(np.maximum(*pair), compat), size)
        else:
            pooled = np.maximum(*pair)
            planes = [_resize(pooled[..., channel], size) for channel in range(3)]
            out[n] = _grey(np.stack(planes, axis=-1), compat)
