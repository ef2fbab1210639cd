"""The NumPy reference of every kernel: slow, plain, and close to the formulas.

Each function has the name, the arguments and the outputs of the compiled kernel that it judges,
but goes another way wherever there is one: sparse frames are made dense, recursions are written
as sums, passes over single elements as matrix products. Everything is computed in float64 and
rounded once, on its way into the caller's output. Imports NumPy and nothing else.

Notation: T steps, D = 6400 pixels, H hidden units; a frame is 210 rows x 160 columns on screen.
Source of the agent's formulas: A. Karpathy, "Deep Reinforcement Learning: Pong from Pixels" (2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PIXELS = 6400
BACKGROUND_REDS = (0, 144, 109)
# Dense frames are made this many steps at a time: 256 x 6400 float64 are 13 MB.
CHUNK = 256


def _exact(array: Array) -> NDArray[np.float64]:
    """Return the array in float64, itself where it is so already."""
    return np.asarray(array, np.float64)


def _crop(screen: Array) -> Array:
    """Return the field, rows 35-194, by every second row and column: (80, 80, ...)."""
    return screen[35:195][::2, ::2]


def preprocess_frame(screen: Array, table: Array, out: Array) -> None:
    """Write ``table[screen]`` of the field: (210, 160) u8 palette indices -> (6400,) of 0 and 1."""
    out[:] = np.take(table, _crop(screen)).ravel()


def preprocess_frame_rgb(frame: Array, out: Array) -> None:
    """Write 0 where the red value is a background's, else 1: (210, 160, 3) u8 -> (6400,)."""
    out[:] = np.isin(_crop(frame)[..., 0], BACKGROUND_REDS, invert=True).ravel()


def difference_frame(current: Array, previous: Array, out: Array) -> None:
    """Write x_t = f_t - f_{t-1}: (D,) each; u8 frames give int8."""
    out[:] = np.subtract(_exact(current), _exact(previous)).astype(out.dtype)


def sparse_difference_frame(
    screen: Array, previous: Array, table: Array, indices: Array, signs: Array
) -> int:
    """Write the non-zeros of the difference frame of two palette screens; return their number n.

    indices[:n] u16 ascending, signs[:n] int8 in {-1, +1}; element n of both may be overwritten.
    """
    difference = np.zeros(PIXELS)
    frames = np.zeros((2, PIXELS))
    preprocess_frame(screen, table, frames[0])
    preprocess_frame(previous, table, frames[1])
    difference_frame(frames[0], frames[1], difference)
    active = np.flatnonzero(difference)
    indices[: active.size] = active
    signs[: active.size] = difference[active]
    return int(active.size)


def sigmoid(logit: Array) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logit)), as (1 + tanh(logit / 2)) / 2: it cannot overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * _exact(logit))))


def dense_frames(
    indptr: Array, indices: Array, signs: Array, pixels: int = PIXELS
) -> NDArray[np.float64]:
    """Return the dense (T, D) frames of sparse ones in CSR form; D = ``pixels``."""
    steps = len(indptr) - 1
    frames = np.zeros((steps, pixels))
    row = np.repeat(np.arange(steps), indptr[1:] - indptr[:-1])
    first, last = int(indptr[0]), int(indptr[-1])
    np.add.at(frames, (row, indices[first:last].astype(np.intp)), signs[first:last])
    return frames


def policy_forward(x: Array, w1: Array, w2: Array, hidden: Array, probability: Array) -> None:
    """Write h = ReLU(x W1) and p = sigmoid(h . W2): (T, D) -> (T, H) and (T,)."""
    exact = np.maximum(_exact(x) @ _exact(w1), 0.0)
    hidden[:] = exact
    probability[:] = sigmoid(exact @ _exact(w2))


def policy_backward(
    x: Array, hidden: Array, dlogit: Array, w2: Array, grad_w1: Array, grad_w2: Array
) -> None:
    """Add the gradient of sum_t dlogit_t logit_t: (D, H) and (H,).

    dW2 = h^T dlogit;  dW1 = x^T (dlogit W2^T where h > 0).
    """
    delta = np.outer(_exact(dlogit), _exact(w2)) * (hidden > 0)
    grad_w1[:] = grad_w1 + _exact(x).T @ delta
    grad_w2[:] = grad_w2 + _exact(hidden).T @ _exact(dlogit)


def _chunks(steps: int) -> Iterator[slice]:
    for start in range(0, steps, CHUNK):
        yield slice(start, min(start + CHUNK, steps))


def sparse_policy_forward(
    indptr: Array,
    indices: Array,
    signs: Array,
    w1: Array,
    w2: Array,
    hidden: Array,
    probability: Array,
) -> None:
    """Write ``policy_forward`` of the dense frames."""
    for s in _chunks(len(indptr) - 1):
        frames = dense_frames(indptr[s.start : s.stop + 1], indices, signs, len(w1))
        policy_forward(frames, w1, w2, hidden[s], probability[s])


def sparse_policy_backward(
    indptr: Array,
    indices: Array,
    signs: Array,
    hidden: Array,
    dlogit: Array,
    w2: Array,
    grad_w1: Array,
    grad_w2: Array,
) -> None:
    """Add ``policy_backward`` of the dense frames."""
    for s in _chunks(len(indptr) - 1):
        frames = dense_frames(indptr[s.start : s.stop + 1], indices, signs, len(grad_w1))
        policy_backward(frames, hidden[s], dlogit[s], w2, grad_w1, grad_w2)


class PolicyStep:
    """Decide one step of an episode: encode the screen, forward, choose.

    Buffers belong to the caller and are bound once: screens (2, 210, 160) u8, table (256,) u8,
    w1 (D, H), w2 (H,), indptr (cap + 1,) i64, indices (room,) u16, signs (room,) i8,
    actions (cap,) u8.
    """

    def __init__(
        self,
        screens: Array,
        table: Array,
        w1: Array,
        w2: Array,
        indptr: Array,
        indices: Array,
        signs: Array,
        actions: Array,
    ) -> None:
        self.screens, self.table, self.w1, self.w2 = screens, table, w1, w2
        self.indptr, self.indices, self.signs, self.actions = indptr, indices, signs, actions
        self.hidden = np.zeros((1, len(w2)))
        self.probability = np.zeros(1)

    def __call__(self, t: int, uniform: float) -> int:
        """Record step t and return 1 (RIGHT) with probability p, else 0 (LEFT); -1: no room."""
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


def discount_rewards(rewards: Array, gamma: float, out: Array, reset_on_reward: bool) -> None:
    """Write G_t = sum_{k=t}^{e(t)} gamma^(k-t) r_k: (T,) -> (T,).

    e(t) is the first k >= t with r_k != 0 if ``reset_on_reward`` and there is one, else T - 1.
    """
    exact = _exact(rewards)
    returns = np.zeros(len(exact))
    points = np.flatnonzero(exact) if reset_on_reward else np.zeros(0, np.intp)
    for t in range(len(exact)):
        later = points[np.searchsorted(points, t) :]
        end = int(later[0]) + 1 if later.size else len(exact)
        returns[t] = np.sum(gamma ** np.arange(end - t) * exact[t:end])
    out[:] = returns


def standardize(values: Array, out: Array, center: bool = True) -> None:
    """Write (v - mean) / population standard deviation; zeros where all values are equal.

    Without ``center`` v / standard deviation.
    """
    exact = _exact(values)
    # A deviation too small for float64 is none, either.
    if np.all(exact == exact[:1]) or np.std(exact) == 0:
        out[:] = 0
    else:
        out[:] = (exact - np.mean(exact) * center) / np.std(exact)


def rmsprop_update(
    parameter: Array,
    gradient: Array,
    cache: Array,
    learning_rate: float,
    decay: float,
    epsilon: float,
) -> None:
    """Climb in place: c = decay c + (1 - decay) g^2;  w = w + rate g / (sqrt(c) + epsilon)."""
    g = _exact(gradient)
    exact = decay * _exact(cache) + (1.0 - decay) * np.square(g)
    parameter[:] = parameter + learning_rate * g / (np.sqrt(exact) + epsilon)
    cache[:] = exact
