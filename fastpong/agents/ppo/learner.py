"""What the actor-critic agent learns from a batch: passes over it in minibatches, on all cores.

A thread owns some of the hidden units and computes all that belongs to them: their hidden layer,
their gradient, their step of Adam. What needs all units comes in between, in one fixed order: log
odds, values and the loss's gradient, shared out by decisions, and the gradient's norm, added up
unit by unit. So the weights are the same for any number of threads, bit for bit.

With Cython all passes are one call (``ppo_passes``), in which the threads, each on a core of its
own, meet a hundred times and seldom have to wake each other; with Numba and NumPy they are the
public kernels, on one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.acting.rollout import Rollout
from fastpong.agents.multi_env import look
from fastpong.kernels import Backend
from fastpong.learning import aligned
from fastpong.learning.finite import check_finite

if TYPE_CHECKING:
    from fastpong.agents.ppo.agent import Settings

Array = NDArray[Any]

# Shares of units begin at multiples of this: of what the kernel adds up by itself, its GROUP.
GROUP = 16


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
        cls, segments: Sequence[Rollout], hyper: Settings, kernels: Backend, dtype: DTypeLike
    ) -> Batch:
        """Join the segments; advantages are standardised over all of them."""
        values = np.stack([s.values for s in segments], axis=1)
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
            values=np.concatenate([s.counts[:n] for s, n in zip(segments, used, strict=True)]),
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


class _Part:
    """What a thread works on: copies of its units' columns, and room.

    It has them to itself: as columns of shared rows, though on cache lines of their own, they made
    two threads no faster than one; this way they are half as fast again, copying included.
    """

    def __init__(self, first: int, last: int, dtype: DTypeLike) -> None:
        self.first, self.last, self.dtype = first, last, dtype
        self.learned: list[Array] = []
        self.gradient = self.hidden = np.empty((0, 0), dtype)

    def make_room(self, learned: Sequence[Array], largest: int) -> None:
        """Allocate what is needed for arrays like these and for the largest minibatch."""
        width = self.last - self.first
        if not self.learned:
            self.learned = [aligned.zeros((len(array), width), self.dtype) for array in learned]
            self.gradient = aligned.zeros(self.learned[-1].shape, self.dtype)
        if len(self.hidden) < largest:
            self.hidden = aligned.zeros((largest, 2, width), self.dtype)

    def take(self, learned: Sequence[Array]) -> None:
        """Copy the columns of rows, units and moments."""
        for mine, array in zip(self.learned, learned, strict=True):
            mine[...] = array[:, self.first : self.last]

    def give(self, learned: Sequence[Array]) -> None:
        """Write what was learned back to where it came from."""
        for mine, array in zip(self.learned, learned, strict=True):
            array[:, self.first : self.last] = mine

    def arrays(self) -> tuple[Array, ...]:
        """Return rows, units, mean, square, gradient and hidden layer."""
        return (*self.learned, self.gradient, self.hidden)


class Learner:
    """Makes updates, on ``threads`` threads; keeps the arrays it works in.

    option : which sets the learning rate
    """

    def __init__(
        self, hyper: Settings, kernels: Backend, dtype: DTypeLike, threads: int,
        option: str = "--learning-rate",
    ) -> None:  # fmt: skip
        self.option = option
        self.hyper, self.kernels, self.dtype, self.threads = hyper, kernels, dtype, threads
        self.tree = hyper.pyramid()
        self._parts = [_Part(*share, dtype) for share in shares(hyper.hidden, threads, GROUP)]
        helpers = len(self._parts) - 1
        self._pool = ThreadPoolExecutor(helpers, "learner") if helpers > 0 else None
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
        look(self.tree, batch.indices, state["seen"])
        # The order is the same for every seed: it only has to mix the lanes.
        rng = np.random.default_rng(int(state["updates"][0]))
        count = max(1, round(size / hyper.minibatch))
        orders = [
            part
            for _ in range(hyper.epochs)
            for part in np.array_split(rng.permutation(size), count)
        ]
        found = self._passes(batch, orders, parameters, state, rate, entropy)
        state["steps"] += len(orders)
        norms = [
            check_finite(norm**2, hyper.learning_rate, self.option) for norm in found[:, 5].tolist()
        ]
        means = found[:, :5].mean(axis=0)
        names = ("policy_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction")
        said = dict(zip(names, means.tolist(), strict=True))
        said["entropy_loss"] = -said["entropy_loss"]
        return said | {
            "explained_variance": batch.explained,
            "learning_rate": rate,
            "gradient_norm": float(np.mean(norms)),
        }

    def _passes(
        self, batch: Batch, orders: list[Array], parameters: dict[str, Array],
        state: dict[str, Array], rate: float, entropy: float,
    ) -> Array:  # fmt: skip
        """Take a step of Adam for every minibatch; return its losses and norm, (steps, 6)."""
        found = np.zeros((len(orders), 6))
        compiled = getattr(self.kernels.raw.cells, "ppo_passes", None)
        if compiled is None:
            for k, order in enumerate(orders):
                found[k] = self._step(batch, order, parameters, state, k, rate, entropy)
            return found
        # The raw kernel trusts what it is given: here it is all looked at, once.
        for name in ("mean", "square"):
            moment, wanted = state[name], self._gradient
            if moment.shape != wanted.shape or moment.dtype != wanted.dtype:
                raise ValueError(
                    f"{name}: expected {wanted.shape} {wanted.dtype}, "
                    f"got {moment.shape} {moment.dtype}"
                )
        self._step(batch, orders[0][:0], parameters, state, 0, rate, entropy, learn=False)
        hyper, tree, largest = self.hyper, self.tree, max(map(len, orders))
        given = (
            np.concatenate(orders), np.cumsum([0, *map(len, orders)]), batch.indptr,
            batch.indices, batch.values, batch.actions, batch.old_logit, batch.advantage,
            batch.returns, tree.mirror, tree.parents, tree.scales, state["seen"],
        )  # fmt: skip
        shared = (
            self._squares, np.empty((-(-hyper.hidden // GROUP), largest, 2), self.dtype),
            np.empty((4, largest), self.dtype), np.empty((5, largest)), hyper.clip, entropy,
            hyper.value_weight, hyper.max_norm, rate, hyper.beta1, hyper.beta2, hyper.epsilon,
            int(state["steps"][0]),
        )  # fmt: skip
        learned = parameters["rows"], parameters["units"], state["mean"], state["square"]
        for part in self._parts:
            part.make_room(learned, largest)
        core, meeting = self.kernels.raw.cells.current_core(), np.zeros(3, np.int32)

        def work(thread: int) -> None:
            part = self._parts[thread]
            try:
                part.take(learned)
                compiled(
                    *given, *part.arrays(), *shared, part.first, thread, len(self._parts), core,
                    meeting, found,
                )  # fmt: skip
            except BaseException:
                self.kernels.raw.cells.abandon(meeting)  # or the others would wait for ever
                raise

        helpers: list[Future[None]] = []
        try:
            for thread in range(1, len(self._parts)):
                assert self._pool is not None
                helpers.append(self._pool.submit(work, thread))
            work(0)
        except BaseException:
            self.kernels.raw.cells.abandon(meeting)
            raise
        finally:
            wait(helpers)
        for helper in helpers:
            helper.result()
        for part in self._parts:  # only now: a thread that failed leaves the weights as they were
            part.give(learned)
        return found

    def _step(
        self, batch: Batch, order: Array, parameters: dict[str, Array], state: dict[str, Array],
        before: int, rate: float, entropy: float, learn: bool = True,
    ) -> list[float]:  # fmt: skip
        """Do the same for one minibatch, by the public kernels, ``before`` others were before it.

        Without ``learn`` nothing but the gradient's room is written.
        """
        k, hyper, tree = self.kernels, self.hyper, self.tree
        rows, units = parameters["rows"], parameters["units"]
        inputs = (order, batch.indptr, batch.indices, batch.values)
        family = (tree.parents, tree.scales, state["seen"])
        hidden = k.pyramid_forward(*inputs, rows, tree.mirror, units)
        logit, estimate = k.actor_critic(hidden, units)
        dlogit, dvalue, losses = k.ppo_gradient(
            order, logit, estimate, batch.actions, batch.old_logit, batch.advantage,
            batch.returns, hyper.clip, entropy, hyper.value_weight,
        )  # fmt: skip
        gradient, squares = k.pyramid_backward(
            *inputs, tree.mirror, *family, hidden, units, dlogit, dvalue,
            out=(self._gradient, self._squares),
        )  # fmt: skip
        if not learn:
            return []
        norm = check_finite(float(np.add.accumulate(squares)[-1]), hyper.learning_rate, self.option)
        k.pyramid_adam(
            rows, units, gradient, state["mean"], state["square"], state["seen"], tree.parents,
            tree.scales, int(state["steps"][0]) + before + 1,
            min(1.0, hyper.max_norm / max(norm, 1e-12)), rate, hyper.beta1, hyper.beta2,
            hyper.epsilon,
        )  # fmt: skip
        return [*losses.mean(axis=1).tolist(), norm]


def shares(size: int, count: int, align: int = 1) -> list[tuple[int, int]]:
    """Cut [0, size) into at most ``count`` parts, of much the same size, at multiples of align."""
    edges = [min(size, round(size * k / count / align) * align) for k in range(count)]
    return [(a, b) for a, b in pairwise([*edges, size]) if a < b]
