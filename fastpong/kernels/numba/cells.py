"""The actor-critic agent's kernels compiled by Numba: names and order of ``fastpong.oracle.cells``.

Raw, and compiled and kept on disk as in ``cache``. The algorithm is that of
``cython/cells.pyx``, which explains it: sparse sums of rows, shares of units for threads, the rows'
steps made of their own and their parents'. np.float64() and not float(), which leaves a float32
what it is.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from fastpong.arrays import Array
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
    reads,
    writes,
)
from fastpong.kernels.numba.linear import sigmoid

TOP, FIELD = PONG.top, PONG.height
TINY = 1e-35  # as in cython/cells.pyx


@helper
def _encode_channel(
    screen: Array, previous: Array, table: Array, resolution: int, stride: int, channel: int,
    indices: Array, values: Array, n: int,
) -> int:  # fmt: skip
    """Write the non-zero cells of a channel from n on; return the position after them.

    Channel 0 is the frame, all others are differences.
    """
    side = FIELD // stride // resolution
    for y in range(side):
        for x in range(side):
            count = 0
            for r in range(resolution):
                row = TOP + stride * (y * resolution + r)
                for c in range(resolution):
                    column = stride * (x * resolution + c)
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
        reads(U8, 2), reads(U8, 2), reads(U8, 1), I64, I64, writes(U16, 1), writes(I8, 1)
    ),
)
def encode_cells(
    screen: Array, previous: Array, table: Array, resolution: int, stride: int, indices: Array,
    values: Array,
) -> int:  # fmt: skip
    """Write the non-zero cells of the frame, then of the difference frame; return their number."""
    n = _encode_channel(screen, previous, table, resolution, stride, 0, indices, values, 0)
    return int(_encode_channel(screen, previous, table, resolution, stride, 1, indices, values, n))


@helper
def _one_forward(
    indices: Array, values: Array, start: int, stop: int, rows: Array, mirror: Array, units: Array,
    first: int, last: int, hidden: Array,
) -> None:  # fmt: skip
    """Write relu(b + sum of value * row), upright and mirrored: (2, H)."""
    zero = rows.dtype.type(0)
    for j in range(first, last):
        hidden[0, j] = hidden[1, j] = units[0, j]
    for i in range(start, stop):
        d, value = indices[i], rows.dtype.type(values[i])
        e = mirror[d]
        for j in range(first, last):
            hidden[0, j] += value * rows[d, j]
        for j in range(first, last):
            hidden[1, j] += value * rows[e, j]
    for k in range(2):
        for j in range(first, last):
            hidden[k, j] = zero if hidden[k, j] < 0 else hidden[k, j]


def _network(F: Type) -> tuple[Type, ...]:
    """Return the types of rows, mirror and units."""
    return (reads(F, 2), reads(I32, 1), reads(F, 2))


@kernel(4, lambda F: (reads(I64, 1), *SPARSE, *_network(F), I64, I64, writes(F, 3)))
def pyramid_forward(
    order: Array, indptr: Array, indices: Array, values: Array, rows: Array, mirror: Array, units:
    Array, first: int, last: int, hidden: Array,
) -> None:  # fmt: skip
    """Write the hidden layer, upright and mirrored, of the units [first, last): (M, 2, H)."""
    for q in range(len(order)):
        t = order[q]
        _one_forward(
            indices, values, indptr[t], indptr[t + 1], rows, mirror, units, first, last, hidden[q]
        )


@helper
def _one_actor_critic(hidden: Array, units: Array) -> tuple[float, float]:
    """Return log odds and value of one decision, each in four interleaved sums."""
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


@kernel(0, lambda F: (reads(F, 3), reads(F, 2), I64, I64, writes(F, 1), writes(F, 1)))
def actor_critic(
    hidden: Array, units: Array, first: int, last: int, logit: Array, estimate: Array
) -> None:
    """Write log odds of RIGHT and value of the decisions [first, last)."""
    for q in range(first, last):
        logit[q], estimate[q] = _one_actor_critic(hidden[q], units)


@helper
def _one_backward(
    indices: Array, values: Array, start: int, stop: int, mirror: Array, hidden: Array, units:
    Array, du: float, dv: float, first: int, last: int, own: int, gradient: Array,
) -> None:  # fmt: skip
    """Add one decision's gradient into the rows of its input and, from ``own`` on, the units'."""
    for j in range(first, last):
        h, g = hidden[0, j], hidden[1, j]
        up = (dv * units[2, j] + du * units[1, j]) * units.dtype.type(h > 0)
        down = (dv * units[2, j] - du * units[1, j]) * units.dtype.type(g > 0)
        gradient[own, j] += up + down
        gradient[own + 1, j] += du * (h - g)
        gradient[own + 2, j] += dv * (h + g)
    for i in range(start, stop):
        d, value = indices[i], units.dtype.type(values[i])
        e = mirror[d]
        for j in range(first, last):
            up = (dv * units[2, j] + du * units[1, j]) * units.dtype.type(hidden[0, j] > 0)
            gradient[d, j] += value * up
        for j in range(first, last):
            down = (dv * units[2, j] - du * units[1, j]) * units.dtype.type(hidden[1, j] > 0)
            gradient[e, j] += value * down


@kernel(
    8,
    lambda F: (
        *(reads(I64, 1), *SPARSE, reads(I32, 1), reads(I32, 2), reads(F64, 1), reads(U8, 1)),
        *(
            reads(F, 3),
            reads(F, 2),
            reads(F, 1),
            reads(F, 1),
            I64,
            I64,
            writes(F, 2),
            writes(F64, 1),
        ),
    ),
)
def pyramid_backward(
    order: Array, indptr: Array, indices: Array, values: Array, mirror: Array, parents: Array,
    scales: Array, seen: Array, hidden: Array, units: Array, dlogit: Array, dvalue: Array, first:
    int, last: int, gradient: Array, squares: Array,
) -> None:  # fmt: skip
    """Write the gradient by all weights of the units [first, last), and its squares' sums."""
    own, kind = len(seen), units.dtype.type
    for r in range(own + 3):
        if r >= own or seen[r]:
            gradient[r, first:last] = 0
    for q in range(len(order)):
        t = order[q]
        _one_backward(
            indices, values, indptr[t], indptr[t + 1], mirror, hidden[q], units,
            dlogit[q] + dlogit[q], dvalue[q], first, last, own, gradient,
        )  # fmt: skip
    for k in range(len(scales)):
        scale = kind(scales[k])
        for r in range(parents.shape[1]):
            above = parents[k, r]
            if seen[r] and above >= 0:
                for j in range(first, last):
                    gradient[above, j] += scale * gradient[r, j]
    squares[first:last] = 0
    for r in range(own + 3):
        if r >= own or seen[r]:
            for j in range(first, last):
                squares[j] += np.float64(gradient[r, j]) * np.float64(gradient[r, j])


@helper
def _moments(
    gradient: Array, mean: Array, square: Array, seen: Array, factor: float, keep1: float, take1:
    float, keep2: float, take2: float, rate: float, root_scale: float, small: float, first: int,
    last: int,
) -> None:  # fmt: skip
    """Write the moments of every row, and its step in place of the gradient."""
    zero, tiny = gradient.dtype.type(0), gradient.dtype.type(TINY)
    for r in range(len(seen) + 3):
        if r >= len(seen) or seen[r]:
            for j in range(first, last):
                g = factor * gradient[r, j]
                m = keep1 * mean[r, j] + take1 * g
                v = keep2 * square[r, j] + take2 * g * g
                m = m if m > tiny or m < -tiny else zero
                v = v if v > tiny else zero
                mean[r, j], square[r, j] = m, v
                gradient[r, j] = -rate * m / (root_scale * math.sqrt(v) + small)


@kernel(
    0,
    lambda F: (
        *(
            writes(F, 2),
            writes(F, 2),
            writes(F, 2),
            writes(F, 2),
            writes(F, 2),
            reads(U8, 1),
            reads(I32, 2),
        ),
        *(reads(F64, 1), F64, I64, F64, F64, F64, F64, I64, I64),
    ),
)
def pyramid_adam(
    rows: Array, units: Array, gradient: Array, mean: Array, square: Array, seen: Array, parents:
    Array, scales: Array, factor: float, step: int, learning_rate: float, beta1: float, beta2:
    float, epsilon: float, first: int, last: int,
) -> None:  # fmt: skip
    """Take one step of Adam with ``factor`` times the gradient, of the units [first, last)."""
    kind = rows.dtype.type
    _moments(
        gradient, mean, square, seen, kind(factor), kind(beta1), kind(1 - beta1), kind(beta2),
        kind(1 - beta2), kind(learning_rate / (1 - beta1 ** float(step))),
        kind(1 / math.sqrt(1 - beta2 ** float(step))), kind(epsilon), first, last,
    )  # fmt: skip
    for r in range(len(rows)):
        if seen[r]:
            for j in range(first, last):
                rows[r, j] += gradient[r, j]
        for k in range(len(scales)):
            above = parents[k, r]
            if above >= 0 and seen[above]:
                scale = kind(scales[k])
                for j in range(first, last):
                    rows[r, j] += scale * gradient[above, j]
    for r in range(3):
        for j in range(first, last):
            units[r, j] += gradient[len(seen) + r, j]


@kernel(
    5,
    lambda F: types.int64(
        *(reads(U8, 3), reads(U8, 1), I64, I64, I64, *_network(F), writes(F, 3), writes(I64, 1)),
        *(writes(U16, 1), writes(I8, 1), writes(U8, 1), writes(F, 1), writes(F, 1)),
        *(I64, F64, types.boolean, I64),
    ),
)
def actor_step(
    screens: Array, table: Array, resolution: int, stride: int, spread: int, rows: Array, mirror:
    Array, units: Array, hidden: Array, indptr: Array, indices: Array, values: Array, actions:
    Array, logits: Array, estimates: Array, t: int, uniform: float, fresh: bool, last_action: int,
) -> int:  # fmt: skip
    """Encode, forward, choose: see ``ActorStep``."""
    if t < 0 or t >= len(actions) or last_action > 1:
        return -1
    kept, cells = len(screens), (FIELD // stride // resolution) ** 2
    channels = len(rows) // cells
    start, places = indptr[t], channels * cells
    if start < 0 or start > len(indices) - len(rows):  # this way round nothing overflows
        return -1
    end = start
    for channel in range(1 if fresh else channels):
        now = screens[(t - max(0, channel - 1) * spread) % kept]
        before = screens[(t - channel * spread) % kept]
        end = _encode_channel(now, before, table, resolution, stride, channel, indices, values, end)
    if last_action >= 0 and len(rows) > places:
        indices[end], values[end] = places + last_action, 1
        end += 1
    indptr[t + 1] = end
    _one_forward(indices, values, start, end, rows, mirror, units, 0, units.shape[1], hidden[0])
    logits[t], estimates[t] = _one_actor_critic(hidden[0], units)
    actions[t] = 1 if uniform < sigmoid(np.float64(logits[t])) else 0
    return int(actions[t])


class ActorStep:
    """Decide one step of a segment: encode the screen, forward, choose. See ``kernels``."""

    __slots__ = ("_buffers", "_step")

    def __init__(
        self, screens: Array, table: Array, resolution: int, stride: int, spread: int, rows: Array,
        mirror: Array, units: Array, scratch: Array, indptr: Array, indices: Array, values: Array,
        actions: Array, logits: Array, estimates: Array,
    ) -> None:  # fmt: skip
        buffers = (
            *(screens, table, resolution, stride, spread, rows, mirror, units, scratch),
            *(indptr, indices, values, actions, logits, estimates),
        )
        actor_step(*buffers, -1, 0.0, False, -1)
        self._buffers, self._step = buffers, actor_step.compile(rows.dtype)

    def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
        """Record step t; return 1 (RIGHT) with its probability, else 0 (LEFT); -1: no room."""
        return int(self._step(*self._buffers, t, uniform, fresh, last_action))
