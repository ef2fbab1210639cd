"""Updates of PPO: epochs of minibatches, on all cores.

Hidden units are divided among threads, see ``team``. A thread computes their hidden layer, their
gradient and their step of Adam. Log odds, values and the loss's gradient need all units and come in
between, divided by steps, and so does the gradient's norm, added up unit by unit. So the weights
are the same for any number of threads, bit for bit.

All epochs are one call, of ``PpoUpdate``. In Cython's the threads, each on a core of its own, meet
a hundred times and seldom have to wake each other. Numba's and NumPy's do all on one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from fastpong.acting.rollout import Rollout
from fastpong.agents.ppo.settings import ADAM, PPOSettings
from fastpong.agents.pyramid import mark_seen
from fastpong.arrays import Arrays, Doubles, Floats, Order
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


@dataclass(frozen=True, eq=False)
class Batch:
    """N steps, rollout after rollout.

    explained : the share of the returns' variance that values predicted
    """

    inputs: SparseInputs
    steps: RolloutSteps
    explained: float

    @classmethod
    def of(
        cls,
        rollouts: Sequence[Rollout],
        settings: PPOSettings,
        kernels: Backend,
        dtype: DTypeLike,
        point_ends_return: bool = True,
    ) -> Batch:
        """Join the rollouts, standardise advantages over all of them."""
        values = np.stack([s.values for s in rollouts], axis=1)
        rewards = np.stack([s.rewards for s in rollouts], axis=1).astype(dtype)
        dones = np.stack([s.dones for s in rollouts], axis=1)
        if point_ends_return:
            dones = dones | (rewards != 0)
        raw = kernels.gae(
            rewards,
            values[:-1],
            dones.astype(np.uint8),
            values[-1],
            settings.gamma,
            settings.gae_lambda,
        )
        returns: Floats = (raw + values[:-1]).T.ravel()
        steps = RolloutSteps(
            actions=np.concatenate([s.actions for s in rollouts]),
            old_logit=np.concatenate([s.logits for s in rollouts]),
            advantage=kernels.standardize(np.ascontiguousarray(raw.T).ravel(), sequential=True),
            returns=returns,
        )
        return cls(_join(rollouts), steps, _explained(values[:-1].T.ravel(), returns))


def _join(rollouts: Sequence[Rollout]) -> SparseInputs:
    """Join the inputs of all steps."""
    # The last observation of a rollout is the first one of the next: it is left out.
    used = [int(s.indptr[s.length]) for s in rollouts]
    starts = np.cumsum([0, *used])
    inner = [s.indptr[: s.length] + start for s, start in zip(rollouts, starts, strict=False)]
    return SparseInputs(
        indptr=np.concatenate([*inner, starts[-1:]]),
        indices=np.concatenate([s.indices[:n] for s, n in zip(rollouts, used, strict=True)]),
        values=np.concatenate([s.counts[:n] for s, n in zip(rollouts, used, strict=True)]),
    )


def _explained(values: Floats, returns: Floats) -> float:
    """Return 1 - Var(returns - values) / Var(returns).

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


class Updater:
    """Make updates on ``threads`` threads."""

    def __init__(
        self, settings: PPOSettings, kernels: Backend, dtype: DTypeLike, threads: int
    ) -> None:
        self.settings, self.kernels, self.dtype = settings, kernels, dtype
        self.tree = settings.pyramid()
        cut = shares(settings.hidden, threads, kernels.unit_group)
        self.parts = [UnitsPart(*share, self.tree.base, self.tree.rows, dtype) for share in cut]
        self.team = Team(len(self.parts))

    def learn(
        self, batch: Batch, parameters: Arrays, state: Arrays, rate: float, ent_coef: float
    ) -> dict[str, float]:
        """Make one update in place and return its metrics.

        rate, ent_coef : values of the schedules for this update

        Raises ArithmeticError for a gradient that is not finite.
        """
        settings, size = self.settings, len(batch.steps.actions)
        mark_seen(self.tree, batch.inputs.indices, state["seen"])
        # The order is the same for every seed: it only has to mix the environments.
        rng = np.random.default_rng(int(state["updates"][0]))
        count = max(1, round(size / settings.batch_size))
        orders = [
            part
            for _ in range(settings.n_epochs)
            for part in np.array_split(rng.permutation(size), count)
        ]
        found = self._passes(batch, orders, parameters, state, rate, ent_coef)
        state["steps"] += len(orders)
        norms = [check_finite(norm**2, rate) for norm in found[:, 5].tolist()]
        means = found[:, :5].mean(axis=0)
        names = ("policy_loss", "value_loss", "entropy_loss", "approx_kl", "clip_fraction")
        metrics = dict(zip(names, means.tolist(), strict=True))
        metrics["entropy_loss"] = -metrics["entropy_loss"]
        return metrics | {
            "explained_variance": batch.explained,
            "learning_rate": rate,
            "gradient_norm": float(np.mean(norms)),
        }

    def _passes(
        self, batch: Batch, orders: Sequence[Order], parameters: Arrays,
        state: Arrays, rate: float, ent_coef: float,
    ) -> Doubles:  # fmt: skip
        """Return the metrics of a step for every minibatch."""
        settings, tree, parts = self.settings, self.tree, self.parts
        whole = {**parameters, **state}
        self.team.each(lambda k: parts[k].take(whole))
        largest = max(map(len, orders))
        update = self.kernels.ppo_update(
            [part.share(largest) for part in parts],
            CellTree(tree.mirror, tree.parents, tree.scales, state["seen"]),
            batch.inputs,
            batch.steps,
            PpoCoefficients(
                settings.clip_range, settings.vf_coef, settings.max_grad_norm, *ADAM
            ),
        )  # fmt: skip
        first = int(state["steps"][0]) + 1
        metrics = update.run(orders, first, rate, ent_coef, self.team.each)
        for part in parts:  # only now: a thread that failed leaves the weights as they were
            part.give(whole)
        return metrics
