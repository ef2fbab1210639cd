"""Frames of any Atari game, compiled by Numba.

Sizes, compats and paddings as in ``fastpong.kernels.atari``. Rows that equal the one above are not
resized again, as in the Cython kernel, but all sums are OpenCV's own in float32.
"""

from __future__ import annotations

import math

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels.numba.cache import I64, U8, helper, kernel, pack, reads, writes

GYMNASIUM, SB3, CLEANRL = range(3)
EPSILON = float(np.finfo(np.float64).eps)
SIZE = pack(I64, I64)


@kernel(0, lambda F: (reads(U8, 1), reads(U8, 1), writes(U8, 1)))
def max_pool_frames(frame: Array, previous: Array, out: Array) -> None:
    """Write the greater of each two bytes."""
    for i in range(len(out)):
        out[i] = max(frame[i], previous[i])


@helper
def grey_of(red: np.int64, green: np.int64, blue: np.int64, compat: int) -> np.int64:
    """Return the grey of a colour."""
    if compat == GYMNASIUM:
        return (2989 * red + 5870 * green + 1140 * blue + 5000) // 10000
    return (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15


@kernel(0, lambda F: (reads(U8, 2), I64, writes(U8, 1)))
def grayscale(colours: Array, compat: int, out: Array) -> None:
    """Write the greys of (n, 3) colours."""
    for i in range(len(out)):
        red, green, blue = np.int64(colours[i, 0]), np.int64(colours[i, 1]), np.int64(colours[i, 2])
        out[i] = grey_of(red, green, blue, compat)


# --- resizing -------------------------------------------------------------------------------------


@helper
def area_weights(before: int, after: int) -> tuple[Array, Array, Array]:
    """Return the first pixel of each cell, their number and their weights, as OpenCV does."""
    scale = 1.0 / (after / before)
    first, count = np.zeros(after, np.int64), np.zeros(after, np.int64)
    weights = np.zeros((after, before // after + 4), np.float32)
    for d in range(after):
        start = d * scale
        end = start + scale
        cell = min(scale, before - start)
        last = min(math.floor(end), before - 1)
        whole = min(math.ceil(start), last)
        k = 0
        first[d] = whole
        if whole - start > 1e-3:
            first[d] = whole - 1
            weights[d, k] = (whole - start) / cell
            k += 1
        for _ in range(whole, last):
            weights[d, k] = 1.0 / cell
            k += 1
        if end - last > 1e-3:
            weights[d, k] = min(min(end - last, 1.0), cell) / cell
            k += 1
        count[d] = k
    return first, count, weights


@helper
def as_above(frame: Array, y: int) -> bool:
    """Return whether a row equals the one above."""
    differ = np.uint8(0)
    for x in range(frame.shape[1]):
        differ |= frame[y, x] ^ frame[y - 1, x]
    return bool(differ == 0)


@helper
def to_byte(value: np.float32) -> int:
    """Round halves to even."""
    return int(min(max(np.rint(value), np.float32(0)), np.float32(255)))


@helper
def resize_areas(frame: Array, out: Array) -> None:
    """Write sums over parts of pixels, in float32."""
    left, wide, across_weights = area_weights(frame.shape[1], out.shape[1])
    top, high, down_weights = area_weights(frame.shape[0], out.shape[0])
    across = np.empty((frame.shape[0], out.shape[1]), np.float32)
    row = np.zeros(frame.shape[0], np.int64)
    for y in range(frame.shape[0]):
        if y > 0 and as_above(frame, y):
            row[y] = row[y - 1]
            continue
        row[y] = y
        for d in range(out.shape[1]):
            total = np.float32(0)
            for k in range(wide[d]):
                total += np.float32(frame[y, left[d] + k]) * across_weights[d, k]
            across[y, d] = total
    line = np.empty(out.shape[1], np.float32)
    for d in range(out.shape[0]):
        line[:] = 0
        for k in range(high[d]):
            source, weight = row[top[d] + k], down_weights[d, k]
            for x in range(out.shape[1]):
                line[x] += weight * across[source, x]
        for x in range(out.shape[1]):
            out[d, x] = to_byte(line[x])


@helper
def resize_boxes(frame: Array, out: Array) -> None:
    """Write means of boxes of pixels."""
    high, wide = frame.shape[0] // out.shape[0], frame.shape[1] // out.shape[1]
    share = np.float32(1) / np.float32(high * wide)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total = np.int64(0)
            for j in range(high):
                for k in range(wide):
                    total += np.int64(frame[y * high + j, x * wide + k])
            if high == 2 and wide == 2:
                out[y, x] = (total + 2) >> 2
            else:
                out[y, x] = to_byte(np.float32(total) * share)


@helper
def neighbours(before: int, after: int) -> tuple[Array, Array]:
    """Return the lower pixel of each output, and both weights in 2048ths."""
    low, weights = np.empty(after, np.int64), np.zeros((after, 2), np.int64)
    scale, inverse = 1.0 / (after / before), after / before
    for d in range(after):
        pixel = math.floor(d * scale)
        share = np.float32((d + 1) - (pixel + 1) * inverse)
        share = np.float32(0) if share <= 0 else share - np.float32(math.floor(share))
        if pixel >= before - 1:
            pixel, share = before - 1, np.float32(0)
        low[d] = pixel
        weights[d, 0] = np.int64(np.rint((np.float32(1) - share) * np.float32(2048)))
        weights[d, 1] = np.int64(np.rint(share * np.float32(2048)))
    return low, weights


@helper
def enlarge(frame: Array, out: Array) -> None:
    """Write sums of two neighbours along each axis, in fixed point of 11 bits."""
    left, right = neighbours(frame.shape[1], out.shape[1])
    top, down = neighbours(frame.shape[0], out.shape[0])
    for d in range(out.shape[0]):
        for x in range(out.shape[1]):
            total = 2
            for j in range(2):
                y = min(top[d] + j, frame.shape[0] - 1)
                after = min(left[x] + 1, frame.shape[1] - 1)
                pixel, other = np.int64(frame[y, left[x]]), np.int64(frame[y, after])
                line = pixel * right[x, 0] + other * right[x, 1]
                total += ((line >> 4) * down[d, j]) >> 16
            out[d, x] = total >> 2


@helper
def resize(frame: Array, out: Array) -> None:
    """Resize a frame as OpenCV does with INTER_AREA."""
    high = 1.0 / (out.shape[0] / frame.shape[0])
    wide = 1.0 / (out.shape[1] / frame.shape[1])
    if high < 1 or wide < 1:
        enlarge(frame, out)
    elif abs(high - np.rint(high)) < EPSILON and abs(wide - np.rint(wide)) < EPSILON:
        resize_boxes(frame, out)
    else:
        resize_areas(frame, out)


@kernel(0, lambda F: (reads(U8, 4), SIZE, writes(U8, 4)))
def resize_area(frame: Array, size: tuple[int, int], out: Array) -> None:
    """Resize (N, rows, columns, channels)."""
    resized = np.empty(size, np.uint8)
    for n in range(frame.shape[0]):
        for channel in range(frame.shape[3]):
            resize(np.ascontiguousarray(frame[n, :, :, channel]), resized)
            out[n, :, :, channel] = resized


# --- stacks and frames ----------------------------------------------------------------------------


@kernel(0, lambda F: (writes(U8, 4), reads(U8, 3), reads(U8, 1), I64))
def frame_stack_push(stack: Array, frame: Array, fresh: Array, padding: int) -> None:
    """Drop each stack's oldest frame, append one. padding: 0 repeats it, 1 is zeros."""
    last = stack.shape[1] - 1
    for n in range(stack.shape[0]):
        for k in range(last + 1):
            for i in range(stack.shape[2]):
                for j in range(stack.shape[3]):
                    if k == last:
                        stack[n, k, i, j] = frame[n, i, j]
                    elif fresh[n] == 0:
                        stack[n, k, i, j] = stack[n, k + 1, i, j]
                    else:
                        stack[n, k, i, j] = 0 if padding else frame[n, i, j]


@kernel(0, lambda F: (reads(U8, 3), reads(U8, 3), SIZE, I64, writes(U8, 3)))
def atari_frame(
    frame: Array, previous: Array, size: tuple[int, int], compat: int, out: Array
) -> None:
    """Make frames of (N, rows, columns) grey screens."""
    for n in range(frame.shape[0]):
        resize(np.maximum(frame[n], previous[n]), out[n])


@helper
def pooled_grey(one: Array, other: Array, compat: int) -> np.int64:
    """Return the grey of two pooled colours."""
    red, green, blue = np.int64(one[0]), np.int64(one[1]), np.int64(one[2])
    red2, green2, blue2 = np.int64(other[0]), np.int64(other[1]), np.int64(other[2])
    if compat == GYMNASIUM:
        return max(grey_of(red, green, blue, compat), grey_of(red2, green2, blue2, compat))
    return grey_of(max(red, red2), max(green, green2), max(blue, blue2), compat)


@helper
def grey_of_planes(planes: Array, out: Array) -> None:
    """Write the greys of resized colours."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            red, green, blue = planes[0, y, x], planes[1, y, x], planes[2, y, x]
            out[y, x] = grey_of(np.int64(red), np.int64(green), np.int64(blue), CLEANRL)


@kernel(0, lambda F: (reads(U8, 3), reads(U8, 3), reads(U8, 2), SIZE, I64, writes(U8, 3)))
def atari_frame_palette(
    frame: Array, previous: Array, palette: Array, size: tuple[int, int], compat: int, out: Array
) -> None:
    """Make frames of (N, rows, columns) screens of palette indices."""
    rows, columns = frame.shape[1:]
    greys = np.empty(256, np.uint8)
    for i in range(256):
        greys[i] = pooled_grey(palette[i], palette[i], compat)
    screen, planes = np.empty((rows, columns), np.uint8), np.empty((3, *size), np.uint8)
    for n in range(frame.shape[0]):
        for channel in range(3 if compat == CLEANRL else 1):
            for y in range(rows):
                for x in range(columns):
                    a, b = frame[n, y, x], previous[n, y, x]
                    if compat == CLEANRL:
                        screen[y, x] = max(palette[a, channel], palette[b, channel])
                    elif a == b:
                        screen[y, x] = greys[a]
                    else:
                        screen[y, x] = pooled_grey(palette[a], palette[b], compat)
            resize(screen, planes[channel] if compat == CLEANRL else out[n])
        if compat == CLEANRL:
            grey_of_planes(planes, out[n])


@kernel(0, lambda F: (reads(U8, 4), reads(U8, 4), SIZE, I64, writes(U8, 3)))
def atari_frame_rgb(
    frame: Array, previous: Array, size: tuple[int, int], compat: int, out: Array
) -> None:
    """Make frames of (N, rows, columns, 3) screens in colour."""
    rows, columns = frame.shape[1:3]
    screen, planes = np.empty((rows, columns), np.uint8), np.empty((3, *size), np.uint8)
    for n in range(frame.shape[0]):
        for channel in range(3 if compat == CLEANRL else 1):
            for y in range(rows):
                for x in range(columns):
                    if compat == CLEANRL:
                        screen[y, x] = max(frame[n, y, x, channel], previous[n, y, x, channel])
                    else:
                        screen[y, x] = pooled_grey(frame[n, y, x], previous[n, y, x], compat)
            resize(screen, planes[channel] if compat == CLEANRL else out[n])
        if compat == CLEANRL:
            grey_of_planes(planes, out[n])
