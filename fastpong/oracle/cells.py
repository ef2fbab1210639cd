"""The NumPy reference of the cells network's kernels: dense, unpartitioned, in float64.

As in ``oracle``, each function has the name, the arguments and the outputs of the compiled kernel
that it judges and goes another way: frames are made dense, the network and its gradient are matrix
products, the policy is a softmax of two logits, returns are explicit sums.

Notation: N steps of a batch, M of them in a minibatch, B base rows (inputs) and R rows in all,
H units, see ``pyramid`` for rows, parents and scales. The network, for an input x and its mirror
image x':

    h = ReLU(x E + b),  h' = ReLU(x' E + b)
    logits of RIGHT and LEFT: u and -u, u = (h - h') . a,  value: (h + h') . v

so that upside down the two actions exchange and the value stays. ``units`` is (3, H): b, a, v.
Tuples of arrays are those of ``kernels.bundles``: inputs, tree, network, moments, steps.

Sources: Schulman et al., "Proximal Policy Optimization Algorithms" (2017), eq. 7 and 9,
and "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (2016), eq. 16,
Kingma and Ba, "Adam" (2015), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array, Tuple
from fastpong.geometry import PONG
from fastpong.oracle.arrays import to_float64
from fastpong.oracle.losses import log_probabilities

TOP, FIELD = PONG.top, PONG.height


def cell_counts(frame: Array, cell_size: int) -> NDArray[np.float64]:
    """Return the sum over each cell of a square field: (S, S)."""
    side = len(frame) // cell_size
    blocks = to_float64(frame).reshape(side, cell_size, side, cell_size)
    return np.asarray(blocks.sum(axis=(1, 3)))


def encode_cells(
    screen: Array, previous: Array, table: Array, cell_size: int, pixel_stride: int, out: Tuple
) -> int:
    """Write the non-zero cells, return their number n.

    indices[:n] u16: S y + x for the frame's, S S more for the difference's, values[:n] int8.
    """
    return encode_channels((screen, previous), table, cell_size, pixel_stride, out)


def encode_channels(
    screens: Sequence[Array], table: Array, cell_size: int, pixel_stride: int, out: Tuple
) -> int:
    """Do the same for a screen and its predecessors.

    Channel 0 is the frame, channel c screen c - 1 less screen c, counted back from the newest.
    """
    field = [s[TOP : TOP + FIELD : pixel_stride, :FIELD:pixel_stride] for s in screens]
    frames = [np.take(table, part).astype(np.float64) for part in field]
    channels = [frames[0], *(now - before for now, before in pairwise(frames))]
    flat = np.concatenate([cell_counts(channel, cell_size).ravel() for channel in channels])
    lit = np.flatnonzero(flat)
    for array, found in zip(out, (lit, flat[lit]), strict=True):
        array[: len(lit)] = found
    return len(lit)


def dense_inputs(order: Array, inputs: Tuple, base: int) -> NDArray[np.float64]:
    """Return the inputs of the steps ``order``: (M, B)."""
    indptr, indices, values = inputs
    x = np.zeros((len(order), base))
    for q, t in enumerate(order):
        span = slice(indptr[t], indptr[t + 1])
        np.add.at(x[q], indices[span], to_float64(values[span]))
    return x


def cells_forward(
    order: Array, inputs: Tuple, network: Tuple, mirror: Array, hidden: Array
) -> None:
    """Write h and h' of the steps ``order``: hidden (M, 2, H)."""
    rows, units = network
    x = dense_inputs(order, inputs, len(rows))
    for k, image in enumerate((x, x[:, mirror])):
        hidden[:, k] = np.maximum(image @ to_float64(rows) + to_float64(units[0]), 0.0)


def cells_heads(hidden: Array, units: Array, out: Tuple) -> None:
    """Write logit = u - (-u) = 2 (h - h') . a and the value."""
    logit, value = out
    h, image = to_float64(hidden[:, 0]), to_float64(hidden[:, 1])
    logit[:] = 2.0 * (h @ to_float64(units[1]) - image @ to_float64(units[1]))
    value[:] = h @ to_float64(units[2]) + image @ to_float64(units[2])


def cells_backward(
    order: Array, inputs: Tuple, tree: Tuple, hidden: Array, units: Array, upward: Tuple,
    out: Tuple,
) -> None:  # fmt: skip
    """Write the gradient by all weights: (R + 3, H).

    The rows of W come first, then those of ``units``. squares (H,) float64: the sum of its squares,
    unit by unit. Rows that no input has ever reached, ``seen`` 0, have no gradient: the kernels
    leave them alone.
    """
    mirror, parents, scales, seen = tree
    gradient, squares = out
    total = len(seen)
    x = dense_inputs(order, inputs, len(mirror))
    h, a, v = to_float64(hidden), *to_float64(units[1:])
    du = 2.0 * to_float64(upward[0])[:, None, None] * np.array([1.0, -1.0])[:, None]
    dv = to_float64(upward[1])[:, None, None]
    dz = (du * a + dv * v) * (h > 0)
    full = np.zeros((total + 3, len(a)))
    full[: len(mirror)] = x.T @ dz[:, 0] + x[:, mirror].T @ dz[:, 1]
    for above, scale in zip(parents, scales, strict=True):
        has = np.flatnonzero(above >= 0)
        np.add.at(full, above[has], scale * full[has])
    full[total:] = dz.sum(axis=(0, 1)), (du * h).sum(axis=(0, 1)), (dv * h).sum(axis=(0, 1))
    gradient[:] = full
    squares[:] = np.square(full).sum(axis=0)


class CellsStep:
    """Play one step of a rollout: encode, forward, choose."""

    def __init__(
        self, screens: Array, table: Array, geometry: tuple[int, int, int], network: Tuple,
        mirror: Array, scratch: Array, inputs: Tuple, record: Tuple,
    ) -> None:  # fmt: skip
        self.screens, self.table = screens, table
        self.cell_size, self.pixel_stride, self.spread = geometry
        self.network, self.mirror, self.hidden = network, mirror, scratch
        self.inputs, self.record = inputs, record

    def __call__(self, t: int, uniform: float, fresh: bool, last_action: int) -> int:
        """Record step t, return 1 (RIGHT), 0 (LEFT), or -1: no room.

        fresh : the first step of an episode, which has no frame before it
        """
        indptr, indices, values = self.inputs
        actions, logits, estimates = self.record
        possible = 0 <= t < len(actions) and last_action <= 1
        start = int(indptr[t]) if possible else -1
        if start < 0 or start + len(self.mirror) > len(indices):
            return -1
        cells = (FIELD // self.pixel_stride // self.cell_size) ** 2
        channels = len(self.mirror) // cells
        ages = [0 if fresh else age * self.spread for age in range(channels)]
        end = start + encode_channels(
            [self.screens[(t - age) % len(self.screens)] for age in ages], self.table,
            self.cell_size, self.pixel_stride, (indices[start:], values[start:]),
        )  # fmt: skip
        places = channels * cells
        if last_action >= 0 and len(self.mirror) > places:
            indices[end], values[end] = places + last_action, 1
            end += 1
        indptr[t + 1] = end
        cells_forward(np.array([t]), self.inputs, self.network, self.mirror, self.hidden)
        cells_heads(self.hidden, self.network[1], (logits[t : t + 1], estimates[t : t + 1]))
        actions[t] = uniform < np.exp(log_probabilities(logits[t : t + 1])[0, 1])
        return int(actions[t])
