"""Updates: passes over a batch in minibatches, bound once to a batch and a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from fastpong.arrays import Array, Doubles, Order
from fastpong.kernels import checks
from fastpong.kernels.bundles import (
    CellTree,
    Moments,
    PpoCoefficients,
    RolloutSteps,
    SparseInputs,
    UnitShare,
    check_batch,
    check_network,
    check_steps,
    check_tree,
    unpack,
)
from fastpong.kernels.checks import FLOATS, I64, Checker
from fastpong.kernels.runner import Runner

Each = Callable[[Callable[[int], None]], None]
RawShare = tuple[tuple[Array, Array], tuple[Array, Array], Array, Array]

DEFAULTS = PpoCoefficients()


class Updates(Runner):
    """The part of a ``Backend`` that this family adds."""

    @property
    def unit_group(self) -> int:
        """Units that heads add up by themselves: shares begin at multiples."""
        return int(self.raw.family("updates").GROUP)

    def ppo_update(
        self,
        shares: Sequence[UnitShare],
        tree: CellTree,
        inputs: SparseInputs,
        steps: RolloutSteps,
        coefficients: PpoCoefficients = DEFAULTS,
    ) -> PpoUpdate:
        """Bind an update by PPO to a batch and a network.

        shares : of the network's units, in their order, overwritten by ``PpoUpdate.run``. With
                 several, widths are multiples of ``unit_group`` but for the last one
        inputs, steps : N of them, the batch
        """
        return PpoUpdate(self.raw.family("updates"), shares, tree, (inputs, steps), coefficients)


class PpoUpdate:
    """An update by PPO, bound to a batch and a network.

    All is checked here, once. See ``ppo_update``.
    """

    def __init__(
        self,
        raw: ModuleType,
        shares: Sequence[UnitShare],
        tree: CellTree,
        batch: tuple[SparseInputs, RolloutSteps],
        coefficients: PpoCoefficients,
    ) -> None:
        check = Checker()
        tree = check_tree(check, tree)
        _, inputs, _ = check_batch(check, np.zeros(0, np.int64), batch[0], tree.mirror)
        check.sizes["N"] = check.sizes["T"]
        steps = check_steps(check, batch[1])
        checked = [_share(check, share) for share in shares]
        self.steps, self.largest = check.sizes["N"], check.sizes.get("largest", 0)
        self.shares = len(checked)
        group = int(raw.GROUP)
        if not checked or any(share[2].shape[1] % group for share in checked[:-1]):
            widths = [share[2].shape[1] for share in checked]
            raise ValueError(
                f"shares: expected one or more, of multiples of {group} units but for the last, "
                f"got {widths}"
            )
        written = {f"{k} of share {n}": a for n, s in enumerate(checked) for k, a in _flat(s)}
        checks.no_overlap(written, inputs._asdict() | steps._asdict() | tree._asdict())
        self._raw = raw.PpoUpdate(
            checked, tuple(tree), tuple(inputs), tuple(steps), _coefficients(coefficients)
        )

    def run(
        self,
        orders: Sequence[Order],
        step: int,
        learning_rate: float,
        ent_coef: float,
        each: Each | None = None,
    ) -> Doubles:
        """Take a step of Adam for every minibatch.

        orders : the steps of each minibatch, (m,) int64 below N, 1 <= m <= M
        step   : number of the first of these steps of Adam, from 1
        each   : calls a function with 0, 1, ... for every share, all at the same time, and returns
                 when they have ended; needed with several shares

        Forward, ``ppo_gradient``, ``cells_backward``, the gradient cut down to max_grad_norm,
        ``cells_adam``: the same bits for any number of shares. Returns (steps, 6): the means of the
        five losses and the gradient's norm. Ends early where that is not finite.
        """
        check, metrics = Checker(), np.zeros((len(orders), 6))
        for order in orders:
            check.sizes.pop("m", None)
            checks.within("orders", check.input("orders", order, I64, ("m",)), 0, self.steps)
            if not 1 <= check.sizes["m"] <= self.largest:
                raise ValueError(
                    f"orders: expected minibatches of 1 to {self.largest} steps, got "
                    f"{check.sizes['m']}"
                )
        if each is None and self.shares > 1:
            raise TypeError(f"each: expected a function for {self.shares} shares, got None")
        self._raw.run(
            np.concatenate([np.zeros(0, np.int64), *orders]),
            np.cumsum([0, *map(len, orders)], dtype=np.int64),
            checks.count("step", step) - 1,
            checks.not_negative("learning_rate", learning_rate),
            checks.not_negative("ent_coef", ent_coef),
            each or _alone,
            metrics,
        )
        return metrics


def _alone(work: Callable[[int], None]) -> None:
    work(0)


def _share(check: Checker, share: UnitShare) -> RawShare:
    """Check a share of the units, as the raw kernels take it."""
    check.sizes.pop("H", None)
    network, moments, gradient, hidden = unpack("shares", share, UnitShare)
    mean, square = unpack("moments", moments, Moments)
    return (
        check_network(check, network, check.given),
        (
            check.given("mean", mean, FLOATS, ("R+3", "H")),
            check.given("square", square, FLOATS, ("R+3", "H")),
        ),
        check.given("gradient", gradient, FLOATS, ("R+3", "H")),
        check.given("hidden", hidden, FLOATS, ("largest", 2, "H")),
    )


def _flat(share: RawShare) -> list[tuple[str, Array]]:
    (rows, units), (mean, square), gradient, hidden = share
    names = ("rows", "units", "mean", "square", "gradient", "hidden")
    return list(zip(names, (rows, units, mean, square, gradient, hidden), strict=True))


def _coefficients(given: PpoCoefficients) -> tuple[float, ...]:
    if not isinstance(given, PpoCoefficients):
        raise TypeError(f"coefficients: expected PpoCoefficients, got {type(given).__name__}")
    return (
        checks.below_one("clip_range", given.clip_range),
        checks.not_negative("vf_coef", given.vf_coef),
        checks.not_negative("max_grad_norm", given.max_grad_norm),
        checks.below_one("beta1", given.beta1),
        checks.below_one("beta2", given.beta2),
        checks.at_least("epsilon", given.epsilon, 1e-12),
    )
