"""Updates of Q-learning: Adam on minibatches, on all cores.

The hidden units are divided into parts of 64, each with copies of its weights and moments. A thread
computes all that belongs to its parts, see ``team``. Log odds and values are added up part by part
and the gradient's norm unit by unit, in one fixed order. So the weights are the same for any number
of threads, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from fastpong.agents.dqn.replay import Replay, Sample
from fastpong.agents.ppo.settings import ADAM
from fastpong.arrays import Arrays, Doubles, Floats, Order
from fastpong.kernels import Backend
from fastpong.kernels.bundles import CellTree, SparseInputs
from fastpong.learning.finite import check_finite
from fastpong.learning.team import Part, Team

if TYPE_CHECKING:
    from fastpong.agents.dqn.settings import DQNSettings

UNITS = 64


class Minibatch(NamedTuple):
    """Hold sampled steps with the replay buffer's inputs.

    renew : copy the network to the target network first
    """

    renew: bool
    inputs: SparseInputs
    sample: Sample


class QPart(Part):
    """Some units of both networks, and room to compute."""

    def __init__(self, learner: QUpdater, first: int, last: int) -> None:
        settings, tree = learner.settings, learner.tree
        heights = {
            **{"rows": tree.base, "units": 3, "mean": tree.rows + 3, "square": tree.rows + 3},
            **{"target/rows": tree.base, "target/units": 3},
        }
        super().__init__(first, last, heights, learner.dtype)
        self.cells = learner.kernels.raw.cells
        self.optimizers = learner.kernels.raw.family("optimizers")
        self.settings, self.tree = settings, tree
        self.network = self.arrays["rows"], self.arrays["units"]
        self.moments = self.arrays["mean"], self.arrays["square"]
        self.target = self.arrays["target/rows"], self.arrays["target/units"]
        size, width, room = settings.batch_size, self.width, self.room
        self.gradient, self.squares = room(tree.rows + 3, width), np.zeros(width)
        self.hidden, self.hidden_later = room(2 * size, 2, width), room(size, 2, width)
        # Log odds and values of the steps and those after, and the target's of those after.
        self.heads, self.heads_later = room(2, 2 * size), room(2, size)

    def forward(self, batch: Minibatch) -> None:
        """Write this part's share of log odds and values."""
        if batch.renew:
            for target, weights in zip(self.target, self.network, strict=True):
                target[...] = weights
        now, later = batch.sample.now, batch.sample.later
        both = np.concatenate([now, later])
        self._heads(batch.inputs, both, self.network, self.hidden, self.heads)
        self._heads(batch.inputs, later, self.target, self.hidden_later, self.heads_later)

    def _heads(
        self, inputs: SparseInputs, order: Order, network: tuple[Floats, Floats], hidden: Floats,
        heads: Floats,
    ) -> None:  # fmt: skip
        self.cells.cells_forward(order, tuple(inputs), network, self.tree.mirror, hidden)
        self.cells.cells_heads(hidden, network[1], (heads[0], heads[1]))

    def backward(
        self, inputs: SparseInputs, now: Order, tree: CellTree, upward: tuple[Floats, Floats]
    ) -> None:
        """Write the gradient and the sums of its squares."""
        self.cells.cells_backward(
            now, tuple(inputs), tuple(tree), self.hidden[: len(now)], self.network[1], upward,
            (self.gradient, self.squares),
        )  # fmt: skip

    def step(self, tree: CellTree, factor: float, number: int, rate: float) -> None:
        """Take a step of Adam."""
        coefficients = factor, rate, *ADAM
        self.optimizers.cells_adam(
            self.network, self.gradient, self.moments, tuple(tree), number, coefficients
        )

    def step_and_forward(
        self, step: tuple[CellTree, float, int, float], following: Minibatch
    ) -> None:
        """Take a step and begin the following minibatch.

        In one call the threads meet once less.
        """
        self.step(*step)
        self.forward(following)


class QUpdater:
    """Make updates on ``threads`` threads."""

    def __init__(
        self, settings: DQNSettings, kernels: Backend, dtype: DTypeLike, threads: int
    ) -> None:
        self.settings, self.kernels, self.dtype, self.threads = settings, kernels, dtype, threads
        self.tree = settings.pyramid()
        edges = [*range(0, settings.hidden, UNITS), settings.hidden]
        self.parts = [QPart(self, a, b) for a, b in pairwise(edges)]
        self.team = Team(min(threads, len(self.parts)))
        self._losses_of, size = kernels.raw.family("losses"), settings.batch_size
        self._upward = np.zeros((2, size), dtype)
        self._losses = np.zeros((2, size))

    def learn(
        self,
        replay: Replay,
        parameters: Arrays,
        state: Arrays,
        rate: float,
    ) -> dict[str, float]:
        """Make one update, in place.

        rate : Adam's step size

        Raises ArithmeticError, with nothing changed, for a gradient that is not finite.
        """
        settings = self.settings
        rng = np.random.default_rng(int(state["updates"][0]))
        inputs = SparseInputs(replay.indptr, replay.indices, replay.counts)
        tree = CellTree(self.tree.mirror, self.tree.parents, self.tree.scales, state["seen"])
        before, whole = int(state["steps"][0]), {**parameters, **state}
        count = max(1, round(settings.replay_ratio * replay.size / settings.batch_size))
        found = np.zeros((count, 5))

        def minibatch(k: int) -> Minibatch:
            sample = replay.sample(rng, settings.batch_size, settings.n_step, settings.gamma)
            return Minibatch((before + k) % settings.target_update_interval == 0, inputs, sample)

        self._each(QPart.take, whole)
        self._each(QPart.forward, following := minibatch(0))
        for k in range(count):
            sample = following.sample
            upward = self._loss(sample, found[k])
            self._each(QPart.backward, inputs, sample.now, tree, upward)
            squares = np.concatenate([part.squares for part in self.parts])
            norm = check_finite(float(np.add.accumulate(squares)[-1]), rate)
            found[k, 4] = norm
            step = tree, min(1.0, settings.max_grad_norm / max(norm, 1e-12)), before + k + 1, rate
            if k + 1 < count:
                self._each(QPart.step_and_forward, step, following := minibatch(k + 1))
            else:
                self._each(QPart.step, *step)
        self._each(QPart.give, whole)
        state["steps"] += count
        names = ("td_error", "target_variance", "value", "action_gap", "gradient_norm")
        return dict(zip(names, found.mean(axis=0).tolist(), strict=True)) | {"learning_rate": rate}

    def _loss(self, sample: Sample, metrics: Doubles) -> tuple[Floats, Floats]:
        """Return the gradient by log odds and values.

        Writes to metrics: rms error, variance of the targets, mean value, and mean |l|, the gap
        between the actions.
        """
        heads, later = self.parts[0].heads.copy(), self.parts[0].heads_later.copy()
        for part in self.parts[1:]:
            heads += part.heads
            later += part.heads_later
        outcome = sample.actions, sample.rewards, sample.discount
        upward = self._upward[0], self._upward[1]
        self._losses_of.td_gradient(heads, later, outcome, (*upward, self._losses))
        error, target = self._losses
        logit, value = heads[:, : len(error)]
        metrics[:4] = (
            np.sqrt(np.mean(error**2)), np.var(target), np.mean(value), np.mean(np.abs(logit))
        )  # fmt: skip
        return upward

    def _each(self, work: Callable[..., None], *arguments: object) -> None:
        """Call ``work(part, *arguments)`` for every part, on all threads."""

        def run(thread: int) -> None:
            for part in self.parts[thread :: self.team.size]:
                work(part, *arguments)

        self.team.each(run)
