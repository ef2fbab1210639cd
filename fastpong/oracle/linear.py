"""Linear layers: Karpathy's policy, dense and sparse, its step, and dense layers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array
from fastpong.oracle.arrays import to_float64
from fastpong.oracle.frames import PIXELS, dense_frames, sparse_difference_frame

# Dense frames are made this many steps at a time: 256 x 6400 float64 are 13 MB.
CHUNK = 256


def sigmoid(logit: Array) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logit)).

    As (1 + tanh(logit / 2)) / 2 it cannot overflow.
    """
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * to_float64(logit))))


def policy_forward(x: Array, w1: Array, w2: Array, hidden: Array, probability: Array) -> None:
    """Write h = ReLU(x W1), p = sigmoid(h . W2)."""
    exact = np.maximum(to_float64(x) @ to_float64(w1), 0.0)
    hidden[:] = exact
    probability[:] = sigmoid(exact @ to_float64(w2))


def policy_backward(
    x: Array, hidden: Array, dlogit: Array, w2: Array, grad_w1: Array, grad_w2: Array
) -> None:
    """Add the gradient of sum_t dlogit_t logit_t.

    dW2 = h^T dlogit,  dW1 = x^T (dlogit W2^T where h > 0).
    """
    delta = np.outer(to_float64(dlogit), to_float64(w2)) * (hidden > 0)
    grad_w1[:] = grad_w1 + to_float64(x).T @ delta
    grad_w2[:] = grad_w2 + to_float64(hidden).T @ to_float64(dlogit)


def _chunks(steps: int) -> Iterator[slice]:
    for start in range(0, steps, CHUNK):
        yield slice(start, min(start + CHUNK, steps))


def sparse_policy_forward(
    indptr: Array, indices: Array, signs: Array, w1: Array, w2: Array, hidden: Array, probability:
    Array,
) -> None:  # fmt: skip
    """Write ``policy_forward`` of the dense frames."""
    for s in _chunks(len(indptr) - 1):
        frames = dense_frames(indptr[s.start : s.stop + 1], indices, signs, len(w1))
        policy_forward(frames, w1, w2, hidden[s], probability[s])


def sparse_policy_backward(
    indptr: Array, indices: Array, signs: Array, hidden: Array, dlogit: Array, w2: Array, grad_w1:
    Array, grad_w2: Array,
) -> None:  # fmt: skip
    """Add ``policy_backward`` of the dense frames."""
    for s in _chunks(len(indptr) - 1):
        frames = dense_frames(indptr[s.start : s.stop + 1], indices, signs, len(grad_w1))
        policy_backward(frames, hidden[s], dlogit[s], w2, grad_w1, grad_w2)


class PolicyStep:
    """Decide one step of an episode.

    Buffers belong to the caller and are bound once: screens (2, 210, 160) u8, table (256,) u8,
    w1 (D, H), w2 (H,), indptr (cap + 1,) i64, indices (room,) u16, signs (room,) i8,
    actions (cap,) u8.
    """

    def __init__(
        self, screens: Array, table: Array, w1: Array, w2: Array, indptr: Array, indices: Array,
        signs: Array, actions: Array,
    ) -> None:  # fmt: skip
        self.screens, self.table, self.w1, self.w2 = screens, table, w1, w2
        self.indptr, self.indices, self.signs, self.actions = indptr, indices, signs, actions
        self.hidden = np.zeros((1, len(w2)))
        self.probability = np.zeros(1)

    def __call__(self, t: int, uniform: float) -> int:
        """Record step t, return 1, 0, or -1: no room."""
        start = int(self.indptr[t]) if 0 <= t < len(self.actions) else -1
        if not 0 <= start <= len(self.indices) - PIXELS:
            return -1
        screen = self.screens[t % 2]
        previous = self.screens[(t - 1) % 2] if t > 0 else screen
        n = sparse_difference_frame(
            screen, previous, self.table, self.indices[start:], self.signs[start:]
        )
        self.indptr[t + 1] = start + n
        sparse_policy_forward(
            self.indptr[t : t + 2],
            self.indices,
            self.signs,
            self.w1,
            self.w2,
            self.hidden,
            self.probability,
        )
        action = int(uniform < self.probability[0])
        self.actions[t] = action
        return action


def dense_forward(x: Array, w: Array, b: Array, relu: bool, out: Array) -> None:
    """Write y = x W + b, or its ReLU."""
    exact = to_float64(x) @ to_float64(w) + to_float64(b)
    out[:] = np.maximum(exact, 0.0) if relu else exact


def dense_backward(
    x: Array, w: Array, dout: Array, relu: bool, grad_w: Array, grad_b: Array, dx: Array
) -> None:
    """Add dW and db, write dx of a layer.

    dW = x^T dout, db = sum_t dout_t, dx = dout W^T, 0 where x <= 0 if ``relu``
    """
    grad_w[:] = grad_w + to_float64(x).T @ to_float64(dout)
    grad_b[:] = grad_b + to_float64(dout).sum(axis=0)
    dx[:] = to_float64(dout) @ to_float64(w).T * ((x > 0) if relu else 1.0)
