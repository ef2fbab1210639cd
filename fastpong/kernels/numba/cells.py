"""Kernels of the cells network compiled by Numba.

The algorithm is that of ``cython/cells.pyx``, which explains it: sparse sums of rows, the rows'
steps made of their own and their parents'. np.float64() and not float(), which leaves a float32
what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numba import types

from fastpong.arrays import Array, Tuple
from fastpong.geometry import PONG
from fastpong.kernels.numba.cache import (
    F64,
    I8,
    I32,
    I64,
    SPARSE,
    U8,
    U16,
    Type,
    helper,
    kernel,
    pack,
    reads,
    writes,
)
from fastpong.kernels.numba.linear import sigmoid

TOP, FIELD = PONG.top, PONG.height
CSR = pack(*SPARSE)
TREE = pack(reads(I32, 1), reads(I32, 2), reads(F64, 1), reads(U8, 1))


def network_of(F: Type) -> Type:
    """Return the type of rows and units."""
    return pack(reads(F, 2), reads(F, 2))


@helper
def _encode_channel(
    screen: Array, previous: Array, table: Array, cell_size: int, pixel_stride: int, channel: int,
    out: Tuple, n: int,
) -> int:  # fmt: skip
    """Write the non-zero cells of a channel from n on and return the position after.

    Channel 0 is the frame, all others are differences.
    """
    indices, values = out
    side = FIELD // pixel_stride // cell_size
    for y in range(side):
        for x in range(side):
            count = 0
            for r in range(cell_size):
                row = TOP + pixel_stride * (y * cell_size + r)
                for c in range(cell_size):
                    column = pixel_stride * (x * cell_size + c)
                    count += table[screen[row, column]]
                    if channel > 0:
                        count -= table[previous[row, column]]
            if count != 0:
                indices[n], values[n] = (channel * side + y) * side + x, count
                n += 1
    return n


@kernel(
    0,
    lambda F: types.int64(
        reads(U8, 2), reads(U8, 2), reads(U8, 1), I64, I64, pack(writes(U16, 1), writes(I8, 1))
    ),
)
def encode_cells(
    screen: Array, previous: Array, table: Array, cell_size: int, pixel_stride: int, out: Tuple
) -> int:
    """Write the non-zero cells, return their number."""
    n = _encode_channel(screen, previous, table, cell_size, pixel_stride, 0, out, 0)
    return int(_encode_channel(screen, previous, table, cell_size, pixel_stride, 1, out, n))


@helper
def _one_forward(inputs: Tuple, t: int, network: Tuple, mirror: Array, hidden: Array) -> None:
    """Write relu(b + sum of value * row), upright and mirrored: (2, H)."""
    indptr, indices, values = inputs
    rows, units = network
    zero, size = rows.dtype.type(0), units.shape[1]
    for j in range(size):
        hidden[0, j] = hidden[1, j] = units[0, j]
    for i in range(indptr[t], indptr[t + 1]):
        d, value = indices[i], rows.dtype.type(values[i])
        e = mirror[d]
        for j in range(size):
            hidden[0, j] += value * rows[d, j]
        for j in range(size):
            hidden[1, j] += value * rows[e, j]
    for k in range(2):
        for j in range(size):
            hidden[k, j] = zero if hidden[k, j] < 0 else hidden[k, j]


@kernel(4, lambda F: (reads(I64, 1), CSR, network_of(F), reads(I32, 1), writes(F, 3)))
def cells_forward(
    order: Array, inputs: Tuple, network: Tuple, mirror: Array, hidden: Array
) -> None:
    """Write the hidden layer, upright and mirrored: (M, 2, H)."""
    for q in range(len(order)):
        _one_forward(inputs, order[q], network, mirror, hidden[q])


@helper
def _one_heads(hidden: Array, units: Array) -> tuple[float, float]:
    """Return log odds and value of one step, in interleaved sums."""
    zero = units.dtype.type(0)
    a0, a1, a2, a3 = zero, zero, zero, zero
    v0, v1, v2, v3 = zero, zero, zero, zero
    size = units.shape[1]
    for j in range(0, size - 3, 4):
        a0 += (hidden[0, j] - hidden[1, j]) * units[1, j]
        a1 += (hidden[0, j + 1] - hidden[1, j + 1]) * units[1, j + 1]
        a2 += (hidden[0, j + 2] - hidden[1, j + 2]) * units[1, j + 2]
        a3 += (hidden[0, j + 3] - hidden[1, j + 3]) * units[1, j + 3]
        v0 += (hidden[0, j] + hidden[1, j]) * units[2, j]
        v1 += (hidden[0, j + 1] + hidden[1, j + 1]) * units[2, j + 1]
        v2 += (hidden[0, j + 2] + hidden[1, j + 2]) * units[2, j + 2]
        v3 += (hidden[0, j + 3] + hidden[1, j + 3]) * units[2, j + 3]
    for j in range(size - size % 4, size):
        a0 += (hidden[0, j] - hidden[1, j]) * units[1, j]
        v0 += (hidden[0, j] + hidden[1, j]) * units[2, j]
    total = (a0 + a1) + (a2 + a3)
    return total + total, (v0 + v1) + (v2 + v3)


@kernel(0, lambda F: (reads(F, 3), reads(F, 2), pack(writes(F, 1), writes(F, 1))))
def cells_heads(hidden: Array, units: Array, out: Tuple) -> None:
    """Write log odds of RIGHT and value."""
    logit, value = out
    for q in range(len(logit)):
        logit[q], value[q] = _one_heads(hidden[q], units)


@helper
def _one_backward(
    inputs: Tuple, t: int, mirror: Array, hidden: Array, units: Array, du: float, dv: float,
    gradient: Array,
) -> None:  # fmt: skip
    """Add one step's gradient into rows and units."""
    indptr, indices, values = inputs
    own, size, kind = len(gradient) - 3, units.shape[1], units.dtype.type
    for j in range(size):
        h, g = hidden[0, j], hidden[1, j]
        up = (dv * units[2, j] + du * units[1, j]) * kind(h > 0)
        down = (dv * units[2, j] - du * units[1, j]) * kind(g > 0)
        gradient[own, j] += up + down
        gradient[own + 1, j] += du * (h - g)
        gradient[own + 2, j] += dv * (h + g)
    for i in range(indptr[t], indptr[t + 1]):
        d, value = indices[i], kind(values[i])
        e = mirror[d]
        for j in range(size):
            up = (dv * units[2, j] + du * units[1, j]) * kind(hidden[0, j] > 0)
            gradient[d, j] += value * up
        for j in range(size):
            down = (dv * units[2, j] - du * units[1, j]) * kind(hidden[1, j] > 0)
            gradient[e, j] += value * down


@kernel(
    3,
    lambda F: (
        *(reads(I64, 1), CSR, TREE, reads(F, 3), reads(F, 2)),
        *(pack(reads(F, 1), reads(F, 1)), pack(writes(F, 2), writes(F64, 1))),
    ),
)
def cells_backward(
    order: Array, inputs: Tuple, tree: Tuple, hidden: Array, units: Array, upward: Tuple,
    out: Tuple,
) -> None:  # fmt: skip
    """Write the gradient by all weights, and its squares' sums."""
    mirror, parents, scales, seen = tree
    dlogit, dvalue = upward
    gradient, squares = out
    own, kind, size = len(seen), units.dtype.type, units.shape[1]
    for r in range(own + 3):
        if r >= own or seen[r]:
            gradient[r] = 0
    for q in range(len(order)):
        _one_backward(
            inputs, order[q], mirror, hidden[q], units, dlogit[q] + dlogit[q], dvalue[q], gradient
        )
    for k in range(len(scales)):
        scale = kind(scales[k])
        for r in range(parents.shape[1]):
            above = parents[k, r]
            if seen[r] and above >= 0:
                for j in range(size):
                    gradient[above, j] += scale * gradient[r, j]
    squares[:] = 0
    for r in range(own + 3):
        if r >= own or seen[r]:
            for j in range(size):
                squares[j] += np.float64(gradient[r, j]) * np.float64(gradient[r, j])


@kernel(
    5,
    lambda F: types.int64(
        *(reads(U8, 3), reads(U8, 1), pack(I64, I64, I64), network_of(F), reads(I32, 1)),
        writes(F, 3),
        pack(writes(I64, 1), writes(U16, 1), writes(I8, 1)),
        pack(writes(U8, 1), writes(F, 1), writes(F, 1)),
        *(I64, F64, types.boolean, I64),
    ),
)
def cells_step(
    screens: Array, table: Array, geometry: tuple[int, int, int], network: Tuple, mirror: Array,
    hidden: Array, inputs: Tuple, record: Tuple, t: int, uniform: float, fresh: bool,
    last_action: int,
) -> int:  # fmt: skip
    """Encode, forward, choose: see ``CellsStep``."""
    cell_size, pixel_stride, spread = geometry
    indptr, indices, values = inputs
    actions, logits, estimates = record
    if t < 0 or t >= len(actions) or last_action > 1:
        return -1
    kept, cells, base = len(screens), (FIELD // pixel_stride // cell_size) ** 2, len(mirror)
    channels = base // cells
    start, places = indptr[t], channels * cells
    if start < 0 or start > len(indices) - base:  # this way round nothing overflows
        return -1
    end = start
    for channel in range(1 if fresh else channels):
        now = screens[(t - max(0, channel - 1) * spread) % kept]
        before = screens[(t - channel * spread) % kept]
        end = _encode_channel(
            now, before, table, cell_size, pixel_stride, channel, (indices, values), end
        )
    if last_action >= 0 and base > places:
        indices[end], values[end] = places + last_action, 1
        end += 1
    indptr[t + 1] = end
    _one_forward(inputs, t, network, mirror, hidden[0])
    logits[t], estimates[t] = _one_heads(hidden[0], network[1])
    actions[t] = 1 if uniform < sigmoid(np.float64(logits[t])) else 0
    return int(actions[t])


class CellsStep:
    """Play one step of a rollout: encode, forward, choose."""

    __slots__ = ("_buffers", "_step")

    def __init__(
        self, screens: Array, table: Array, geometry: tuple[int, int, int], network: Tuple,
        mirror: Array, scratch: Array, inputs: Tuple, record: Tuple,
    ) -> None:  # fmt: skip
        buffers = (screens, table, geometry, network, mirror, scratch, inputs, record)
        cells_step(*buffers, -1, 0.0, False, -1)
        self._buffers = buffers
        self._step = cast("Callable[..., int]", cells_step.compile(scratch.dtype))

    def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
        """Record step t, return 1 (RIGHT), 0 (LEFT), or -1: no room."""
        return self._step(*self._buffers, t, uniform, fresh, last_action)
