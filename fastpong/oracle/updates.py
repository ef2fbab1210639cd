"""Updates, by the oracle's kernels one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from fastpong.arrays import Array, Tuple
from fastpong.oracle.cells import cells_backward, cells_forward, cells_heads
from fastpong.oracle.losses import ppo_gradient
from fastpong.oracle.optimizers import cells_adam

GROUP = 1  # no units are added up by themselves


class PpoUpdate:
    """Passes over a batch, shares joined: see ``kernels``."""

    def __init__(
        self, shares: Sequence[tuple[Tuple, Tuple, Array, Array]], tree: Tuple,
        inputs: Tuple, steps: Tuple, coefficients: tuple[float, ...],
    ) -> None:  # fmt: skip
        self.shares, self.tree, self.inputs, self.steps = shares, tree, inputs, steps
        self.clip_range, self.vf_coef, self.max_grad_norm, *self.adam = coefficients

    def run(
        self, order: Array, edges: Array, step: int, learning_rate: float, ent_coef: float,
        each: Callable[..., None], metrics: Array,
    ) -> None:  # fmt: skip
        """Take a step of Adam for every minibatch order[edges[k]:edges[k + 1]]."""
        cut = [(*network, *moments) for network, moments, _, _ in self.shares]
        whole = [np.concatenate(arrays, axis=1) for arrays in zip(*cut, strict=True)]
        for k, (start, stop) in enumerate(pairwise(edges)):
            gradient, metrics[k] = self.gradient(order[start:stop], whole, ent_coef)
            norm = float(metrics[k, 5])
            if not math.isfinite(norm):
                break
            factor = min(1.0, self.max_grad_norm / max(norm, 1e-12))
            cells_adam(
                tuple(whole[:2]), gradient, tuple(whole[2:]), self.tree, step + k + 1,
                (factor, learning_rate, *self.adam),
            )  # fmt: skip
        edges = np.cumsum([arrays[0].shape[1] for arrays in cut])[:-1]
        for k, joined in enumerate(whole):
            for arrays, part in zip(cut, np.split(joined, edges, axis=1), strict=True):
                arrays[k][...] = part

    def gradient(
        self, order: Array, whole: Sequence[Array], ent_coef: float
    ) -> tuple[Array, list[float]]:
        """Return a minibatch's gradient, its losses and its norm."""
        rows, units, size, kind = whole[0], whole[1], len(order), whole[0].dtype
        hidden, squares = np.empty((size, 2, units.shape[1]), kind), np.empty(units.shape[1])
        gradient, losses = np.zeros_like(whole[2]), np.empty((5, size))
        logit, value, dlogit, dvalue = np.empty((4, size), kind)
        cells_forward(order, self.inputs, (rows, units), self.tree[0], hidden)
        cells_heads(hidden, units, (logit, value))
        coefficients = self.clip_range, ent_coef, self.vf_coef
        ppo_gradient(order, logit, value, self.steps, coefficients, (dlogit, dvalue, losses))
        cells_backward(
            order, self.inputs, self.tree, hidden, units, (dlogit, dvalue), (gradient, squares)
        )
        return gradient, [*losses.mean(axis=1).tolist(), math.sqrt(np.add.accumulate(squares)[-1])]
