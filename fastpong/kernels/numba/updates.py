"""Updates, by Numba's kernels one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from fastpong.arrays import Array, Tuple
from fastpong.kernels.numba.cells import cells_backward, cells_forward, cells_heads
from fastpong.kernels.numba.losses import ppo_gradient
from fastpong.kernels.numba.optimizers import cells_adam

RawShare = tuple[Tuple, Tuple, Array, Array]

GROUP = 1  # no units are added up by themselves: an update joins all shares


class PpoUpdate:
    """Passes over a batch, by the kernels above on one thread: see ``kernels``.

    Heads add up all units in one go, whatever the shares: these are joined, and cut again.
    """

    def __init__(
        self, shares: Sequence[RawShare], tree: Tuple, inputs: Tuple, steps: Tuple,
        coefficients: tuple[float, ...],
    ) -> None:  # fmt: skip
        self._shares, self._tree, self._inputs, self._steps = shares, tree, inputs, steps
        self._clip_range, self._vf_coef, self._max_grad_norm, *self._adam = coefficients

    def run(
        self, order: Array, edges: Array, step: int, learning_rate: float, ent_coef: float,
        each: Callable[..., None], metrics: Array,
    ) -> None:  # fmt: skip
        """Take a step of Adam for every minibatch order[edges[k]:edges[k + 1]]."""
        cut = [(*network, *moments) for network, moments, _, _ in self._shares]
        whole = [np.concatenate(arrays, axis=1) for arrays in zip(*cut, strict=True)]
        gradient = np.concatenate([share[2] for share in self._shares], axis=1)
        weights = self._clip_range, ent_coef, self._vf_coef
        for k in range(len(edges) - 1):
            part = order[edges[k] : edges[k + 1]]
            metrics[k] = self._gradient(part, whole, gradient, weights)
            norm = float(metrics[k, 5])
            if not math.isfinite(norm):
                break
            factor = min(1.0, self._max_grad_norm / max(norm, 1e-12))
            cells_adam(
                tuple(whole[:2]), gradient, tuple(whole[2:]), self._tree, step + k + 1,
                (factor, learning_rate, *self._adam),
            )  # fmt: skip
        first = 0
        for arrays in cut:
            last = first + arrays[0].shape[1]
            for mine, joined in zip(arrays, whole, strict=True):
                mine[...] = joined[:, first:last]
            first = last

    def _gradient(
        self, order: Array, whole: Sequence[Array], gradient: Array, weights: tuple[float, ...]
    ) -> list[float]:
        """Write the gradient, return the losses and its norm."""
        rows, units, size, kind = whole[0], whole[1], len(order), gradient.dtype
        hidden, squares = np.empty((size, 2, units.shape[1]), kind), np.empty(units.shape[1])
        logit, value, dlogit, dvalue = np.empty((4, size), kind)
        losses = np.empty((5, size))
        cells_forward(order, self._inputs, (rows, units), self._tree[0], hidden)
        cells_heads(hidden, units, (logit, value))
        ppo_gradient(order, logit, value, self._steps, weights, (dlogit, dvalue, losses))
        cells_backward(
            order, self._inputs, self._tree, hidden, units, (dlogit, dvalue), (gradient, squares)
        )
        return [*losses.mean(axis=1).tolist(), math.sqrt(np.add.accumulate(squares)[-1])]
