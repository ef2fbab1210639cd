"""Cells of sparse frames: their encoding, the network over them, a worker's step.

Names of sizes and bundles of arrays as in ``bundles``. The network, for an input x and its mirror
image x':

    h = ReLU(x E + b),  h' = ReLU(x' E + b)
    logit = 2 (h - h') . a, the log odds of RIGHT;  value = (h + h') . v

Kernels take any part of the units by themselves, with arrays of so many columns: no sum of a unit
depends on its neighbours, so threads can divide the units, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastpong.arrays import Array, Doubles, Flags, Floats, Order
from fastpong.geometry import PONG
from fastpong.kernels import checks
from fastpong.kernels.bundles import (
    F64,
    CellNetwork,
    CellTree,
    SparseInputs,
    check_batch,
    check_mirror,
    check_network,
    check_tree,
    unpack,
)
from fastpong.kernels.checks import FLOATS, I8, I64, U8, U16, Checker
from fastpong.kernels.runner import Runner

Step = Callable[[int, float, bool, int], int]

FIELD, SCREEN = PONG.height, PONG.screen
MAX_INPUTS = 1 << 16


class Cells(Runner):
    """The part of a ``Backend`` that this family adds."""

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
        n = self.raw.cells.encode_cells(
            screen, previous, table, cell_size, pixel_stride, (indices, values)
        )
        return indices[:n], values[:n]

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
        rows, units = check_network(check, network)
        order, batch, mirror = check_batch(check, order, inputs, mirror)
        out = check.output("out", out, FLOATS, ("M", 2, "H"))
        given = {"order": order, "mirror": mirror, "rows": rows, "units": units}
        checks.no_overlap({"out": out}, given | batch._asdict())
        self.raw.cells.cells_forward(order, tuple(batch), (rows, units), mirror, out)
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
        self.raw.cells.cells_heads(*inputs.values(), tuple(outputs.values()))
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
        tree = check_tree(check, tree)
        order, batch, _ = check_batch(check, order, inputs, tree.mirror)
        first, second = checks.pair("out", out)
        if first is None:
            first = np.zeros((check.sizes["R+3"], check.sizes["H"]), check.float)
        outputs = {
            "gradient": check.output("gradient", first, FLOATS, ("R+3", "H")),
            "squares": check.output("squares", second, F64, ("H",)),
        }
        checks.no_overlap(outputs, given | {"order": order} | tree._asdict() | batch._asdict())
        hidden, units, *upward = given.values()
        self.raw.cells.cells_backward(
            order, tuple(batch), tuple(tree), hidden, units, tuple(upward), tuple(outputs.values())
        )
        return outputs["gradient"], outputs["squares"]

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
        rows, units = check_network(check, network, check.bound)
        given = {
            "screens": check.bound("screens", screens, U8, ("K", *SCREEN)),
            "table": checks.table(table),
            "rows": rows,
            "units": units,
            "mirror": check_mirror(check, mirror),
        }
        _check_channels(check, cell_size, pixel_stride, checks.count("spread", spread))
        actions, logits, values = checks.parts("record", record, 3)
        outputs = {
            "actions": check.given("actions", actions, U8, ("cap",)),
            "logits": check.given("logits", logits, FLOATS, ("cap",)),
            "values": check.given("values", values, FLOATS, ("cap",)),
        }
        check.sizes["cap+1"] = check.sizes["cap"] + 1
        indptr, indices, entries = unpack("inputs", inputs, SparseInputs)
        room = {
            "indptr": check.given("indptr", indptr, I64, ("cap+1",)),
            "indices": check.given("indices", indices, U16, ("room",)),
            "entries": check.given("entries", entries, I8, ("room",)),
        }
        checks.no_overlap(outputs | room, given)
        scratch = np.empty((1, 2, check.sizes["H"]), check.float)
        step: Step = self.raw.cells.CellsStep(
            given["screens"], given["table"], (cell_size, pixel_stride, spread),
            (rows, units), given["mirror"], scratch, tuple(room.values()),
            tuple(outputs.values()),
        )  # fmt: skip
        return step


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
