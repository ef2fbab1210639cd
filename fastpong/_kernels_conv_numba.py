"""The convolutional agent's kernels compiled by Numba: names and order of ``fastpong.oracle_conv``.

Raw, and compiled and kept on disk as in ``_kernels_numba``. The algorithm is that of
``_kernels_conv.pyx``, which explains it: a pixel meets the kernel in at most two places an axis,
and what an empty frame would give, relu(bias) at every position, is computed once for all frames.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numpy.typing import DTypeLike

from fastpong._kernels_numba import (
    F64,
    I8,
    I64,
    PIXELS,
    SPARSE,
    U8,
    U16,
    Array,
    _encode,
    _helper,
    _in,
    _kernel,
    _out,
)  # fmt: skip

SIDE, OUT, BEFORE = 80, 27, 2
CLIP = 1e-7


@_helper
def _find_tap(pixel: int, n: int, image: bool) -> Any:
    """Return position and kernel line of the n-th place where a pixel meets the kernel; -1: none.

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


@_helper
def _convolve(
    indices: Any, signs: Any, first: int, last: int, kernel: Any, bias: Any, values: Any,
    touched: Any,
) -> int:  # fmt: skip
    """Write bias + the sum of +-kernel lines for touched positions; return their number."""
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


@_helper
def _base(bias: Any, w: Any, b: Any, base: Any) -> None:
    """Write b + sum_{p, f} relu(bias_f) w[p F + f]: the hidden layer of an empty frame."""
    for h in range(len(b)):
        base[h] = b[h]
    for row in range(len(w)):
        value = bias[row % len(bias)]
        if value > 0:
            for h in range(len(b)):
                base[h] += value * w[row, h]


@_helper
def _frame_forward(
    indices: Any, signs: Any, first: int, last: int, kernel: Any, bias: Any, w: Any, base: Any,
    values: Any, touched: Any, hidden: Any,
) -> None:  # fmt: skip
    """Write relu(base + sum over touched p, f of (relu(z_pf) - relu(bias_f)) w[p F + f])."""
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


def _conv(F: Any) -> tuple[Any, ...]:
    """Return the types of frames, kernel, bias and W."""
    return (*SPARSE, _in(F, 2), _in(F, 1), _in(F, 2))


@_kernel(3, lambda F: (*_conv(F), _in(F, 1), _out(F, 2), _out(F, 1), _out(I64, 2), _out(F, 2)))
def sparse_conv_forward(
    indptr: Any, indices: Any, signs: Any, kernel: Any, bias: Any, w: Any, b: Any, values: Any,
    base: Any, touched: Any, hidden: Any,
) -> None:  # fmt: skip
    """Write h = ReLU(flatten(ReLU(conv(x))) W + b) (T, H) of sparse frames."""
    _base(bias, w, b, base)
    for t in range(len(hidden)):
        _frame_forward(
            indices, signs, indptr[t], indptr[t + 1], kernel, bias, w, base, values, touched,
            hidden[t],
        )  # fmt: skip


@_helper
def _dot(x: Any, y: Any) -> Any:
    """Return x . y, in four interleaved sums: the order is fixed, the latency hidden."""
    zero = x.dtype.type(0)
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


@_helper
def _touched_backward(
    count: int, touched: Any, bias: Any, w: Any, dhidden: Any, values: Any, grad_bias: Any,
    grad_w: Any,
) -> None:  # fmt: skip
    """Add dW and dbias of touched positions, less what ``_untouched_backward`` adds for them.

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
            slope = _dot(dhidden, w[row])
            values[position, f] = slope if lit else zero
            grad_bias[f] += values[position, f] - (slope if lit_before else zero)
            value = (value if lit else zero) - (bias[f] if lit_before else zero)
            for h in range(len(dhidden)):
                grad_w[row, h] += value * dhidden[h]


@_helper
def _untouched_backward(bias: Any, w: Any, total: Any, grad_bias: Any, grad_w: Any) -> None:
    """Add what T empty frames would give: relu(bias) everywhere, total = sum_t dhidden_t."""
    for row in range(len(w)):
        f = row % len(bias)
        if bias[f] > 0:
            for h in range(len(total)):
                grad_w[row, h] += bias[f] * total[h]
            grad_bias[f] += _dot(total, w[row])


@_kernel(
    3,
    lambda F: (
        *(*_conv(F), _in(F, 2), _out(F, 2), _out(F, 1), _out(I64, 2)),
        *(_out(F, 2), _out(F, 1), _out(F, 2), _out(F, 1)),
    ),
)
def sparse_conv_backward(
    indptr: Any, indices: Any, signs: Any, kernel: Any, bias: Any, w: Any, dhidden: Any,
    values: Any, total: Any, touched: Any, grad_kernel: Any, grad_bias: Any, grad_w: Any,
    grad_b: Any,
) -> None:  # fmt: skip
    """Add the gradient of sum_t dhidden_t . (flatten(ReLU(conv(x_t))) W + b)."""
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


@_helper
def _row_forward(x: Any, w: Any, b: Any, relu: bool, out: Any) -> None:
    for j in range(len(out)):
        out[j] = b[j]
    for i in range(len(x)):
        if x[i] != 0:
            for j in range(len(out)):
                out[j] += x[i] * w[i, j]
    if relu:
        for j in range(len(out)):
            out[j] = 0 if out[j] < 0 else out[j]


@_kernel(0, lambda F: (_in(F, 2), _in(F, 2), _in(F, 1), types.boolean, _out(F, 2)))
def dense_forward(x: Any, w: Any, b: Any, relu: bool, out: Any) -> None:
    """Write y = x W + b, or its ReLU: (T, N) -> (T, M)."""
    for t in range(len(x)):
        _row_forward(x[t], w, b, relu, out[t])


@_kernel(
    0,
    lambda F: (
        *(_in(F, 2), _in(F, 2), _in(F, 2), types.boolean),
        *(_out(F, 2), _out(F, 1), _out(F, 2)),
    ),
)
def dense_backward(
    x: Any, w: Any, dout: Any, relu: bool, grad_w: Any, grad_b: Any, dx: Any
) -> None:
    """Add dW = x^T dout, db = sum_t dout_t; write dx = dout W^T, 0 where x <= 0 if ``relu``."""
    for t in range(len(x)):
        for j in range(len(grad_b)):
            grad_b[j] += dout[t, j]
        for i in range(len(w)):
            if x[t, i] != 0:
                for j in range(len(grad_b)):
                    grad_w[i, j] += x[t, i] * dout[t, j]
            dx[t, i] = _dot(dout[t], w[i]) if x[t, i] > 0 or not relu else 0


@_helper
def _row_softmax(logits: Any, out: Any) -> None:
    top, total = -math.inf, 0.0
    for i in range(len(logits)):
        top = max(top, float(logits[i]))
    for i in range(len(logits)):
        total += math.exp(float(logits[i]) - top)
    for i in range(len(logits)):
        out[i] = math.exp(float(logits[i]) - top) / total


@_kernel(0, lambda F: (_in(F, 2), _out(F, 2)))
def softmax(logits: Any, out: Any) -> None:
    """Write p_i = exp(l_i) / sum_j exp(l_j): (T, A) -> (T, A)."""
    for t in range(len(logits)):
        _row_softmax(logits[t], out[t])


@_kernel(0, lambda F: (_in(F, 2), _in(U8, 1), _in(F, 1), F64, _out(F, 2), _out(F, 1)))
def cross_entropy_gradient(
    probability: Any, actions: Any, advantage: Any, step: float, dlogit: Any, loss: Any
) -> None:
    """Write every step's cross-entropy and its gradient by the logits.

    Where nothing is clipped the targets' sum is 1 and p S - Y is step A (p - onehot): written
    so, because the difference would cancel in all but its last three digits.
    """
    for t in range(len(probability)):
        scale, total, entropy, inside = step * float(advantage[t]), 0.0, 0.0, True
        for j in range(probability.shape[1]):
            p = float(probability[t, j])
            target = p + scale * ((1.0 if j == actions[t] else 0.0) - p)
            if CLIP <= p <= 1 - CLIP:
                total += target
            else:
                inside = False
            entropy -= target * math.log(min(max(p, CLIP), 1 - CLIP))
        loss[t] = entropy
        for j in range(probability.shape[1]):
            p, chosen = float(probability[t, j]), (1.0 if j == actions[t] else 0.0)
            if inside:
                dlogit[t, j] = scale * (p - chosen)
            else:
                target = p + scale * (chosen - p) if CLIP <= p <= 1 - CLIP else 0.0
                dlogit[t, j] = p * total - target


@_kernel(0, lambda F: (_out(F, 1), _in(F, 1), _out(F, 1), _out(F, 1), I64, F64, F64, F64, F64))
def adam_update(
    parameter: Any, gradient: Any, mean: Any, square: Any, step: int, learning_rate: float,
    beta1: float, beta2: float, epsilon: float,
) -> None:  # fmt: skip
    """Descend in place: m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= r m / (sqrt v + e).

    r = learning_rate sqrt(1 - b2^step) / (1 - b1^step).
    """
    kind = parameter.dtype.type
    keep1, take1, keep2, take2 = kind(beta1), kind(1 - beta1), kind(beta2), kind(1 - beta2)
    scale = math.sqrt(1 - beta2 ** float(step)) / (1 - beta1 ** float(step))
    rate, small = kind(learning_rate * scale), kind(epsilon)
    for i in range(len(parameter)):
        g = gradient[i]
        m, v = keep1 * mean[i] + take1 * g, keep2 * square[i] + take2 * g * g
        mean[i], square[i] = m, v
        parameter[i] -= rate * m / (math.sqrt(v) + small)


@_helper
def _choose(probability: Any, uniform: float, greedy: bool) -> int:
    """Return the first action for which uniform < its share and those before it."""
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


@_kernel(
    2,
    lambda F: types.int64(
        *(_in(U8, 3), _in(U8, 1), _in(F, 2), _in(F, 1)),
        *(_in(F, 2), _in(F, 1), _in(F, 2), _in(F, 1), _in(F, 2), _in(F, 1)),
        *(_out(F, 2), _out(F, 1), _out(F, 1), _out(F, 1), _out(F, 1), _out(I64, 2)),
        *(_out(I64, 1), _out(U16, 1), _out(I8, 1), _out(U8, 1), types.boolean, I64, F64),
    ),
)
def _conv_step(
    screens: Any, table: Any, kernel: Any, bias: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any,
    b3: Any, values: Any, base: Any, h1: Any, h2: Any, p: Any, touched: Any, indptr: Any,
    indices: Any, signs: Any, actions: Any, greedy: bool, t: int, uniform: float,
) -> int:  # fmt: skip
    """Encode, forward, choose: see ``ConvStep``. Step -1 writes the base of the weights."""
    if t < 0:
        _base(bias, w1, b1, base)
    if t < 0 or t >= len(actions):
        return -1
    start = indptr[t]
    if start < 0 or start > len(indices) - PIXELS:
        return -1
    end = start
    if t > 0:
        end = _encode(screens[t & 1], screens[(t - 1) & 1], table, indices, signs, start)
    _frame_forward(indices, signs, start, end, kernel, bias, w1, base, values, touched, h1)
    _row_forward(h1, w2, b2, True, h2)
    _row_forward(h2, w3, b3, False, p)
    _row_softmax(p, p)
    action = int(_choose(p, uniform, greedy))
    indptr[t + 1] = end
    actions[t] = action
    return action


class ConvStep:
    """Decide one step of an episode: encode the screen, forward, choose. See ``kernels``."""

    __slots__ = ("_buffers", "_step")

    def __init__(
        self, screens: Array, table: Array, network: tuple[Array, ...],
        scratch: tuple[Array, ...], indptr: Array, indices: Array, signs: Array, actions: Array,
        greedy: bool,
    ) -> None:  # fmt: skip
        buffers = (
            *(screens, table, *network, *scratch),
            *(indptr, indices, signs, actions, greedy),
        )
        _conv_step(*buffers, -1, 0.0)
        self._buffers, self._step = buffers, _conv_step.compile(network[0].dtype)

    def __call__(self, t: int, uniform: float) -> int:
        """Record step t and return the action; -1: no room."""
        return self._step(*self._buffers, t, uniform)  # type: ignore[no-any-return]


TRAINING = (
    _conv_step,
    sparse_conv_forward,
    sparse_conv_backward,
    dense_forward,
    dense_backward,
    softmax,
    cross_entropy_gradient,
    adam_update,
)


def compile_all(dtype: DTypeLike) -> None:
    """Compile, or load, what training in ``dtype`` calls, before workers start."""
    for kernel in TRAINING:
        kernel.compile(dtype)
