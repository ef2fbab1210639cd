"""The public kernels of the cells network; ``fastpong.kernels`` has them beside the others.

Conventions as there, names of sizes and bundles of arrays as in ``fastpong._bundles``. The network,
for an input x and its mirror image x':

    h = ReLU(x E + b),  h' = ReLU(x' E + b)
    logit = 2 (h - h') . a, the log odds of RIGHT;  value = (h + h') . v

Kernels take any part of the units by themselves, with arrays of so many columns: no sum of a unit
depends on its neighbours, so threads can divide the units, with the same bits.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong import _checks as checks
from fastpong._bundles import (
    Array,
    CellNetwork,
    CellTree,
    Doubles,
    Flags,
    Floats,
    Moments,
    Order,
    PpoCoefficients,
    RolloutSteps,
    SparseInputs,
    UnitShare,
)
from fastpong._checks import FLOATS, I8, I32, I64, U8, U16, Checker

Step = Callable[[int, float, bool, int], int]
Each = Callable[[Callable[[int], None]], None]
RawShare = tuple[tuple[Array, Array], tuple[Array, Array], Array, Array]

FIELD, SCREEN = 160, (210, 160)
MAX_INPUTS = 1 << 16
DEFAULTS = PpoCoefficients()
F64 = (np.dtype(np.float64),)
MODULES = {
    "cython": "fastpong._kernels_ppo",
    "numba": "fastpong._kernels_ppo_numba",
    "numpy": "fastpong.oracle_ppo",
}


class PpoKernels:
    """The part of a ``Backend`` that works on cells."""

    name: str

    @functools.cached_property
    def cells(self) -> ModuleType:
        """The raw kernels; imported when first used."""
        return importlib.import_module(MODULES[self.name])

    def prepare_ppo(self, dtype: DTypeLike) -> None:
        """Do for these kernels what ``prepare`` does for the others."""
        self.cells.compile_all(dtype)

    @property
    def unit_group(self) -> int:
        """Units that heads add up by themselves: shares begin at multiples."""
        return int(self.cells.GROUP)

    # --- input ----------------------------------------------------------------------------------

    def encode_cells(
        self,
        screen: Array,
        previous: Array | None,
        table: Array,
        cell_size: int = 1,
        pixel_stride: int = 2,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Return a frame's active pixels by cells, and its difference's.

        screen, previous, table : as for ``sparse_difference_frame``
        pixel_stride : 2 for every second row and column of the field, 1 for all
        cell_size    : of those pixels, along a side of a cell, r: a divisor of 160 / pixel_stride
                       up to 10; S = 160 / pixel_stride / r
        out          : buffers (indices, values), (2 S S,) uint16 and (2 S S,) int8

        Returns (indices, values), both (n,), views of ``out``: non-zero cells only. Cell (y, x)
        of the frame is S y + x, of the difference S S more. O(field). Exact.
        """
        check = Checker()
        screen = check.input("screen", screen, U8, SCREEN)
        previous = screen if previous is None else check.input("previous", previous, U8, SCREEN)
        base = 2 * cells_along(cell_size, pixel_stride) ** 2
        first, second = checks.pair("out", out)
        indices = check.output("indices", first, U16, (base,))
        values = check.output("values", second, I8, (base,))
        table = checks.table(table)
        checks.no_overlap(
            {"indices": indices, "values": values},
            {"screen": screen, "previous": previous, "table": table},
        )
        n = self.cells.encode_cells(
            screen, previous, table, cell_size, pixel_stride, (indices, values)
        )
        return indices[:n], values[:n]

    # --- network --------------------------------------------------------------------------------

    def cells_forward(
        self,
        order: Order,
        inputs: SparseInputs,
        network: CellNetwork,
        mirror: Array,
        out: Floats | None = None,
    ) -> Floats:
        """Return h and h' of the steps ``order``: (M, 2, H).

        order   : (M,) int64 below N;  inputs : N of them
        network : of its units this reads b
        mirror  : (B,) int32, the number of a row's mirror image
        """
        check = Checker()
        rows, units = _network(check, network)
        order, batch, mirror = _batch(check, order, inputs, mirror)
        out = check.output("out", out, FLOATS, ("M", 2, "H"))
        given = {"order": order, "mirror": mirror, "rows": rows, "units": units}
        checks.no_overlap({"out": out}, given | batch._asdict())
        self.cells.cells_forward(order, tuple(batch), (rows, units), mirror, out)
        return out

    def cells_heads(
        self, hidden: Floats, units: Floats, out: tuple[Floats, Floats] | None = None
    ) -> tuple[Floats, Floats]:
        """Return the log odds of RIGHT and the values: (M,) each.

        hidden : (M, 2, H), of ``cells_forward``;  units : (3, H), of which this reads a and v
        """
        check = Checker()
        inputs = {
            "hidden": check.input("hidden", hidden, FLOATS, ("M", 2, "H")),
            "units": check.input("units", units, FLOATS, (3, "H")),
        }
        first, second = checks.pair("out", out)
        outputs = {
            "logit": check.output("logit", first, FLOATS, ("M",)),
            "value": check.output("value", second, FLOATS, ("M",)),
        }
        checks.no_overlap(outputs, inputs)
        self.cells.cells_heads(*inputs.values(), tuple(outputs.values()))
        return outputs["logit"], outputs["value"]

    def cells_backward(
        self,
        order: Order,
        inputs: SparseInputs,
        tree: CellTree,
        hidden: Floats,
        units: Floats,
        dlogit: Floats,
        dvalue: Floats,
        out: tuple[Floats, Doubles] | None = None,
    ) -> tuple[Floats, Doubles]:
        """Return the gradient of sum_t dlogit_t logit_t + dvalue_t value_t.

        order, inputs  : as for ``cells_forward``;  hidden : its result
        tree           : rows with seen 0 are left alone, and are 0 where ``out`` is not given
        dlogit, dvalue : (M,)
        out            : (gradient (R + 3, H): rows, then units; squares (H,) float64, the sum of
                         the squares of each unit's gradient)

        O(nnz H + R H).
        """
        check = Checker()
        given = {
            "hidden": check.input("hidden", hidden, FLOATS, ("M", 2, "H")),
            "units": check.input("units", units, FLOATS, (3, "H")),
            "dlogit": check.input("dlogit", dlogit, FLOATS, ("M",)),
            "dvalue": check.input("dvalue", dvalue, FLOATS, ("M",)),
        }
        tree = _tree(check, tree)
        order, batch, _ = _batch(check, order, inputs, tree.mirror)
        first, second = checks.pair("out", out)
        if first is None:
            first = np.zeros((check.sizes["R+3"], check.sizes["H"]), check.float)
        outputs = {
            "gradient": check.output("gradient", first, FLOATS, ("R+3", "H")),
            "squares": check.output("squares", second, F64, ("H",)),
        }
        checks.no_overlap(outputs, given | {"order": order} | tree._asdict() | batch._asdict())
        hidden, units, *upward = given.values()
        self.cells.cells_backward(
            order, tuple(batch), tuple(tree), hidden, units, tuple(upward), tuple(outputs.values())
        )
        return outputs["gradient"], outputs["squares"]

    # --- losses ---------------------------------------------------------------------------------

    def ppo_gradient(
        self,
        order: Order,
        logit: Floats,
        value: Floats,
        steps: RolloutSteps,
        clip_range: float = 0.2,
        ent_coef: float = 0.01,
        vf_coef: float = 0.5,
        out: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        """Return the gradient of PPO's mean loss, and every loss.

            r = pi(a) / pi_old(a)
            loss = mean of max(-r A, -clip(r, 1 - c, 1 + c) A)
                   + vf_coef (V - R)^2 / 2 - ent_coef entropy

        order        : (M,) int64 below N, the steps of this minibatch
        logit, value : (M,), of ``cells_heads``
        steps        : N of them; A and R are their advantage and returns
        clip_range   : c, in [0, 1);  ent_coef, vf_coef : >= 0
        out          : (dlogit (M,), dvalue (M,), losses (5, M) float64)

        The rows of losses are surrogate, value loss, entropy, approximate KL (r - 1) - log r, and
        1 where |r - 1| > c. Source: Schulman et al. (2017), eq. 7 and 9.
        """
        check = Checker()
        order = check.input("order", order, I64, ("M",))
        logit = check.input("logit", logit, FLOATS, ("M",))
        value = check.input("value", value, FLOATS, ("M",))
        steps = _steps(check, steps)
        checks.within("order", order, 0, check.sizes["N"])
        first, second, third = checks.parts("out", out, 3)
        outputs = {
            "dlogit": check.output("dlogit", first, FLOATS, ("M",)),
            "dvalue": check.output("dvalue", second, FLOATS, ("M",)),
            "losses": check.output("losses", third, F64, (5, "M")),
        }
        given = {"order": order, "logit": logit, "value": value}
        checks.no_overlap(outputs, given | steps._asdict())
        coefficients = (
            checks.below_one("clip_range", clip_range),
            checks.not_negative("ent_coef", ent_coef),
            checks.not_negative("vf_coef", vf_coef),
        )
        self.cells.ppo_gradient(
            order, logit, value, tuple(steps), coefficients, tuple(outputs.values())
        )
        return tuple(outputs.values())

    def td_gradient(
        self,
        heads: Floats,
        target_heads: Floats,
        actions: Flags,
        rewards: Doubles,
        discount: Doubles,
        out: tuple[Array, ...] | None = None,
    ) -> tuple[Array, ...]:
        """Return the gradient of double Q-learning's mean loss.

            Q(RIGHT) = V + l / 2,  Q(LEFT) = V - l / 2       l the log odds, a dueling network's 2 A
            y = R + g Q'(x_n, argmax_a Q(x_n, a)),   loss = mean of (Q(x, a) - y)^2 / 2

        heads             : (2, 2 M), l and V of M steps, then of those n later
        target_heads      : (2, M), of the target network Q', n steps later
        actions           : (M,) uint8, 1 for RIGHT
        rewards, discount : (M,) float64, R and g: gamma^n, or 0 after a return's end
        out               : (dlogit (M,), dvalue (M,), parts (2, M) float64)

        The rows of parts are the errors Q(x, a) - y and the targets y. All is computed in float64
        and rounded once. Where both actions are worth the same LEFT is the better one.

        Sources: van Hasselt et al., "Deep Reinforcement Learning with Double Q-learning" (2016);
        Wang et al., "Dueling Network Architectures" (2016).
        """
        check = Checker()
        given = {"actions": check.input("actions", actions, U8, ("M",))}
        checks.within("actions", given["actions"], 0, 2)
        check.sizes["2M"] = 2 * check.sizes["M"]
        given |= {
            "heads": check.input("heads", heads, FLOATS, (2, "2M")),
            "target_heads": check.input("target_heads", target_heads, FLOATS, (2, "M")),
            "rewards": check.input("rewards", rewards, F64, ("M",)),
            "discount": check.input("discount", discount, F64, ("M",)),
        }
        first, second, third = checks.parts("out", out, 3)
        outputs = {
            "dlogit": check.output("dlogit", first, FLOATS, ("M",)),
            "dvalue": check.output("dvalue", second, FLOATS, ("M",)),
            "parts": check.output("parts", third, F64, (2, "M")),
        }
        checks.no_overlap(outputs, given)
        sample = given["actions"], given["rewards"], given["discount"]
        self.cells.td_gradient(
            given["heads"], given["target_heads"], sample, tuple(outputs.values())
        )
        return tuple(outputs.values())

    # --- optimizer ------------------------------------------------------------------------------

    def cells_adam(
        self,
        network: CellNetwork,
        gradient: Floats,
        moments: Moments,
        tree: CellTree,
        step: int,
        factor: float = 1.0,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-5,
    ) -> None:
        """Descend one step of Adam in place, by ``factor`` gradients.

            m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
            w = w - learning_rate m / (1 - b1^step) / (sqrt(v / (1 - b2^step)) + epsilon)

        network  : overwritten; a row moves with its parents
        gradient : (R + 3, H), of ``cells_backward``; overwritten by the steps of W, that is of each
                   level's rows by themselves
        moments  : overwritten; numbers below 1e-35 may be set to 0
        step     : number of this update, from 1
        factor, learning_rate : >= 0;  beta1, beta2 : in [0, 1)
        epsilon  : at least 1e-12: far above the root of numbers that may be set to 0
        """
        check = Checker()
        rows, units = _network(check, network, check.given)
        gradient = check.given("gradient", gradient, FLOATS, ("R+3", "H"))
        mean, square = _unpack("moments", moments, Moments)
        mean = check.given("mean", mean, FLOATS, ("R+3", "H"))
        square = check.given("square", square, FLOATS, ("R+3", "H"))
        tree = _tree(check, tree)
        outputs = {
            "rows": rows, "units": units, "gradient": gradient, "mean": mean, "square": square
        }  # fmt: skip
        checks.no_overlap(outputs, tree._asdict())
        coefficients = (
            checks.not_negative("factor", factor),
            checks.not_negative("learning_rate", learning_rate),
            checks.below_one("beta1", beta1),
            checks.below_one("beta2", beta2),
            checks.at_least("epsilon", epsilon, 1e-12),
        )
        self.cells.cells_adam(
            (rows, units), gradient, (mean, square), tuple(tree), checks.count("step", step),
            coefficients,
        )  # fmt: skip

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
        return PpoUpdate(self.cells, shares, tree, (inputs, steps), coefficients)

    # --- advantages -----------------------------------------------------------------------------

    def gae(
        self,
        rewards: Floats,
        values: Floats,
        dones: Array,
        last_value: Floats | float,
        gamma: float = 0.99,
        lambda_: float = 0.95,
        out: Floats | None = None,
    ) -> Floats:
        """Return generalised advantage estimates.

            delta_t = r_t + gamma (1 - done_t) V_{t+1} - V_t,   V_T = last_value
            A_t = delta_t + gamma lambda (1 - done_t) A_{t+1},   A_T = 0

        rewards, values : (T,), or (T, N) for N side by side; float32 or float64, all alike
        dones           : the same shape, uint8 or bool: not 0 for the last step of an episode
        last_value      : the value after the last step, a number for (T,), (N,) for (T, N)
        gamma, lambda_  : in [0, 1]
        out             : as rewards; may be ``rewards`` itself, else shares memory with none

        A + values are the returns that values learn. With lambda 1 A is the discounted return
        less the value, with lambda 0 it is delta. Source: Schulman et al. (2016), eq. 16.
        """
        check = Checker()
        single = np.ndim(rewards) == 1
        if isinstance(rewards, np.ndarray) and rewards.ndim not in (1, 2):
            raise ValueError(f"rewards: expected shape (T,) or (T, N), got {rewards.shape}")
        dims = ("T",) if single else ("T", "N")
        rewards = check.input("rewards", rewards, FLOATS, dims)
        values = check.input("values", values, FLOATS, dims)
        if isinstance(dones, np.ndarray) and dones.dtype == np.bool_:
            dones = dones.view(np.uint8)
        elif isinstance(dones, np.ndarray) and dones.dtype != np.uint8:
            raise TypeError(f"dones: expected dtype uint8 or bool, got {dones.dtype}")
        dones = check.input("dones", dones, U8, dims)
        if single:
            last_value = np.full(1, _number("last_value", last_value), rewards.dtype)
        last_value = check.input("last_value", last_value, FLOATS, (1 if single else "N",))
        gamma, lambda_ = checks.fraction("gamma", gamma), checks.fraction("lambda_", lambda_)
        out = check.output("out", out, FLOATS, dims)
        checks.same_or_separate("out", out, "rewards", rewards)
        checks.no_overlap({"out": out}, {"values": values, "dones": dones, "last": last_value})
        flat = [a.reshape(-1, 1) if single else a for a in (rewards, values, dones, out)]
        self.cells.gae(*flat[:3], last_value, gamma, lambda_, flat[3])
        return out

    # --- a worker's step ------------------------------------------------------------------------

    def cells_step(
        self,
        screens: Flags,
        table: Flags,
        network: CellNetwork,
        mirror: Array,
        inputs: SparseInputs,
        record: tuple[Flags, Floats, Floats],
        cell_size: int,
        pixel_stride: int = 2,
        spread: int = 1,
    ) -> Step:
        """Bind a rollout's buffers, return ``step(t, uniform, fresh, last_action)``.

        As ``policy_step``: it encodes screens[t % K], and unless ``fresh`` its difference to
        screens[(t - d) % K], d the spread, as ``encode_cells`` does, and the difference of
        screens[(t - d) % K] to screens[(t - 2 d) % K] and so on, S S further each, C channels in
        all; and, where there are 2 more rows for it, the last action (0, 1, or -1 for none). It
        records action, log odds and value, and returns 1 (RIGHT) if uniform <
        1 / (1 + exp(-logit)), else 0. It returns -1, with nothing written, where t >= cap or fewer
        than B entries are left.

        screens : (K, 210, 160) uint8, a ring of 1 + (C - 1) d or more
        network, mirror : as for ``cells_forward``; B = C S S, or 2 more, with C of 2 or more
        inputs  : written; indptr (cap + 1,), indices and values (room,)
        record  : written; actions (cap,) uint8, logits (cap,), values (cap,)
        spread  : steps from a screen to the one that it is compared to
        """
        check = Checker()
        rows, units = _network(check, network, check.bound)
        given = {
            "screens": check.bound("screens", screens, U8, ("K", *SCREEN)),
            "table": checks.table(table),
            "rows": rows,
            "units": units,
            "mirror": _mirror(check, mirror),
        }
        _check_channels(check, cell_size, pixel_stride, checks.count("spread", spread))
        actions, logits, values = checks.parts("record", record, 3)
        outputs = {
            "actions": check.given("actions", actions, U8, ("cap",)),
            "logits": check.given("logits", logits, FLOATS, ("cap",)),
            "values": check.given("values", values, FLOATS, ("cap",)),
        }
        check.sizes["cap+1"] = check.sizes["cap"] + 1
        indptr, indices, entries = _unpack("inputs", inputs, SparseInputs)
        room = {
            "indptr": check.given("indptr", indptr, I64, ("cap+1",)),
            "indices": check.given("indices", indices, U16, ("room",)),
            "entries": check.given("entries", entries, I8, ("room",)),
        }
        checks.no_overlap(outputs | room, given)
        scratch = np.empty((1, 2, check.sizes["H"]), check.float)
        step: Step = self.cells.CellsStep(
            given["screens"], given["table"], (cell_size, pixel_stride, spread),
            (rows, units), given["mirror"], scratch, tuple(room.values()),
            tuple(outputs.values()),
        )  # fmt: skip
        return step


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
        tree = _tree(check, tree)
        _, inputs, _ = _batch(check, np.zeros(0, np.int64), batch[0], tree.mirror)
        check.sizes["N"] = check.sizes["T"]
        steps = _steps(check, batch[1])
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


def cells_along(cell_size: int, pixel_stride: int = 2) -> int:
    """Return S, the number of cells along a side of the field."""
    if checks.count("pixel_stride", pixel_stride) not in (1, 2):
        raise ValueError(f"pixel_stride: expected 1 or 2, got {pixel_stride}")
    number, side = checks.count("cell_size", cell_size), FIELD // pixel_stride
    if number > 10 or side % number:
        raise ValueError(f"cell_size: expected a divisor of {side} up to 10, got {cell_size}")
    return int(side // number)


def _check_channels(check: Checker, cell_size: int, pixel_stride: int, spread: int) -> None:
    """Check the number of rows, and of screens for them."""
    cells, base = cells_along(cell_size, pixel_stride) ** 2, check.sizes["B"]
    channels, more = divmod(base, cells)
    if channels < 2 or more not in (0, 2):
        raise ValueError(f"rows: expected 2 or more times {cells}, or 2 more, got {base}")
    if check.sizes["K"] < 1 + (channels - 1) * spread:
        raise ValueError(
            f"screens: expected {1 + (channels - 1) * spread} or more for {channels} channels, "
            f"got {check.sizes['K']}"
        )
    if base > MAX_INPUTS:
        raise ValueError(
            f"rows: expected at most {MAX_INPUTS}, as uint16 can number, got {base}; take larger "
            "cells or fewer screens"
        )


def _number(name: str, value: Array | float) -> float:
    """Return a number, also one that comes in an array of one."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return checks.real(name, value)


def _unpack(name: str, value: tuple[Any, ...], kind: type[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return a tuple that has as many arrays as a bundle."""
    fields: tuple[str, ...] = kind.__match_args__
    if not isinstance(value, tuple) or len(value) != len(fields):
        raise TypeError(
            f"{name}: expected a tuple ({', '.join(fields)}), as {kind.__name__} makes it, got "
            f"{type(value).__name__}"
        )
    return value


def _network(
    check: Checker, network: CellNetwork, how: Callable[..., Array] | None = None
) -> tuple[Array, Array]:
    """Check rows and units, as inputs unless ``how`` is given."""
    how = how or check.input
    rows, units = _unpack("network", network, CellNetwork)
    return how("rows", rows, FLOATS, ("B", "H")), how("units", units, FLOATS, (3, "H"))


def _steps(check: Checker, steps: RolloutSteps) -> RolloutSteps:
    actions, *floats = _unpack("steps", steps, RolloutSteps)
    found = check.input("actions", actions, U8, ("N",))
    checks.within("actions", found, 0, 2)
    names = RolloutSteps._fields[1:]
    rest = [check.input(n, a, FLOATS, ("N",)) for n, a in zip(names, floats, strict=True)]
    return RolloutSteps(found, *rest)


def _share(check: Checker, share: UnitShare) -> RawShare:
    """Check a share of the units, as the raw kernels take it."""
    check.sizes.pop("H", None)
    network, moments, gradient, hidden = _unpack("shares", share, UnitShare)
    mean, square = _unpack("moments", moments, Moments)
    return (
        _network(check, network, check.given),
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


def _mirror(check: Checker, mirror: Array) -> NDArray[np.int32]:
    found: NDArray[np.int32] = check.input("mirror", mirror, I32, ("B",))
    checks.within("mirror", found, 0, check.sizes["B"])
    if not np.array_equal(found[found], np.arange(len(found))):
        raise ValueError("mirror: expected every row's mirror image to have that row for its own")
    return found


def _batch(
    check: Checker, order: Order, inputs: SparseInputs, mirror: Array
) -> tuple[Order, SparseInputs, Array]:
    """Check a minibatch: its steps, the batch's inputs, the mirror."""
    order = check.input("order", order, I64, ("M",))
    mirror = _mirror(check, mirror)
    check.sizes["D"] = check.sizes["B"]
    indptr, indices, values = _unpack("inputs", inputs, SparseInputs)
    frames = checks.sparse_frames(check, indptr, indices, values, "values")
    checks.within("order", order, 0, check.sizes["T"])
    return order, SparseInputs(*frames), mirror


def _tree(check: Checker, tree: CellTree) -> CellTree:
    """Check the relations between rows; sets "R+3"."""
    mirror, parents, scales, seen = _unpack("tree", tree, CellTree)
    found = CellTree(
        _mirror(check, mirror),
        check.input("parents", parents, I32, ("L", "B")),
        check.input("scales", scales, F64, ("L",)),
        check.input("seen", seen, U8, ("R",)),
    )
    rows, base = check.sizes["R"], check.sizes["B"]
    if check.sizes.setdefault("R+3", rows + 3) != rows + 3 or rows < base:
        raise ValueError(f"seen: expected {max(base, check.sizes['R+3'] - 3)} rows, got {rows}")
    above = found.parents
    checks.within("parents", above[above != -1], base, rows)
    return found
