"""The NumPy reference of the actor-critic agent's kernels: dense, unpartitioned, in float64.

As in ``oracle``, each function has the name, the arguments and the outputs of the compiled kernel
that it judges and goes another way: frames are made dense, the network and its gradient are matrix
products, the policy is a softmax of two logits, returns are explicit sums.

Notation: N decisions of a batch, M of them in a minibatch, B base rows (inputs) and R rows in all,
H units; see ``pyramid`` for rows, parents and scales. The network, for an input x and its mirror
image x':

    h = ReLU(x E + b),  h' = ReLU(x' E + b)
    logits of RIGHT and LEFT: u and -u, u = (h - h') . a;  value: (h + h') . v

so that upside down the two actions exchange and the value stays. ``units`` is (3, H): b, a, v.
Kernels that work on a share of the units or decisions, [first, last), leave all else alone.

Sources: Schulman et al., "Proximal Policy Optimization Algorithms" (2017), eq. 7 and 9; Schulman
et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (2016), eq. 16;
Kingma and Ba, "Adam" (2015), algorithm 1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array
from fastpong.geometry import PONG
from fastpong.oracle.arrays import to_float64
from fastpong.oracle.losses import log_probabilities

TOP, FIELD = PONG.top, PONG.height


def cell_counts(frame: Array, resolution: int) -> NDArray[np.float64]:
    """Return the sum over each cell of a square field: (S, S)."""
    side = len(frame) // resolution
    blocks = to_float64(frame).reshape(side, resolution, side, resolution)
    return np.asarray(blocks.sum(axis=(1, 3)))


def encode_cells(
    screen: Array, previous: Array, table: Array, resolution: int, stride: int, indices: Array,
    values: Array,
) -> int:  # fmt: skip
    """Write the non-zero cells of the frame, then of the difference frame; return their number n.

    indices[:n] u16: S y + x for the frame's, S S more for the difference's; values[:n] int8.
    """
    return encode_channels((screen, previous), table, resolution, stride, indices, values)


def encode_channels(
    screens: Sequence[Array], table: Array, resolution: int, stride: int, indices: Array, values:
    Array,
) -> int:  # fmt: skip
    """Do the same for the newest screen and its predecessors, with a difference between neighbours.

    Channel 0 is the frame, channel c screen c - 1 less screen c, counted back from the newest.
    """
    field = [s[TOP : TOP + FIELD : stride, :FIELD:stride] for s in screens]
    frames = [np.take(table, part).astype(np.float64) for part in field]
    channels = [frames[0], *(now - before for now, before in pairwise(frames))]
    flat = np.concatenate([cell_counts(channel, resolution).ravel() for channel in channels])
    lit = np.flatnonzero(flat)
    indices[: len(lit)], values[: len(lit)] = lit, flat[lit]
    return len(lit)


def dense_inputs(
    order: Array, indptr: Array, indices: Array, values: Array, base: int
) -> NDArray[np.float64]:
    """Return the inputs of the decisions ``order`` as a matrix (M, B)."""
    x = np.zeros((len(order), base))
    for q, t in enumerate(order):
        span = slice(indptr[t], indptr[t + 1])
        np.add.at(x[q], indices[span], to_float64(values[span]))
    return x


def pyramid_forward(
    order: Array, indptr: Array, indices: Array, values: Array, rows: Array, mirror: Array, units:
    Array, first: int, last: int, hidden: Array,
) -> None:  # fmt: skip
    """Write h and h' of the decisions ``order``: hidden (M, 2, H), units [first, last)."""
    x = dense_inputs(order, indptr, indices, values, len(rows))
    w = to_float64(rows[:, first:last])
    for k, image in enumerate((x, x[:, mirror])):
        hidden[:, k, first:last] = np.maximum(image @ w + to_float64(units[0, first:last]), 0.0)


def actor_critic(
    hidden: Array, units: Array, first: int, last: int, logit: Array, estimate: Array
) -> None:
    """Write logit = u - (-u) = 2 (h - h') . a and the value, of the decisions [first, last)."""
    h, image = to_float64(hidden[first:last, 0]), to_float64(hidden[first:last, 1])
    logit[first:last] = 2.0 * (h @ to_float64(units[1]) - image @ to_float64(units[1]))
    estimate[first:last] = h @ to_float64(units[2]) + image @ to_float64(units[2])


def pyramid_backward(
    order: Array, indptr: Array, indices: Array, values: Array, mirror: Array, parents: Array,
    scales: Array, seen: Array, hidden: Array, units: Array, dlogit: Array, dvalue: Array, first:
    int, last: int, gradient: Array, squares: Array,
) -> None:  # fmt: skip
    """Write the gradient by all weights, of the units [first, last): (R + 3, H).

    The rows of W come first, then those of ``units``. squares (H,) float64: the sum of its squares,
    unit by unit. ``seen`` (R,) says which rows some input has ever reached: of no other is there a
    gradient, and the kernels leave it alone.
    """
    share, total = slice(first, last), len(seen)
    x = dense_inputs(order, indptr, indices, values, len(mirror))
    h = to_float64(hidden[:, :, share])
    a, v = to_float64(units[1:, share])
    du = 2.0 * to_float64(dlogit)[:, None, None] * np.array([1.0, -1.0])[:, None]
    dv = to_float64(dvalue)[:, None, None]
    dz = (du * a + dv * v) * (h > 0)
    full = np.zeros((total + 3, last - first))
    full[: len(mirror)] = x.T @ dz[:, 0] + x[:, mirror].T @ dz[:, 1]
    for above, scale in zip(parents, scales, strict=True):
        has = np.flatnonzero(above >= 0)
        np.add.at(full, above[has], scale * full[has])
    full[total:] = dz.sum(axis=(0, 1)), (du * h).sum(axis=(0, 1)), (dv * h).sum(axis=(0, 1))
    gradient[:, share] = full
    squares[share] = np.square(full).sum(axis=0)


def pyramid_adam(
    rows: Array, units: Array, gradient: Array, mean: Array, square: Array, seen: Array, parents:
    Array, scales: Array, factor: float, step: int, learning_rate: float, beta1: float, beta2:
    float, epsilon: float, first: int, last: int,
) -> None:  # fmt: skip
    """Take one step of Adam with ``factor`` times the gradient, of the units [first, last).

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
        W = W - rate m / (1 - b1^step) / (sqrt(v / (1 - b2^step)) + epsilon)

    Of W only E = W + sum of scaled parents is kept, in ``rows``, and moves by the same sum of
    steps. Overwrites mean and square (R + 3, H), rows and units, and gradient by the steps of W.
    """
    share = slice(first, last)
    g = factor * to_float64(gradient[:, share])
    m = beta1 * to_float64(mean[:, share]) + (1.0 - beta1) * g
    v = beta2 * to_float64(square[:, share]) + (1.0 - beta2) * np.square(g)
    mean[:, share], square[:, share] = m, v
    moved = -learning_rate * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    by_row = moved[: len(rows)].copy()
    for above, scale in zip(parents, scales, strict=True):
        by_row += scale * np.where(above[:, None] >= 0, moved[above], 0.0)
    gradient[:, share] = moved
    rows[:, share] = rows[:, share] + by_row
    units[:, share] = units[:, share] + moved[len(seen) :]


class ActorStep:
    """Decide one step of a segment: encode the screen, forward, choose. See ``kernels``."""

    def __init__(
        self, screens: Array, table: Array, resolution: int, stride: int, spread: int, rows: Array,
        mirror: Array, units: Array, scratch: Array, indptr: Array, indices: Array, values: Array,
        actions: Array, logits: Array, estimates: Array,
    ) -> None:  # fmt: skip
        self.screens, self.table = screens, table
        self.resolution, self.stride, self.spread = resolution, stride, spread
        self.rows, self.mirror, self.units, self.hidden = rows, mirror, units, scratch
        self.indptr, self.indices, self.values = indptr, indices, values
        self.actions, self.logits, self.estimates = actions, logits, estimates

    def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
        """Record step t and return the action, 1 (RIGHT) if uniform < its probability; -1: no room.

        fresh : the first step of an episode, which has no frame before it
        """
        possible = 0 <= t < len(self.actions) and last_action <= 1
        start = int(self.indptr[t]) if possible else -1
        if start < 0 or start + len(self.rows) > len(self.indices):
            return -1
        cells = (FIELD // self.stride // self.resolution) ** 2
        channels = len(self.rows) // cells
        ages = [0 if fresh else age * self.spread for age in range(channels)]
        end = start + encode_channels(
            [self.screens[(t - age) % len(self.screens)] for age in ages], self.table,
            self.resolution, self.stride, self.indices[start:], self.values[start:],
        )  # fmt: skip
        places = channels * cells
        if last_action >= 0 and len(self.rows) > places:
            self.indices[end], self.values[end] = places + last_action, 1
            end += 1
        self.indptr[t + 1] = end
        order = np.array([t])
        pyramid_forward(
            order, self.indptr, self.indices, self.values, self.rows, self.mirror, self.units,
            0, self.rows.shape[1], self.hidden,
        )  # fmt: skip
        actor_critic(
            self.hidden, self.units, 0, 1, self.logits[t : t + 1], self.estimates[t : t + 1]
        )
        self.actions[t] = uniform < np.exp(log_probabilities(self.logits[t : t + 1])[0, 1])
        return int(self.actions[t])
