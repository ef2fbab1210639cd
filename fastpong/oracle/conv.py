"""The NumPy reference of the convolutional agent's kernels: dense, padded, and in float64.

As in ``oracle``, each function has the name, the arguments and the outputs of the compiled kernel
that it judges and goes another way: frames are made dense and padded, the convolution walks over
all 36 places of its kernel, those that only ever meet padding too, and no use is made of what an
empty frame would give. ``scratch`` is the kernels' room to work in, unused here.

Notation: T steps, P positions of the convolution's output, F filters, H units, N inputs, M outputs,
A actions. Sources: the Keras documentation of Conv2D, categorical_crossentropy and Adam."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array, Tuple
from fastpong.oracle.arrays import to_float64
from fastpong.oracle.frames import PIXELS, dense_frames, sparse_difference_frame
from fastpong.oracle.linear import PolicyStep, dense_forward
from fastpong.oracle.losses import softmax

SIDE, SIZE, STRIDE = 80, 6, 3
# Dense frames and their convolution, in float64: 13 MB a chunk for an image's 27 x 27 x 32.
CHUNK = 64


def convolve(x: Array, kernel: Array, bias: Array) -> NDArray[np.float64]:
    """Return the 'same'-padded convolution with stride 3.

    (T, h, w, C) -> (T, h', w', F)

    n' = ceil(n / 3), of the max(0, 3 (n' - 1) + 6 - n) rows of padding the lesser half comes first.
    """
    padded, rows, columns = _pad(to_float64(x))
    out = np.zeros((len(x), rows, columns, len(bias))) + to_float64(bias)
    for i, j in np.ndindex(SIZE, SIZE):
        out += _window(padded, i, j, rows, columns) @ to_float64(kernel[i, j])
    return out


def _pad(x: Array) -> tuple[Array, int, int]:
    sizes = [-(-n // STRIDE) for n in x.shape[1:3]]
    total = [max(0, STRIDE * (m - 1) + SIZE - n) for m, n in zip(sizes, x.shape[1:3], strict=True)]
    widths = [(0, 0), *((k // 2, k - k // 2) for k in total), (0, 0)]
    return np.pad(x, widths), sizes[0], sizes[1]


def _window(padded: Array, i: int, j: int, rows: int, columns: int) -> Array:
    """Return all that the kernel's place (i, j) meets."""
    return padded[:, i : i + STRIDE * rows : STRIDE, j : j + STRIDE * columns : STRIDE]


def _images(indptr: Array, indices: Array, signs: Array, channels: int) -> Array:
    """Return dense frames, (T, 1, 80, 80) or (T, 80, 80, 1)."""
    frames = dense_frames(indptr, indices, signs)
    return frames.reshape(len(frames), -1, SIDE, channels)


def _chunks(indptr: Array) -> Iterator[slice]:
    for start in range(0, len(indptr) - 1, CHUNK):
        yield slice(start, min(start + CHUNK, len(indptr) - 1))


def sparse_conv_forward(frames: Tuple, layer: Tuple, scratch: Tuple, hidden: Array) -> None:
    """Write h = ReLU(flatten(ReLU(conv(x))) W + b).

    kernel is (36 C, F), Keras's (6, 6, C, F): C = 80 for frames as one row of 80 columns with 80
    channels (P = 27), C = 1 for frames as images (P = 27 * 27), w is (P F, H).
    """
    indptr, indices, signs = frames
    kernel, bias, w, b = layer
    spatial = kernel.reshape(SIZE, SIZE, -1, kernel.shape[1])
    for s in _chunks(indptr):
        x = _images(indptr[s.start : s.stop + 1], indices, signs, spatial.shape[2])
        maps = np.maximum(convolve(x, spatial, bias), 0.0).reshape(len(x), len(w))
        hidden[s] = np.maximum(maps @ to_float64(w) + to_float64(b), 0.0)


def sparse_conv_backward(
    frames: Tuple, layer: Tuple, dhidden: Array, scratch: Tuple, grads: Tuple
) -> None:
    """Add the gradient of convolution and dense layer."""
    indptr, indices, signs = frames
    kernel, bias, w = layer
    grad_kernel, grad_bias, grad_w, grad_b = grads
    spatial = kernel.reshape(SIZE, SIZE, -1, kernel.shape[1])
    for s in _chunks(indptr):
        x = _images(indptr[s.start : s.stop + 1], indices, signs, spatial.shape[2])
        maps, up = convolve(x, spatial, bias), to_float64(dhidden[s])
        flat = np.maximum(maps, 0.0).reshape(len(x), len(w))
        grad_w[:] = grad_w + flat.T @ up
        grad_b[:] = grad_b + up.sum(axis=0)
        down = (up @ to_float64(w).T).reshape(maps.shape) * (maps > 0)
        grad_bias[:] = grad_bias + down.sum(axis=(0, 1, 2))
        padded, rows, columns = _pad(x)
        places = [
            np.tensordot(_window(padded, i, j, rows, columns), down, ([0, 1, 2], [0, 1, 2]))
            for i, j in np.ndindex(SIZE, SIZE)
        ]
        grad_kernel[:] = grad_kernel + np.concatenate(places)


class ConvStep(PolicyStep):
    """Decide one step of an episode, among A actions.

    As ``PolicyStep``, for the network ``network``, a tuple (kernel (36 C, F), bias (F,), w1
    (P F, H), b1 (H,), w2 (H, N), b2 (N,), w3 (N, A), b3 (A,)).
    """

    def __init__(
        self, screens: Array, table: Array, network: tuple[Array, ...], scratch: tuple[Array, ...],
        indptr: Array, indices: Array, signs: Array, actions: Array, greedy: bool,
    ) -> None:  # fmt: skip
        self.screens, self.table, self.network, self.greedy = screens, table, network, greedy
        self.indptr, self.indices, self.signs, self.actions = indptr, indices, signs, actions

    def __call__(self, t: int, uniform: float) -> int:
        """Record step t, return the action, or -1.

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
        """Return the probabilities, rounded layer by layer."""
        kernel, bias, w1, b1, w2, b2, w3, b3 = self.network
        h1, h2, p = (np.zeros((1, len(b)), w1.dtype) for b in (b1, b2, b3))
        frames = indptr, self.indices, self.signs
        sparse_conv_forward(frames, (kernel, bias, w1, b1), (), h1)
        dense_forward(h1, w2, b2, True, h2)
        dense_forward(h2, w3, b3, False, p)
        softmax(p, p)
        probability: Array = p[0]
        return probability
