"""The convolution of sparse frames, compiled by Numba."""

from __future__ import annotations

import numpy as np
from numba import types

from fastpong.arrays import Array, Tuple
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
from fastpong.kernels.numba.linear import dot, row_forward
from fastpong.kernels.numba.losses import row_softmax

SIDE, PIXELS = PONG.rows, PONG.pixels
OUT, BEFORE = 27, 2


@helper
def _find_tap(pixel: np.int64, n: int, image: bool) -> tuple[np.int64 | int, np.int64 | int]:
    """Return the n-th place where a pixel meets the kernel.

    Position and line of the kernel, or -1 for both.

    n < 2, or n < 4 for an image. Lines are those of the kernel as (36 C, F).
    """
    row, column = pixel // SIDE, pixel % SIDE
    back = n >> 1 if image else n
    y, i = (row + BEFORE) // 3 - back, (row + BEFORE) % 3 + 3 * back
    if y < 0 or y >= OUT:
        return -1, -1
    if not image:
        return y, (BEFORE * 6 + i) * SIDE + column
    x, j = (column + BEFORE) // 3 - (n & 1), (column + BEFORE) % 3 + 3 * (n & 1)
    if x < 0 or x >= OUT:
        return -1, -1
    return y * OUT + x, i * 6 + j


@helper
def _convolve(
    indices: Array, signs: Array, first: int, last: int, kernel: Array, bias: Array, values: Array,
    touched: Array,
) -> int:  # fmt: skip
    """Convolve at touched positions, return their number."""
    image, size, filters = len(kernel) == 36, 0, len(bias)
    for k in range(first, last):
        sign = kernel.dtype.type(signs[k])
        for n in range(4 if image else 2):
            position, line = _find_tap(np.int64(indices[k]), n, image)
            if position < 0:
                continue
            slot = touched[1, position]
            if slot < 0 or slot >= size or touched[0, slot] != position:
                touched[0, size], touched[1, position] = position, size
                size += 1
                for f in range(filters):
                    values[position, f] = bias[f]
            for f in range(filters):
                values[position, f] += sign * kernel[line, f]
    return size


@helper
def _base(bias: Array, w: Array, b: Array, base: Array) -> None:
    """Write the hidden layer of an empty frame.

    b + sum_{p, f} relu(bias_f) w[p F + f]
    """
    for h in range(len(b)):
        base[h] = b[h]
    for row in range(len(w)):
        value = bias[row % len(bias)]
        if value > 0:
            for h in range(len(b)):
                base[h] += value * w[row, h]


@helper
def _frame_forward(
    indices: Array, signs: Array, first: int, last: int, kernel: Array, bias: Array, w: Array, base:
    Array, values: Array, touched: Array, hidden: Array,
) -> None:  # fmt: skip
    """Write the hidden layer of one frame.

    relu(base + sum over touched p, f of (relu(z_pf) - relu(bias_f)) w[p F + f])
    """
    count = _convolve(indices, signs, first, last, kernel, bias, values, touched)
    zero = kernel.dtype.type(0)
    for h in range(len(base)):
        hidden[h] = base[h]
    for k in range(count):
        position = touched[0, k]
        for f in range(len(bias)):
            value = values[position, f]
            value = zero if value < 0 else value
            if bias[f] > 0:
                value -= bias[f]
            if value != 0:
                row = position * len(bias) + f
                for h in range(len(base)):
                    hidden[h] += value * w[row, h]
    for h in range(len(base)):
        hidden[h] = zero if hidden[h] < 0 else hidden[h]


FRAMES = types.Tuple(SPARSE)


@kernel(
    3,
    lambda F: (
        FRAMES,
        types.Tuple((reads(F, 2), reads(F, 1), reads(F, 2), reads(F, 1))),
        types.Tuple((writes(F, 2), writes(F, 1), writes(I64, 2))),
        writes(F, 2),
    ),
)
def sparse_conv_forward(frames: Tuple, layer: Tuple, scratch: Tuple, hidden: Array) -> None:
    """Write h = ReLU(flatten(ReLU(conv(x))) W + b)."""
    indptr, indices, signs = frames
    kernel, bias, w, b = layer
    values, base, touched = scratch
    _base(bias, w, b, base)
    for t in range(len(hidden)):
        _frame_forward(
            indices, signs, indptr[t], indptr[t + 1], kernel, bias, w, base, values, touched,
            hidden[t],
        )  # fmt: skip


@helper
def _touched_backward(
    count: int, touched: Array, bias: Array, w: Array, dhidden: Array, values: Array, grad_bias:
    Array, grad_w: Array,
) -> None:  # fmt: skip
    """Add dW and dbias of touched positions.

    Less the part that ``_untouched_backward`` adds for them.

    Leaves the gradient of the convolution's output in ``values``.
    """
    zero = w.dtype.type(0)
    for k in range(count):
        position = touched[0, k]
        for f in range(len(bias)):
            row, value = position * len(bias) + f, values[position, f]
            lit, lit_before = value > 0, bias[f] > 0
            if not lit and not lit_before:
                values[position, f] = zero
                continue
            slope = dot(dhidden, w[row])
            values[position, f] = slope if lit else zero
            grad_bias[f] += values[position, f] - (slope if lit_before else zero)
            value = (value if lit else zero) - (bias[f] if lit_before else zero)
            for h in range(len(dhidden)):
                grad_w[row, h] += value * dhidden[h]


@helper
def _untouched_backward(
    bias: Array, w: Array, total: Array, grad_bias: Array, grad_w: Array
) -> None:
    """Add the gradient of T empty frames.

    relu(bias) everywhere, total = sum_t dhidden_t
    """
    for row in range(len(w)):
        f = row % len(bias)
        if bias[f] > 0:
            for h in range(len(total)):
                grad_w[row, h] += bias[f] * total[h]
            grad_bias[f] += dot(total, w[row])


@kernel(
    2,
    lambda F: (
        FRAMES,
        types.Tuple((reads(F, 2), reads(F, 1), reads(F, 2))),
        reads(F, 2),
        types.Tuple((writes(F, 2), writes(F, 1), writes(I64, 2))),
        types.Tuple((writes(F, 2), writes(F, 1), writes(F, 2), writes(F, 1))),
    ),
)
def sparse_conv_backward(
    frames: Tuple, layer: Tuple, dhidden: Array, scratch: Tuple, grads: Tuple
) -> None:
    """Add the gradient of convolution and dense layer."""
    indptr, indices, signs = frames
    kernel, bias, w = layer
    values, total, touched = scratch
    grad_kernel, grad_bias, grad_w, grad_b = grads
    image = len(kernel) == 36
    total[:] = 0
    for t in range(len(dhidden)):
        first, last = indptr[t], indptr[t + 1]
        count = _convolve(indices, signs, first, last, kernel, bias, values, touched)
        for h in range(len(total)):
            total[h] += dhidden[t, h]
        _touched_backward(count, touched, bias, w, dhidden[t], values, grad_bias, grad_w)
        for k in range(first, last):
            sign = kernel.dtype.type(signs[k])
            for n in range(4 if image else 2):
                position, line = _find_tap(np.int64(indices[k]), n, image)
                if position >= 0:
                    for f in range(len(bias)):
                        grad_kernel[line, f] += sign * values[position, f]
    _untouched_backward(bias, w, total, grad_bias, grad_w)
    for h in range(len(total)):
        grad_b[h] += total[h]


@helper
def _choose(probability: Array, uniform: float, greedy: bool) -> int:
    """Draw an action by its probability, or the likeliest."""
    total, below, best = 0.0, 0.0, 0
    for a in range(len(probability)):
        total += float(probability[a])
        best = a if probability[a] > probability[best] else best
    if greedy:
        return best
    for a in range(len(probability) - 1):
        below += float(probability[a])
        if uniform < below / total:
            return a
    return int(len(probability) - 1)


@kernel(
    0,
    lambda F: types.int64(
        types.Tuple(
            (
                *(reads(F, 2), reads(F, 1), reads(F, 2), reads(F, 1)),
                *(reads(F, 2), reads(F, 1), reads(F, 2), reads(F, 1)),
            )
        ),
        types.Tuple(
            (writes(F, 2), writes(F, 1), writes(F, 1), writes(F, 1), writes(F, 1), writes(I64, 2))
        ),
        types.Tuple((reads(U8, 3), reads(U8, 1))),
        types.Tuple((writes(I64, 1), writes(U16, 1), writes(I8, 1), writes(U8, 1))),
        *(types.boolean, I64, F64),
    ),
)
def conv_step(
    network: Tuple, scratch: Tuple, screen: Tuple, episode: Tuple, greedy: bool, t: int,
    uniform: float,
) -> int:  # fmt: skip
    """Encode, forward, choose: see ``ConvStep``.

    Step -1 writes the base of the weights.
    """
    kernel, bias, w1, b1, w2, b2, w3, b3 = network
    values, base, h1, h2, p, touched = scratch
    screens, table = screen
    indptr, indices, signs, actions = episode
    if t < 0:
        _base(bias, w1, b1, base)
    if t < 0 or t >= len(actions):
        return -1
    start = indptr[t]
    if start < 0 or start > len(indices) - PIXELS:
        return -1
    end = start
    if t > 0:
        end = encode(screens[t & 1], screens[(t - 1) & 1], table, indices, signs, start)
    _frame_forward(indices, signs, start, end, kernel, bias, w1, base, values, touched, h1)
    row_forward(h1, w2, b2, True, h2)
    row_forward(h2, w3, b3, False, p)
    row_softmax(p, p)
    action = int(_choose(p, uniform, greedy))
    indptr[t + 1] = end
    actions[t] = action
    return action


class ConvStep:
    """Decide one step of an episode, see ``kernels``."""

    __slots__ = ("_buffers", "_step")

    def __init__(
        self, screens: Array, table: Array, network: tuple[Array, ...], scratch: tuple[Array, ...],
        indptr: Array, indices: Array, signs: Array, actions: Array, greedy: bool,
    ) -> None:  # fmt: skip
        episode = indptr, indices, signs, actions
        buffers = network, scratch, (screens, table), episode, greedy
        conv_step(*buffers, -1, 0.0)
        self._buffers, self._step = buffers, conv_step.compile(network[0].dtype)

    def __call__(self, t: int, uniform: float) -> int:
        """Record step t, return the action, or -1."""
        return int(self._step(*self._buffers, t, uniform))
