"""The NumPy reference of the convolutional agent's kernels: dense, padded, and in float64.

As in ``oracle``, each function has the name, the arguments and the outputs of the compiled kernel
that it judges and goes another way: frames are made dense and padded, the convolution walks over
all 36 places of its kernel, those that only ever meet padding too, and no use is made of what an
empty frame would give. ``values``, ``base`` and ``touched`` are the kernels' scratch, unused here.

Notation: T steps, P positions of the convolution's output, F filters, H units, N inputs, M outputs,
A actions. Sources: the Keras documentation of Conv2D, categorical_crossentropy and Adam.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastpong.oracle import PIXELS as PIXELS
from fastpong.oracle import Array, PolicyStep, _exact, dense_frames, sparse_difference_frame

SIDE, SIZE, STRIDE = 80, 6, 3
# Keras keeps probabilities this far from 0 and 1 in the cross-entropy.
CLIP = 1e-7
# Dense frames and their convolution, in float64: 13 MB a chunk for an image's 27 x 27 x 32.
CHUNK = 64


def convolve(x: Array, kernel: Array, bias: Array) -> NDArray[np.float64]:
    """Return the 'same'-padded convolution with stride 3: (T, h, w, C) -> (T, h', w', F).

    n' = ceil(n / 3); of the max(0, 3 (n' - 1) + 6 - n) rows of padding the lesser half comes first.
    """
    padded, rows, columns = _pad(_exact(x))
    out = np.zeros((len(x), rows, columns, len(bias))) + _exact(bias)
    for i, j in np.ndindex(SIZE, SIZE):
        out += _window(padded, i, j, rows, columns) @ _exact(kernel[i, j])
    return out


def _pad(x: Array) -> tuple[Array, int, int]:
    sizes = [-(-n // STRIDE) for n in x.shape[1:3]]
    total = [max(0, STRIDE * (m - 1) + SIZE - n) for m, n in zip(sizes, x.shape[1:3], strict=True)]
    widths = [(0, 0), *((k // 2, k - k // 2) for k in total), (0, 0)]
    return np.pad(x, widths), sizes[0], sizes[1]


def _window(padded: Array, i: int, j: int, rows: int, columns: int) -> Array:
    """Return what place (i, j) of the kernel meets at every position of the output."""
    return padded[:, i : i + STRIDE * rows : STRIDE, j : j + STRIDE * columns : STRIDE]


def _images(indptr: Array, indices: Array, signs: Array, channels: int) -> Array:
    """Return dense frames as the network sees them: (T, 1, 80, 80), or (T, 80, 80, 1)."""
    frames = dense_frames(indptr, indices, signs)
    return frames.reshape(len(frames), -1, SIDE, channels)


def _chunks(indptr: Array) -> Iterator[slice]:
    for start in range(0, len(indptr) - 1, CHUNK):
        yield slice(start, min(start + CHUNK, len(indptr) - 1))


def sparse_conv_forward(
    indptr: Array,
    indices: Array,
    signs: Array,
    kernel: Array,
    bias: Array,
    w: Array,
    b: Array,
    values: Array,
    base: Array,
    touched: Array,
    hidden: Array,
) -> None:
    """Write h = ReLU(flatten(ReLU(conv(x))) W + b) of T sparse frames: (T, H).

    kernel is (36 C, F), Keras's (6, 6, C, F): C = 80 for frames as one row of 80 columns with 80
    channels (P = 27), C = 1 for frames as images (P = 27 * 27); w is (P F, H).
    """
    spatial = kernel.reshape(SIZE, SIZE, -1, kernel.shape[1])
    for s in _chunks(indptr):
        x = _images(indptr[s.start : s.stop + 1], indices, signs, spatial.shape[2])
        maps = np.maximum(convolve(x, spatial, bias), 0.0).reshape(len(x), len(w))
        hidden[s] = np.maximum(maps @ _exact(w) + _exact(b), 0.0)


def sparse_conv_backward(
    indptr: Array,
    indices: Array,
    signs: Array,
    kernel: Array,
    bias: Array,
    w: Array,
    dhidden: Array,
    values: Array,
    total: Array,
    touched: Array,
    grad_kernel: Array,
    grad_bias: Array,
    grad_w: Array,
    grad_b: Array,
) -> None:
    """Add the gradient of sum_t dhidden_t . (flatten(ReLU(conv(x_t))) W + b)."""
    spatial = kernel.reshape(SIZE, SIZE, -1, kernel.shape[1])
    for s in _chunks(indptr):
        x = _images(indptr[s.start : s.stop + 1], indices, signs, spatial.shape[2])
        maps, up = convolve(x, spatial, bias), _exact(dhidden[s])
        flat = np.maximum(maps, 0.0).reshape(len(x), len(w))
        grad_w[:] = grad_w + flat.T @ up
        grad_b[:] = grad_b + up.sum(axis=0)
        down = (up @ _exact(w).T).reshape(maps.shape) * (maps > 0)
        grad_bias[:] = grad_bias + down.sum(axis=(0, 1, 2))
        padded, rows, columns = _pad(x)
        places = [
            np.tensordot(_window(padded, i, j, rows, columns), down, ([0, 1, 2], [0, 1, 2]))
            for i, j in np.ndindex(SIZE, SIZE)
        ]
        grad_kernel[:] = grad_kernel + np.concatenate(places)


def dense_forward(x: Array, w: Array, b: Array, relu: bool, out: Array) -> None:
    """Write y = x W + b, or its ReLU: (T, N) -> (T, M)."""
    exact = _exact(x) @ _exact(w) + _exact(b)
    out[:] = np.maximum(exact, 0.0) if relu else exact


def dense_backward(
    x: Array, w: Array, dout: Array, relu: bool, grad_w: Array, grad_b: Array, dx: Array
) -> None:
    """Add dW = x^T dout, db = sum_t dout_t; write dx = dout W^T, 0 where x <= 0 if ``relu``."""
    grad_w[:] = grad_w + _exact(x).T @ _exact(dout)
    grad_b[:] = grad_b + _exact(dout).sum(axis=0)
    dx[:] = _exact(dout) @ _exact(w).T * ((x > 0) if relu else 1.0)


def softmax(logits: Array, out: Array) -> None:
    """Write p_i = 1 / sum_j exp(l_j - l_i): (T, A) -> (T, A)."""
    exact = _exact(logits)
    with np.errstate(over="ignore"):
        out[:] = 1.0 / np.exp(exact[:, None, :] - exact[:, :, None]).sum(axis=2)


def soft_targets(
    probability: Array, actions: Array, advantage: Array, step: float
) -> NDArray[np.float64]:
    """Return Y = p + step (one-hot(action) - p) advantage: (T, A)."""
    exact = _exact(probability)
    chosen = np.eye(exact.shape[1])[actions]
    return np.asarray(exact + step * (chosen - exact) * _exact(advantage)[:, None])


def cross_entropy(targets: Array, probability: Array) -> NDArray[np.float64]:
    """Return -sum_i Y_ti log(clip(p_ti)) of every step: (T,)."""
    clipped = np.clip(_exact(probability), CLIP, 1 - CLIP)
    return np.asarray(-np.sum(_exact(targets) * np.log(clipped), axis=1))


def cross_entropy_gradient(
    probability: Array, actions: Array, advantage: Array, step: float, dlogit: Array, loss: Array
) -> None:
    """Write the loss of every step, and its gradient by the logits for fixed targets.

    Through the Jacobian of the softmax, dp_i/dl_j = p_i (delta_ij - p_j), and that of the clipped
    logarithm, 1 / p_i between the bounds and 0 beyond them.
    """
    p = _exact(probability)
    targets = soft_targets(p, actions, advantage, step)
    inside = (p >= CLIP) & (p <= 1 - CLIP)
    slope = -targets * inside / np.where(inside, p, 1.0)
    jacobian = p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :])
    dlogit[:] = np.einsum("ti,tij->tj", slope, jacobian)
    loss[:] = cross_entropy(targets, p)


def adam_update(
    parameter: Array,
    gradient: Array,
    mean: Array,
    square: Array,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """Descend in place; ``epsilon`` stands beside the root of the uncorrected second moment.

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        w = w - rate m' / (sqrt(v') + e / sqrt(1 - b2^step)),  m' = m / (1 - b1^step), v' likewise

    which is Keras's rate sqrt(1 - b2^step) / (1 - b1^step) m / (sqrt(v) + e), from the formula of
    Kingma and Ba (2015), Algorithm 1.
    """
    g = _exact(gradient)
    m = beta1 * _exact(mean) + (1.0 - beta1) * g
    v = beta2 * _exact(square) + (1.0 - beta2) * np.square(g)
    scale = 1.0 - beta2**step
    root = np.sqrt(v / scale) + epsilon / np.sqrt(scale)
    parameter[:] = parameter - learning_rate * (m / (1.0 - beta1**step)) / root
    mean[:], square[:] = m, v


class ConvStep(PolicyStep):
    """Decide one step of an episode: encode the screen, forward, choose among A actions.

    As ``PolicyStep``, for the network ``network``, a tuple (kernel (36 C, F), bias (F,), w1
    (P F, H), b1 (H,), w2 (H, N), b2 (N,), w3 (N, A), b3 (A,)).
    """

    def __init__(
        self,
        screens: Array,
        table: Array,
        network: tuple[Array, ...],
        scratch: tuple[Array, ...],
        indptr: Array,
        indices: Array,
        signs: Array,
        actions: Array,
        greedy: bool,
    ) -> None:
        self.screens, self.table, self.network, self.greedy = screens, table, network, greedy
        self.indptr, self.indices, self.signs, self.actions = indptr, indices, signs, actions

    def __call__(self, t: int, uniform: float) -> int:
        """Record step t and return the action; -1: no room.

        It is the first whose probability and those before it come to more than ``uniform`` of
        all, or the first of the likeliest ones if ``greedy``.
        """
        start = int(self.indptr[t]) if 0 <= t < len(self.actions) else -1
        if start < 0 or start + PIXELS > len(self.indices):
            return -1
        screen, before = self.screens[t % 2], self.screens[(t - 1) % 2]
        n = sparse_difference_frame(
            screen, before if t > 0 else screen, self.table,
            self.indices[start:], self.signs[start:],
        )  # fmt: skip
        self.indptr[t + 1] = start + n
        probability = self._probability(self.indptr[t : t + 2])
        sums = np.cumsum(probability, dtype=np.float64)
        drawn = np.searchsorted(sums / sums[-1], uniform, side="right")
        action = int(np.argmax(probability)) if self.greedy else min(int(drawn), len(sums) - 1)
        self.actions[t] = action
        return action

    def _probability(self, indptr: Array) -> Array:
        """Return the (A,) probabilities, each layer rounded as the kernels round it."""
        kernel, bias, w1, b1, w2, b2, w3, b3 = self.network
        h1, h2, p = (np.zeros((1, len(b)), w1.dtype) for b in (b1, b2, b3))
        none = np.zeros(0)
        sparse_conv_forward(
            indptr, self.indices, self.signs, kernel, bias, w1, b1, none, none, none, h1
        )
        dense_forward(h1, w2, b2, True, h2)
        dense_forward(h2, w3, b3, False, p)
        softmax(p, p)
        probability: Array = p[0]
        return probability
