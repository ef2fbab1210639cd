"""Updates: passes over a batch in minibatches, bound once to a batch and a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from fastpong.arrays import Doubles, Order
from fastpong.kernels import checks
from fastpong.kernels.arguments import FLOAT, I64, Call, In, InPlace, Values
from fastpong.kernels.bundles import (
    INPUTS,
    MOMENTS,
    STEPS,
    CellTree,
    PpoCoefficients,
    RolloutSteps,
    SparseInputs,
    UnitShare,
    cells_network,
    cells_tree,
    mirrored,
)
from fastpong.kernels.parts import sparse_below
from fastpong.kernels.runner import Runner

Each = Callable[[Callable[[int], None], Callable[[], None]], None]
RawShare = tuple[object, ...]

TREE, NETWORK = cells_tree(mirrored), cells_network(InPlace)
ORDER = In("orders", I64, ("m",))
GRADIENT = InPlace("gradient", FLOAT, ("R+3", "H"))
HIDDEN = InPlace("hidden", FLOAT, ("largest", 2, "H"))
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
        call = Call()
        raw_tree, raw_inputs = TREE.of(call, tree), INPUTS.of(call, batch[0])
        sparse_below(call, call.sizes["B"])
        raw_steps, read = STEPS.of(call, batch[1]), call.arrays
        checked = [_share(call, n, share) for n, share in enumerate(shares)]
        self.steps, self.largest = call.sizes["N"], call.sizes.get("largest", 0)
        self.shares = len(checked)
        group = int(raw.GROUP)
        widths = [
            written[f"gradient of share {n}"].shape[1] for n, (_, written) in enumerate(checked)
        ]
        if not checked or any(width % group for width in widths[:-1]):
            raise ValueError(
                f"shares: expected one or more, of multiples of {group} units but for the last, "
                f"got {widths}"
            )
        checks.no_overlap({k: a for _, written in checked for k, a in written.items()}, read)
        self._raw = raw.PpoUpdate(
            [share for share, _ in checked], raw_tree, raw_inputs, raw_steps,
            _coefficients(coefficients),
        )  # fmt: skip

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
                 when they have ended. Needed with several shares. Where it fails it first calls
                 a second function: shares wait for each other, and then no longer

        Forward, ``ppo_gradient``, ``cells_backward``, the gradient cut down to max_grad_norm,
        ``cells_adam``: the same bits for any number of shares. Returns (steps, 6): the means of the
        five losses and the gradient's norm. Ends early where that is not finite.
        """
        metrics = np.zeros((len(orders), 6))
        for order in orders:
            size = len(checks.within("orders", ORDER.check(Call(), order), 0, self.steps))
            if not 1 <= size <= self.largest:
                raise ValueError(
                    f"orders: expected minibatches of 1 to {self.largest} steps, got {size}"
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


def _alone(work: Callable[[int], None], failed: Callable[[], None]) -> None:
    work(0)


def _share(call: Call, number: int, share: UnitShare) -> tuple[RawShare, Values]:
    """Return a share of the units as the raw kernels take it, and its arrays by name."""
    if not isinstance(share, tuple) or len(share) != len(UnitShare._fields):
        raise TypeError(
            f"shares: expected tuples ({', '.join(UnitShare._fields)}), got {type(share).__name__}"
        )
    one = Call()
    one.sizes, one.float = call.sizes, call.float
    one.sizes.pop("H", None)  # each share has a number of units of its own
    network, moments, gradient, hidden = share
    raw = (
        NETWORK.of(one, network),
        MOMENTS.of(one, moments),
        GRADIENT.check(one, gradient),
        HIDDEN.check(one, hidden),
    )
    call.float = one.float
    return raw, {f"{name} of share {number}": array for name, array in one.arrays.items()}


def _coefficients(given: PpoCoefficients) -> tuple[float, ...]:
    if not isinstance(given, PpoCoefficients):
        raise TypeError(f"coefficients: expected PpoCoefficients, got {type(given).__name__}")
    return (
        checks.below_one("clip_range", given.clip_range),
        checks.not_negative("vf_coef", given.vf_coef),
        checks.not_negative("max_grad_norm", given.max_grad_norm),
        checks.below_one("beta1", given.beta1),
        checks.below_one("beta2", given.beta2),
        checks.not_tiny("epsilon", given.epsilon),
    )
