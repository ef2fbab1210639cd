"""What the actor-critic agent learns from a batch: passes over it in minibatches, on all cores.

Hidden units are divided among threads, see ``team``: a thread computes their hidden layer, their
gradient, their step of Adam. Log odds, values and the loss's gradient need all units and come in
between, divided by steps, and so does the gradient's norm, added up unit by unit. So the weights
are the same for any number of threads, bit for bit.

All passes are one call, of ``PpoUpdate``. In Cython's the threads, each on a core of its own,
meet a hundred times and seldom have to wake each other. Numba's and NumPy's do all on one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from fastpong.acting.rollout import Rollout
from fastpong.agents.multi_env import look
from fastpong.arrays import Doubles, Floats, Order, State
from fastpong.kernels import Backend
from fastpong.kernels.bundles import (
    CellNetwork,
    CellTree,
    Moments,
    PpoCoefficients,
    RolloutSteps,
    SparseInputs,
    UnitShare,
)
from fastpong.learning.finite import check_finite
from fastpong.learning.team import Part, Team, shares

if TYPE_CHECKING:
    from fastpong.agents.ppo.agent import Settings


@dataclass(frozen=True, eq=False)
class Batch:
    """N steps, segment after segment.

    explained : the share of the returns' variance that values predicted
    """

    inputs: SparseInputs
    steps: RolloutSteps
    explained: float

    @classmethod
    def of(
        cls, segments: Sequence[Rollout], hyper: Settings, kernels: Backend, dtype: DTypeLike
    ) -> Batch:
        """Join the segments, standardise advantages over all of them."""
        values = np.stack([s.values for s in segments], axis=1)
        rewards = np.stack([s.rewards for s in segments], axis=1).astype(dtype)
        # A point ends the return, and so does a game.
        dones = np.stack([s.dones for s in segments], axis=1) | (rewards != 0)
        raw = kernels.gae(
            rewards, values[:-1], dones.astype(np.uint8), values[-1], hyper.gamma, hyper.gae_lambda
        )
        returns: Floats = (raw + values[:-1]).T.ravel()
        steps = RolloutSteps(
            actions=np.concatenate([s.actions for s in segments]),
            old_logit=np.concatenate([s.logits for s in segments]),
            advantage=kernels.standardize(np.ascontiguousarray(raw.T).ravel()),
            returns=returns,
        )
        return cls(_join(segments), steps, _explained(values[:-1].T.ravel(), returns))


def _join(segments: Sequence[Rollout]) -> SparseInputs:
    """Return the inputs of all steps that were learned from."""
    # The last observation of a segment is the first one of the next: it is left out.
    used = [int(s.indptr[s.length]) for s in segments]
    starts = np.cumsum([0, *used])
    inner = [s.indptr[: s.length] + start for s, start in zip(segments, starts, strict=False)]
    return SparseInputs(
        indptr=np.concatenate([*inner, starts[-1:]]),
        indices=np.concatenate([s.indices[:n] for s, n in zip(segments, used, strict=True)]),
        values=np.concatenate([s.counts[:n] for s, n in zip(segments, used, strict=True)]),
    )


def _explained(values: Floats, returns: Floats) -> float:
    """Return 1 - Var(returns - values) / Var(returns), or 0.

    It is 0 for returns that do not vary.
    """
    variance = float(np.var(returns, dtype=np.float64))
    return 1.0 - float(np.var(returns - values, dtype=np.float64)) / variance if variance else 0.0


class UnitsPart(Part):
    """A thread's units, as ``PpoUpdate`` takes them."""

    def __init__(self, first: int, last: int, base: int, rows: int, dtype: DTypeLike) -> None:
        heights = {"rows": base, "units": 3, "mean": rows + 3, "square": rows + 3}
        super().__init__(first, last, heights, dtype)
        self.gradient, self.hidden = self.room(rows + 3, self.width), self.room(0, 2, self.width)

    def share(self, largest: int) -> UnitShare:
        """Return the arrays, with room for the largest minibatch."""
        if len(self.hidden) < largest:
            self.hidden = self.room(largest, 2, self.width)
        a = self.arrays
        network, moments = CellNetwork(a["rows"], a["units"]), Moments(a["mean"], a["square"])
        return UnitShare(network, moments, self.gradient, self.hidden)


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
        cut = shares(hyper.hidden, threads, kernels.unit_group)
        self.parts = [UnitsPart(*share, self.tree.base, self.tree.rows, dtype) for share in cut]
        self.team = Team(len(self.parts))

    def learn(self, batch: Batch, parameters: State, state: State, done: float) -> dict[str, float]:
        """Make one update, in place; ``done`` is how far the schedules have come, in [0, 1].

        Raises ArithmeticError where a gradient is not finite.
        """
        hyper, size = self.hyper, len(batch.steps.actions)
        rate = hyper.learning_rate * (1 - done * (1 - hyper.final_rate))
        entropy = hyper.entropy * (1 - done * (1 - hyper.final_entropy))
        look(self.tree, batch.inputs.indices, state["seen"])
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
        self, batch: Batch, orders: Sequence[Order], parameters: State,
        state: State, rate: float, entropy: float,
    ) -> Doubles:  # fmt: skip
        """Take a step of Adam for every minibatch, return its metrics."""
        hyper, tree, parts = self.hyper, self.tree, self.parts
        whole = {**parameters, **state}
        self.team.each(lambda k: parts[k].take(whole))
        largest = max(map(len, orders))
        update = self.kernels.ppo_update(
            [part.share(largest) for part in parts],
            CellTree(tree.mirror, tree.parents, tree.scales, state["seen"]),
            batch.inputs,
            batch.steps,
            PpoCoefficients(
                hyper.clip, hyper.value_weight, hyper.max_norm, hyper.beta1, hyper.beta2,
                hyper.epsilon,
            ),
        )  # fmt: skip
        first = int(state["steps"][0]) + 1
        metrics = update.run(orders, first, rate, entropy, self.team.each)
        for part in parts:  # only now: a thread that failed leaves the weights as they were
            part.give(whole)
        return metrics
