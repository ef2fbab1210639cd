"""Cells of sparse frames: their encoding, the network over them, and the worker's step with it.

N decisions of a batch, M of them in a minibatch, B inputs, R >= B rows of
weights with those of the coarser cells (see ``fastpong.agents.pyramid``), H units. ``units`` is
(3, H): the hidden layer's biases b, the policy's weights a, the value's v. The network, for
an input x and its mirror image x':

    h = ReLU(x E + b),  h' = ReLU(x' E + b)
    logit = 2 (h - h') . a, the log odds of RIGHT;  value = (h + h') . v

``share=(first, last)`` has a kernel do the part of its work that belongs to these units, or these
decisions, and leave the rest of its outputs alone, so that threads can share it out; the result
does not depend on where the shares lie, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastpong.arrays import Array
from fastpong.geometry import PONG
from fastpong.kernels import checks
from fastpong.kernels.checks import FLOATS, I8, I32, I64, U8, U16, Checker
from fastpong.kernels.runner import Runner

Share = tuple[int, int] | None

FIELD, SCREEN = PONG.height, PONG.screen
MAX_INPUTS = 1 << 16
F64 = (np.dtype(np.float64),)


class Cells(Runner):
    """The part of a ``Backend`` that this family adds."""

    # --- input ----------------------------------------------------------------------------------

    def encode_cells(
        self,
        screen: Array,
        previous: Array | None,
        table: Array,
        resolution: int = 1,
        stride: int = 2,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Return the active pixels of each cell of a frame, and of its difference to the last one.

        screen, previous, table : as for ``sparse_difference_frame``
        stride     : 2 to look at every second row and column of the field, 1 for all
        resolution : pixels so looked at along a side of a cell, r: a divisor of 160 / stride up
                     to 10; S = 160 / stride / r
        out        : buffers (indices, values), (2 S S,) uint16 and (2 S S,) int8

        Returns (indices, values), both (n,), views of ``out``: only what is not zero. Cell (y, x)
        of the frame is S y + x, of the difference S S more. O(field). Exact.
        """
        check = Checker()
        screen = check.input("screen", screen, U8, SCREEN)
        previous = screen if previous is None else check.input("previous", previous, U8, SCREEN)
        base = 2 * cells_along(resolution, stride) ** 2
        first, second = checks.pair("out", out)
        indices = check.output("indices", first, U16, (base,))
        values = check.output("values", second, I8, (base,))
        table = checks.table(table)
        checks.no_overlap(
            {"indices": indices, "values": values},
            {"screen": screen, "previous": previous, "table": table},
        )
        n = self.raw.cells.encode_cells(
            screen, previous, table, resolution, stride, indices, values
        )
        return indices[:n], values[:n]

    # --- network --------------------------------------------------------------------------------

    def pyramid_forward(
        self,
        order: Array,
        indptr: Array,
        indices: Array,
        values: Array,
        rows: Array,
        mirror: Array,
        units: Array,
        share: Share = None,
        out: Array | None = None,
    ) -> Array:
        """Return h and h' of the decisions ``order``: (M, 2, H).

        order  : (M,) int64 below N
        indptr, indices, values : the batch's inputs, (N + 1,) int64, (nnz,) uint16 below B and int8
        rows   : (B, H), E;  mirror : (B,) int32, the number of a row's mirror image
        units  : (3, H), of which this reads b
        share  : of the units
        """
        check = Checker()
        inputs = {"rows": check.input("rows", rows, FLOATS, ("B", "H"))}
        inputs["units"] = check.input("units", units, FLOATS, (3, "H"))
        batch = _batch(check, order, indptr, indices, values, mirror)
        units_share = checks.share("share", share, check.sizes["H"])
        out = check.output("out", out, FLOATS, ("M", 2, "H"))
        checks.no_overlap({"out": out}, inputs | batch)
        *frames, mirror = batch.values()
        self.raw.cells.pyramid_forward(
            *frames, inputs["rows"], mirror, inputs["units"], *units_share, out
        )
        return out

    def actor_critic(
        self,
        hidden: Array,
        units: Array,
        share: Share = None,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Return the log odds of RIGHT and the values: (M,) each.

        hidden : (M, 2, H), of ``pyramid_forward``;  units : (3, H), of which this reads a and v
        share  : of the decisions
        """
        check = Checker()
        inputs = {
            "hidden": check.input("hidden", hidden, FLOATS, ("M", 2, "H")),
            "units": check.input("units", units, FLOATS, (3, "H")),
        }
        decisions = checks.share("share", share, check.sizes["M"])
        first, second = checks.pair("out", out)
        outputs = {
            "logit": check.output("logit", first, FLOATS, ("M",)),
            "estimate": check.output("estimate", second, FLOATS, ("M",)),
        }
        checks.no_overlap(outputs, inputs)
        self.raw.cells.actor_critic(*inputs.values(), *decisions, *outputs.values())
        return outputs["logit"], outputs["estimate"]

    def pyramid_backward(
        self,
        order: Array,
        indptr: Array,
        indices: Array,
        values: Array,
        mirror: Array,
        parents: Array,
        scales: Array,
        seen: Array,
        hidden: Array,
        units: Array,
        dlogit: Array,
        dvalue: Array,
        share: Share = None,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """Return the gradient of sum_t dlogit_t logit_t + dvalue_t value_t by all weights.

        parents  : (L, B) int32 in [B, R), or -1;  scales : (L,) float64: see ``Pyramid``
        seen     : (R,) uint8, not 0 for every row that an input of this batch, or of one before,
                   has reached. Rows with 0 are left alone, and are 0 where ``out`` is not given
        dlogit, dvalue : (M,)
        share    : of the units
        out      : (gradient (R + 3, H): rows, then units; squares (H,) float64, the sum of the
                   squares of each unit's gradient)

        The other arguments are those of ``pyramid_forward`` and its result. O(nnz H + R H).
        """
        check = Checker()
        inputs = {
            "hidden": check.input("hidden", hidden, FLOATS, ("M", 2, "H")),
            "units": check.input("units", units, FLOATS, (3, "H")),
            "dlogit": check.input("dlogit", dlogit, FLOATS, ("M",)),
            "dvalue": check.input("dvalue", dvalue, FLOATS, ("M",)),
        }
        tree = _tree(check, parents, scales, seen)
        batch = _batch(check, order, indptr, indices, values, mirror)
        units_share = checks.share("share", share, check.sizes["H"])
        first, second = checks.pair("out", out)
        if first is None:
            first = np.zeros((check.sizes["R+3"], check.sizes["H"]), check.float)
        outputs = {
            "gradient": check.output("gradient", first, FLOATS, ("R+3", "H")),
            "squares": check.output("squares", second, F64, ("H",)),
        }
        checks.no_overlap(outputs, inputs | tree | batch)
        self.raw.cells.pyramid_backward(
            *batch.values(), *tree.values(), *inputs.values(), *units_share, *outputs.values()
        )
        return outputs["gradient"], outputs["squares"]

    # --- optimizer ------------------------------------------------------------------------------

    def pyramid_adam(
        self,
        rows: Array,
        units: Array,
        gradient: Array,
        mean: Array,
        square: Array,
        seen: Array,
        parents: Array,
        scales: Array,
        step: int,
        factor: float = 1.0,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-5,
        share: Share = None,
    ) -> None:
        """Descend one step of Adam in place, with ``factor`` times the gradient.

            m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
            w = w - learning_rate m / (1 - b1^step) / (sqrt(v / (1 - b2^step)) + epsilon)

        rows, units     : (B, H) and (3, H), overwritten; a row moves with its parents
        gradient        : (R + 3, H), of ``pyramid_backward``; overwritten by the steps of W,
                          that is of each level's rows by themselves
        mean, square    : (R + 3, H), overwritten; what falls below 1e-35 may be set to 0
        step            : number of this update, from 1
        factor, learning_rate : >= 0;  beta1, beta2 : in [0, 1)
        epsilon         : at least 1e-12: far above the root of what may be set to 0
        share           : of the units
        """
        check = Checker()
        outputs = {
            "rows": check.given("rows", rows, FLOATS, ("B", "H")),
            "units": check.given("units", units, FLOATS, (3, "H")),
            "gradient": check.given("gradient", gradient, FLOATS, ("R+3", "H")),
            "mean": check.given("mean", mean, FLOATS, ("R+3", "H")),
            "square": check.given("square", square, FLOATS, ("R+3", "H")),
        }
        tree = _tree(check, parents, scales, seen)
        checks.no_overlap(outputs, tree)
        self.raw.cells.pyramid_adam(
            *outputs.values(), tree["seen"], tree["parents"], tree["scales"],
            checks.not_negative("factor", factor), checks.count("step", step),
            checks.not_negative("learning_rate", learning_rate),
            checks.below_one("beta1", beta1), checks.below_one("beta2", beta2),
            checks.at_least("epsilon", epsilon, 1e-12),
            *checks.share("share", share, check.sizes["H"]),
        )  # fmt: skip

    # --- a worker's step ------------------------------------------------------------------------

    def actor_step(
        self,
        screens: Array,
        table: Array,
        resolution: int,
        rows: Array,
        mirror: Array,
        units: Array,
        indptr: Array,
        indices: Array,
        values: Array,
        actions: Array,
        logits: Array,
        estimates: Array,
        stride: int = 2,
        spread: int = 1,
    ) -> Callable[[int, float, bool, int], int]:
        """Bind the buffers of a segment; return ``step(t, uniform, fresh, last_action) -> action``.

        As ``policy_step``: it encodes screens[t % K], and unless ``fresh`` its difference to
        screens[(t - d) % K], d the spread, as ``encode_cells`` does, and the difference of
        screens[(t - d) % K] to screens[(t - 2 d) % K] and so on, S S further each, C channels in
        all; and, where ``rows`` has 2 more for it, the last action (0, 1, or -1 for none); records
        in logits[t], estimates[t] and actions[t]; and returns 1 (RIGHT) if uniform <
        1 / (1 + exp(-logit)), else 0. It returns -1, with nothing written, where t >= cap or fewer
        than B entries are left.

        screens : (K, 210, 160) uint8, a ring of 1 + (C - 1) d or more
        rows, mirror, units : as for ``pyramid_forward``; B = C S S, or 2 more, with C of 2 or more
        spread  : steps from one screen that is compared to the next
        indptr : (cap + 1,) int64;  actions : (cap,) uint8;  logits, estimates : (cap,)
        indices, values : (room,) uint16 and (room,) int8
        """
        check = Checker()
        inputs = {
            "screens": check.bound("screens", screens, U8, ("K", *SCREEN)),
            "table": checks.table(table),
            "rows": check.bound("rows", rows, FLOATS, ("B", "H")),
            "mirror": _mirror(check, mirror),
            "units": check.bound("units", units, FLOATS, (3, "H")),
        }
        cells, spread = cells_along(resolution, stride) ** 2, checks.count("spread", spread)
        channels, more = divmod(check.sizes["B"], cells)
        if channels < 2 or more not in (0, 2):
            raise ValueError(
                f"rows: expected 2 or more times {cells}, or 2 more, got {check.sizes['B']}"
            )
        if check.sizes["K"] < 1 + (channels - 1) * spread:
            raise ValueError(
                f"screens: expected {1 + (channels - 1) * spread} or more for {channels} channels, "
                f"got {check.sizes['K']}"
            )
        if check.sizes["B"] > MAX_INPUTS:
            raise ValueError(
                f"rows: expected at most {MAX_INPUTS}, as uint16 can number, got "
                f"{check.sizes['B']}; take larger cells or fewer screens"
            )
        outputs = {
            "actions": check.given("actions", actions, U8, ("cap",)),
            "indices": check.given("indices", indices, U16, ("room",)),
            "values": check.given("values", values, I8, ("room",)),
            "logits": check.given("logits", logits, FLOATS, ("cap",)),
            "estimates": check.given("estimates", estimates, FLOATS, ("cap",)),
        }
        check.sizes["cap+1"] = check.sizes["cap"] + 1
        outputs["indptr"] = check.given("indptr", indptr, I64, ("cap+1",))
        checks.no_overlap(outputs, inputs)
        scratch = np.empty((1, 2, check.sizes["H"]), check.float)
        step: Callable[[int, float, bool, int], int] = self.raw.cells.ActorStep(
            inputs["screens"], inputs["table"], resolution, stride, spread, inputs["rows"],
            inputs["mirror"], inputs["units"], scratch, outputs["indptr"],
            outputs["indices"], outputs["values"], outputs["actions"], outputs["logits"],
            outputs["estimates"],
        )  # fmt: skip
        return step


def cells_along(resolution: Any, stride: Any = 2) -> int:
    """Return S, the number of cells along a side of the field."""
    if checks.count("stride", stride) not in (1, 2):
        raise ValueError(f"stride: expected 1 or 2, got {stride}")
    number, side = checks.count("resolution", resolution), FIELD // stride
    if number > 10 or side % number:
        raise ValueError(f"resolution: expected a divisor of {side} up to 10, got {resolution}")
    return int(side // number)


def _mirror(check: Checker, mirror: Any) -> Array:
    found = check.input("mirror", mirror, I32, ("B",))
    checks.within("mirror", found, 0, check.sizes["B"])
    if not np.array_equal(found[found], np.arange(len(found))):
        raise ValueError("mirror: expected every row's mirror image to have that row for its own")
    return found


def _batch(
    check: Checker, order: Any, indptr: Any, indices: Any, values: Any, mirror: Any
) -> dict[str, Array]:
    """Check a minibatch: its decisions, the batch's inputs, the mirror; "B" bounds the inputs."""
    order = check.input("order", order, I64, ("M",))
    mirror = _mirror(check, mirror)
    check.sizes["D"] = check.sizes["B"]
    frames = checks.sparse_frames(check, indptr, indices, values, "values")
    checks.within("order", order, 0, check.sizes["T"])
    return dict(zip(("order", "indptr", "indices", "values"), (order, *frames), strict=True)) | {
        "mirror": mirror
    }


def _tree(check: Checker, parents: Any, scales: Any, seen: Any) -> dict[str, Array]:
    """Check the coarser rows; sets "R+3"."""
    tree = {
        "parents": check.input("parents", parents, I32, ("L", "B")),
        "scales": check.input("scales", scales, F64, ("L",)),
        "seen": check.input("seen", seen, U8, ("R",)),
    }
    rows, base = check.sizes["R"], check.sizes["B"]
    if check.sizes.setdefault("R+3", rows + 3) != rows + 3 or rows < base:
        raise ValueError(f"seen: expected {max(base, check.sizes['R+3'] - 3)} rows, got {rows}")
    above = tree["parents"]
    checks.within("parents", above[above != -1], base, rows)
    return tree
