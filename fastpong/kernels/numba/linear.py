"""Linear layers of dense and sparse frames, compiled by Numba."""

from __future__ import annotations

import math

import numpy as np
from numba import types

from fastpong.arrays import Array
from fastpong.geometry import PONG
from fastpong.kernels.numba.cache import (
    F64,
    I8,
    I64,
    SPARSE,
    U8,
    U16,
    helper,
    kernel,
    reads,
    writes,
)
from fastpong.kernels.numba.frames import encode

PIXELS = PONG.pixels


@helper
def sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)).

    The exponent is never positive, so nothing overflows.
    """
    small = math.exp(-abs(logit))
    return (1.0 if logit >= 0 else small) / (1.0 + small)


@helper
def _finish(hidden: Array, w2: Array) -> float:
    """Apply the ReLU to a row, return p.

    NaN stays NaN, as in the oracle.
    """
    # Four sums, because one would wait for itself: the order is fixed, the latency hidden.
    a = b = c = d = 0.0
    units = len(w2)
    for h in range(units):
        hidden[h] = 0 if hidden[h] < 0 else hidden[h]
    for h in range(0, units - 3, 4):
        a += float(hidden[h]) * float(w2[h])
        b += float(hidden[h + 1]) * float(w2[h + 1])
        c += float(hidden[h + 2]) * float(w2[h + 2])
        d += float(hidden[h + 3]) * float(w2[h + 3])
    for h in range(units - units % 4, units):
        a += float(hidden[h]) * float(w2[h])
    return float(sigmoid((a + b) + (c + d)))


@helper
def _add_pixels(
    indices: Array, signs: Array, first: int, last: int, w1: Array, hidden: Array
) -> None:
    """Write the sum of one frame's +-W1 rows."""
    hidden[:] = 0
    for k in range(first, last):
        d, sign = indices[k], w1.dtype.type(signs[k])  # int8 times float32 would be float64
        for h in range(len(hidden)):
            hidden[h] += sign * w1[d, h]


@helper
def _add_gradient(scale: float, hidden: Array, w2: Array, grad: Array) -> None:
    """Add one pixel's gradient, scale W2 where h > 0.

    The product is made anew for every pixel: a row of scratch would have to be allocated, and
    the row of the gradient, out of a farther cache, takes longer to come than the product.
    """
    for h in range(len(w2)):
        grad[h] += scale * w2[h] if hidden[h] > 0 else grad.dtype.type(0)


@kernel(0, lambda F: (reads(F, 2), reads(F, 2), reads(F, 1), writes(F, 2), writes(F, 1)))
def policy_forward(x: Array, w1: Array, w2: Array, hidden: Array, probability: Array) -> None:
    """Write h = ReLU(x W1), p = sigmoid(h . W2)."""
    for t in range(len(x)):
        hidden[t] = 0
        for d in range(x.shape[1]):
            value = x[t, d]
            if value != 0:
                for h in range(len(w2)):
                    hidden[t, h] += value * w1[d, h]
        probability[t] = _finish(hidden[t], w2)


@kernel(
    0, lambda F: (reads(F, 2), reads(F, 2), reads(F, 1), reads(F, 1), writes(F, 2), writes(F, 1))
)
def policy_backward(
    x: Array, hidden: Array, dlogit: Array, w2: Array, grad_w1: Array, grad_w2: Array
) -> None:
    """Add the gradient of sum_t dlogit_t logit_t.

    dW2 = h^T dlogit,  dW1 = x^T (dlogit W2^T where h > 0).
    """
    for t in range(len(x)):
        for d in range(x.shape[1]):
            if x[t, d] != 0:
                _add_gradient(x[t, d] * dlogit[t], hidden[t], w2, grad_w1[d])
        for h in range(len(w2)):
            grad_w2[h] += dlogit[t] * hidden[t, h]


@kernel(3, lambda F: (*SPARSE, reads(F, 2), reads(F, 1), writes(F, 2), writes(F, 1)))
def sparse_policy_forward(
    indptr: Array, indices: Array, signs: Array, w1: Array, w2: Array, hidden: Array, probability:
    Array,
) -> None:  # fmt: skip
    """Write ``policy_forward``, reading the rows of lit pixels."""
    for t in range(len(hidden)):
        _add_pixels(indices, signs, indptr[t], indptr[t + 1], w1, hidden[t])
        probability[t] = _finish(hidden[t], w2)


@kernel(3, lambda F: (*SPARSE, reads(F, 2), reads(F, 1), reads(F, 1), writes(F, 2), writes(F, 1)))
def sparse_policy_backward(
    indptr: Array, indices: Array, signs: Array, hidden: Array, dlogit: Array, w2: Array, grad_w1:
    Array, grad_w2: Array,
) -> None:  # fmt: skip
    """Add ``policy_backward`` into the rows of lit pixels."""
    for t in range(len(hidden)):
        for k in range(indptr[t], indptr[t + 1]):
            scale = w2.dtype.type(signs[k]) * dlogit[t]
            _add_gradient(scale, hidden[t], w2, grad_w1[indices[k]])
        for h in range(len(w2)):
            grad_w2[h] += dlogit[t] * hidden[t, h]


@kernel(
    2,
    lambda F: types.int64(
        reads(U8, 3),
        reads(U8, 1),
        reads(F, 2),
        reads(F, 1),
        writes(I64, 1),
        writes(U16, 1),
        writes(I8, 1),
        writes(U8, 1),
        writes(F, 1),
        I64,
        F64,
    ),
)
def policy_step(
    screens: Array, table: Array, w1: Array, w2: Array, indptr: Array, indices: Array, signs: Array,
    actions: Array, hidden: Array, t: int, uniform: float,
) -> int:  # fmt: skip
    """Encode, forward, choose: see ``PolicyStep``."""
    if t < 0 or t >= len(actions):
        return -1
    start = indptr[t]
    if start < 0 or start > len(indices) - PIXELS:  # this way round nothing overflows
        return -1
    end = start
    if t > 0:
        end = encode(screens[t & 1], screens[(t - 1) & 1], table, indices, signs, start)
    _add_pixels(indices, signs, start, end, w1, hidden)
    # Rounded as sparse_policy_forward rounds it, so that both speak of one policy.
    action = 1 if uniform < w2.dtype.type(_finish(hidden, w2)) else 0
    indptr[t + 1] = end
    actions[t] = action
    return action


class PolicyStep:
    """Decide one step of an episode.

    Buffers belong to the caller and are bound once: screens (2, 210, 160) u8, table (256,) u8,
    w1 (D, H), w2 (H,), indptr (cap + 1,) i64, indices (room,) u16, signs (room,) i8,
    actions (cap,) u8.
    """

    __slots__ = ("_buffers", "_step")

    def __init__(
        self, screens: Array, table: Array, w1: Array, w2: Array, indptr: Array, indices: Array,
        signs: Array, actions: Array,
    ) -> None:  # fmt: skip
        buffers = (screens, table, w1, w2, indptr, indices, signs, actions, np.empty_like(w2))
        # Step -1 has no room: this compiles, and checks types, once. The entry of the compiled
        # code, called below, resolves none: 0.65 us around a step, through the dispatcher 0.85.
        policy_step(*buffers, -1, 0.0)
        self._buffers, self._step = buffers, policy_step.compile(w1.dtype)

    def __call__(self, t: int, uniform: float) -> int:
        """Record step t, return 1, 0, or -1: no room."""
        return int(self._step(*self._buffers, t, uniform))


@helper
def row_forward(x: Array, w: Array, b: Array, relu: bool, out: Array) -> None:
    """Write one row of a dense layer."""
    for j in range(len(out)):
        out[j] = b[j]
    for i in range(len(x)):
        if x[i] != 0:
            for j in range(len(out)):
                out[j] += x[i] * w[i, j]
    if relu:
        for j in range(len(out)):
            out[j] = 0 if out[j] < 0 else out[j]


@kernel(0, lambda F: (reads(F, 2), reads(F, 2), reads(F, 1), types.boolean, writes(F, 2)))
def dense_forward(x: Array, w: Array, b: Array, relu: bool, out: Array) -> None:
    """Write y = x W + b, or its ReLU."""
    for t in range(len(x)):
        row_forward(x[t], w, b, relu, out[t])


@helper
def dot(x: Array, y: Array) -> float:
    """Return x . y, in four interleaved sums.

    The order is fixed, the latency hidden.
    """
    zero: float = x.dtype.type(0)
    a, b, c, d = zero, zero, zero, zero
    size = len(x)
    for j in range(0, size - 3, 4):
        a += x[j] * y[j]
        b += x[j + 1] * y[j + 1]
        c += x[j + 2] * y[j + 2]
        d += x[j + 3] * y[j + 3]
    for j in range(size - size % 4, size):
        a += x[j] * y[j]
    return (a + b) + (c + d)


@kernel(
    0,
    lambda F: (
        *(reads(F, 2), reads(F, 2), reads(F, 2), types.boolean),
        *(writes(F, 2), writes(F, 1), writes(F, 2)),
    ),
)
def dense_backward(
    x: Array, w: Array, dout: Array, relu: bool, grad_w: Array, grad_b: Array, dx: Array
) -> None:
    """Add dW and db, write dx of a layer.

    dW = x^T dout, db = sum_t dout_t, dx = dout W^T, 0 where x <= 0 if ``relu``
    """
    for t in range(len(x)):
        for j in range(len(grad_b)):
            grad_b[j] += dout[t, j]
        for i in range(len(w)):
            if x[t, i] != 0:
                for j in range(len(grad_b)):
                    grad_w[i, j] += x[t, i] * dout[t, j]
            dx[t, i] = dot(dout[t], w[i]) if x[t, i] > 0 or not relu else 0
