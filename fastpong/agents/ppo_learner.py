"""What the actor-critic agent learns from a batch: passes over it in minibatches, on all cores.

A thread owns some of the hidden units and computes all that belongs to them: their hidden layer,
their gradient, their step of Adam. What needs all units is computed between these, in one fixed
order: log odds and values, shared out by decisions, the loss's gradient, and the gradient's norm,
added up unit by unit. So the weights are the same for any number of threads, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.agents.gradients import check_finite
from fastpong.kernels import Backend
from fastpong.lanes import Segment

if TYPE_CHECKING:
    from fastpong.agents.ppo import Settings

Array = NDArray[Any]

# Shares of units begin at multiples of this: whole cache lines, whole vectors.
ALIGN = 16


@dataclass(frozen=True, eq=False)
class Batch:
    """N decisions, segment after segment: inputs in CSR form, and what PPO asks of the past."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint16]
    values: NDArray[np.int8]
    actions: NDArray[np.uint8]
    old_logit: Array
    advantage: Array
    returns: Array
    explained: float

    @classmethod
    def of(
        cls, segments: Sequence[Segment], hyper: Settings, kernels: Backend, dtype: DTypeLike
    ) -> Batch:
        """Join the segments; advantages are standardised over all of them."""
        values = np.stack([s.estimates for s in segments], axis=1)
        rewards = np.stack([s.rewards for s in segments], axis=1).astype(dtype)
        # A point ends the return, and so does a game.
        dones = np.stack([s.dones for s in segments], axis=1) | (rewards != 0)
        raw = kernels.gae(
            rewards, values[:-1], dones.astype(np.uint8), values[-1], hyper.gamma, hyper.gae_lambda
        )
        returns = (raw + values[:-1]).T.ravel()
        # The last observation of a segment is the first one of the next: it is left out.
        used = [int(s.indptr[s.length]) for s in segments]
        starts = np.cumsum([0, *used])
        inner = [s.indptr[: s.length] + start for s, start in zip(segments, starts, strict=False)]
        return cls(
            indptr=np.concatenate([*inner, starts[-1:]]),
            indices=np.concatenate([s.indices[:n] for s, n in zip(segments, used, strict=True)]),
            values=np.concatenate([s.values[:n] for s, n in zip(segments, used, strict=True)]),
            actions=np.concatenate([s.actions for s in segments]),
            old_logit=np.concatenate([s.logits for s in segments]),
            advantage=kernels.standardize(np.ascontiguousarray(raw.T).ravel()),
            returns=returns,
            explained=_explained(values[:-1].T.ravel(), returns),
        )


def _explained(values: Array, returns: Array) -> float:
    """Return 1 - Var(returns - values) / Var(returns); 0 where the returns do not vary."""
    variance = float(np.var(returns, dtype=np.float64))
    return 1.0 - float(np.var(returns - values, dtype=np.float64)) / variance if variance else 0.0


class Learner:
    """Makes updates, on ``threads`` threads; keeps the arrays it works in."""

    def __init__(self, hyper: Settings, kernels: Backend, dtype: DTypeLike, threads: int) -> None:
        self.hyper, self.kernels, self.dtype, self.threads = hyper, kernels, dtype, threads
        self.tree = hyper.pyramid()
        # BLAS adds up otherwise where the matrix is narrower: the oracle's units stay together.
        self.units = shares(hyper.hidden, 1 if kernels.name == "numpy" else threads, ALIGN)
        self._pool = ThreadPoolExecutor(threads, "learner") if len(self.units) > 1 else None
        self._gradient = np.zeros((self.tree.rows + 3, hyper.hidden), dtype)
        self._squares = np.empty(hyper.hidden, np.float64)

    def learn(
        self, batch: Batch, parameters: dict[str, Array], state: dict[str, Array], done: float
    ) -> dict[str, float]:
        """Make one update, in place; ``done`` is how far the schedules have come, in [0, 1].

        Raises ArithmeticError where a gradient is not finite.
        """
        hyper, size = self.hyper, len(batch.actions)
        rate = hyper.learning_rate * (1 - done * (1 - hyper.final_rate))
        entropy = hyper.entropy * (1 - done * (1 - hyper.final_entropy))
        self.look(batch, state["seen"])
        # The order is the same for every seed: it only has to mix the lanes.
        rng = np.random.default_rng(int(state["updates"][0]))
        losses, norms = [], []
        for _ in range(hyper.epochs):
            parts = np.array_split(rng.permutation(size), max(1, round(size / hyper.minibatch)))
            for order in parts:
                state["steps"] += 1
                loss, norm = self._step(batch, order, parameters, state, rate, entropy)
                losses.append(loss)
                norms.append(norm)
        means = np.mean(losses, axis=0)
        names = ("policy_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction")
        found = dict(zip(names, means.tolist(), strict=True))
        found["entropy_loss"] = -found["entropy_loss"]
        return found | {
            "explained_variance": batch.explained,
            "learning_rate": rate,
            "gradient_norm": float(np.mean(norms)),
        }

    def look(self, batch: Batch, seen: Array) -> None:
        """Note the rows that the batch reaches: the inputs', their mirror images', parents'."""
        lit = np.zeros(self.tree.base, bool)
        lit[batch.indices] = True
        lit[self.tree.mirror[np.flatnonzero(lit)]] = True
        seen[: self.tree.base][lit] = 1
        above = self.tree.parents[:, lit]
        seen[above[above >= 0]] = 1

    def _step(
        self,
        batch: Batch,
        order: Array,
        parameters: dict[str, Array],
        state: dict[str, Array],
        rate: float,
        entropy: float,
    ) -> tuple[Array, float]:
        """Take one step of Adam; return the losses' means (5,) and the gradient's norm."""
        k, hyper, tree = self.kernels, self.hyper, self.tree
        rows, units = parameters["rows"], parameters["units"]
        inputs = (order, batch.indptr, batch.indices, batch.values)
        family = (tree.parents, tree.scales, state["seen"])
        hidden = np.empty((len(order), 2, hyper.hidden), self.dtype)
        logit, estimate = np.empty((2, len(order)), self.dtype)
        self._each(
            self.units,
            lambda s: k.pyramid_forward(*inputs, rows, tree.mirror, units, s, out=hidden),
        )
        self._each(
            shares(len(order), len(self.units)),
            lambda s: k.actor_critic(hidden, units, s, out=(logit, estimate)),
        )
        dlogit, dvalue, losses = k.ppo_gradient(
            order, logit, estimate, batch.actions, batch.old_logit, batch.advantage,
            batch.returns, hyper.clip, entropy, hyper.value_weight,
        )  # fmt: skip
        gradient, squares = self._gradient, self._squares
        self._each(
            self.units,
            lambda s: k.pyramid_backward(
                *inputs, tree.mirror, *family, hidden, units, dlogit, dvalue, s,
                out=(gradient, squares),
            ),
        )  # fmt: skip
        norm = check_finite(float(np.add.accumulate(squares)[-1]), hyper.learning_rate)
        factor = min(1.0, hyper.max_norm / max(norm, 1e-12))
        self._each(
            self.units,
            lambda s: k.pyramid_adam(
                rows, units, gradient, state["mean"], state["square"], state["seen"],
                tree.parents, tree.scales, int(state["steps"][0]), factor, rate,
                hyper.beta1, hyper.beta2, hyper.epsilon, s,
            ),
        )  # fmt: skip
        return losses.mean(axis=1), norm

    def _each(
        self, parts: Sequence[tuple[int, int]], work: Callable[[tuple[int, int]], object]
    ) -> None:
        """Do ``work`` for every share, each in a thread of its own."""
        if self._pool is None:
            for part in parts:
                work(part)
        else:
            list(self._pool.map(work, parts))


def shares(size: int, count: int, align: int = 1) -> list[tuple[int, int]]:
    """Cut [0, size) into at most ``count`` parts, of much the same size, at multiples of align."""
    edges = [min(size, round(size * k / count / align) * align) for k in range(count)]
    return [(a, b) for a, b in pairwise([*edges, size]) if a < b]
