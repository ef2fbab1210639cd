"""Cells of sparse frames: their encoding, the network over them, a worker's step.

Names of sizes and bundles of arrays as in ``bundles``. The network, for an input x and its mirror
image x':

    h = ReLU(x E + b),  h' = ReLU(x' E + b)
    logit = 2 (h - h') . a, the log odds of RIGHT,  value = (h + h') . v

Kernels take any part of the units by themselves, with arrays of so many columns: no sum of a unit
depends on its neighbours, so threads can divide the units, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastpong.arrays import Array, Doubles, Flags, Floats, Order
from fastpong.geometry import PONG
from fastpong.kernels import checks
from fastpong.kernels.arguments import (
    F64,
    FLOAT,
    I8,
    I32,
    I64,
    U8,
    U16,
    Bound,
    In,
    InPlace,
    Number,
    Out,
    Scratch,
)
from fastpong.kernels.bundles import (
    CELLS,
    INPUTS,
    CellNetwork,
    CellTree,
    SparseInputs,
    batch_and_mirror,
    cells_example,
    cells_network,
    cells_tree,
    mirrored,
)
from fastpong.kernels.checks import parts
from fastpong.kernels.parts import SCREEN, TABLE, any_bytes, positive
from fastpong.kernels.runner import Runner
from fastpong.kernels.spec import Group, Kernel

Step = Callable[[int, float, bool, int], int]

FIELD = PONG.height
MAX_INPUTS = 1 << 16

ENCODE_CELLS = Kernel(
    "encode_cells",
    "cells",
    (
        In("screen", U8, SCREEN, None, any_bytes),
        In("previous", U8, SCREEN, None, any_bytes),
        TABLE,
        Number("cell_size", checks.count, 4),
        Number("pixel_stride", checks.count, 2),
        Group((Out("indices", U16, ("entries",)), Out("values", I8, ("entries",)))),
    ),
    {"": {"entries": 2 * 20 * 20}},
    exact=True,
)
CELLS_FORWARD = Kernel(
    "cells_forward",
    "cells",
    (
        In("order", I64, ("M",)),
        INPUTS,
        cells_network(In),
        In("mirror", I32, ("B",), batch_and_mirror),
        Out("out", FLOAT, ("M", 2, "H")),
    ),
    CELLS,
    cells_example,
)
CELLS_HEADS = Kernel(
    "cells_heads",
    "cells",
    (
        In("hidden", FLOAT, ("M", 2, "H"), None, positive),
        In("units", FLOAT, (3, "H")),
        Group((Out("logit", FLOAT, ("M",)), Out("value", FLOAT, ("M",)))),
    ),
    CELLS,
)
CELLS_BACKWARD = Kernel(
    "cells_backward",
    "cells",
    (
        In("order", I64, ("M",)),
        INPUTS,
        cells_tree(batch_and_mirror),
        In("hidden", FLOAT, ("M", 2, "H"), None, positive),
        In("units", FLOAT, (3, "H")),
        Group((In("dlogit", FLOAT, ("M",)), In("dvalue", FLOAT, ("M",)))),
        Group((Out("gradient", FLOAT, ("R+3", "H"), added=True), Out("squares", F64, ("H",)))),
    ),
    CELLS,
    cells_example,
)
CELLS_STEP = Kernel(
    "cells_step",
    "cells",
    (
        Bound("screens", U8, ("K", *SCREEN), None, any_bytes),
        TABLE,
        Group(
            (
                Number("cell_size", checks.count, 4),
                Number("pixel_stride", checks.count, 2),
                Number("spread", checks.count, 1),
            )
        ),
        cells_network(Bound),
        In("mirror", I32, ("B",), mirrored),
        Scratch("hidden", FLOAT, (1, 2, "H")),
        Group(
            (
                InPlace("indptr", I64, ("cap+1",)),
                InPlace("indices", U16, ("room",)),
                InPlace("values", I8, ("room",)),
            ),
            "inputs",
        ),
        Group(
            (
                InPlace("actions", U8, ("cap",)),
                InPlace("logits", FLOAT, ("cap",)),
                InPlace("estimates", FLOAT, ("cap",)),
            ),
            "record",
        ),
    ),
    raw="CellsStep",
)


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
                       up to 10, S = 160 / pixel_stride / r
        out          : buffers (indices, values), (2 S S,) uint16 and (2 S S,) int8

        Returns (indices, values), both (n,), views of ``out``: non-zero cells only. Cell (y, x)
        of the frame is S y + x, of the difference S S more. O(field). Exact.
        """
        previous = screen if previous is None else previous
        n, (indices, values) = self._run_raw(
            ENCODE_CELLS, screen, previous, table, cell_size, pixel_stride, *parts("out", out, 2),
            entries=2 * cells_along(cell_size, pixel_stride) ** 2,
        )  # fmt: skip
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

        order   : (M,) int64 below N,  inputs : N of them
        network : of its units this reads b
        mirror  : (B,) int32, the number of a row's mirror image
        """
        return self._run_one(CELLS_FORWARD, order, inputs, network, mirror, out)

    def cells_heads(
        self, hidden: Floats, units: Floats, out: tuple[Floats, Floats] | None = None
    ) -> tuple[Floats, Floats]:
        """Return the log odds of RIGHT and the values: (M,) each.

        hidden : (M, 2, H), of ``cells_forward``,  units : (3, H), of which this reads a and v
        """
        logit, value = self._run(CELLS_HEADS, hidden, units, *parts("out", out, 2))
        return logit, value

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

        order, inputs  : as for ``cells_forward``,  hidden : its result
        tree           : rows with seen 0 are left alone, and are 0 where ``out`` is not given
        dlogit, dvalue : (M,)
        out            : (gradient (R + 3, H): rows, units. ``squares`` (H,) float64, the sum of
                         the squares of each unit's gradient)

        O(nnz H + R H).
        """
        gradient, squares = self._run(
            CELLS_BACKWARD, order, inputs, tree, hidden, units, dlogit, dvalue,
            *parts("out", out, 2), added=True,
        )  # fmt: skip
        return gradient, squares

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
        all, and the last action (0, 1, or -1 for none) if there are 2 more rows for it. It
        records action, log odds and value, and returns 1 (RIGHT) if uniform <
        1 / (1 + exp(-logit)), else 0. It returns -1, with nothing written, where t >= cap or fewer
        than B entries are left.

        screens : (K, 210, 160) uint8, a ring of 1 + (C - 1) d or more
        network, mirror : as for ``cells_forward``. B = C S S, or 2 more, with C of 2 or more
        inputs  : written, indptr (cap + 1,), indices and values (room,)
        record  : written, actions (cap,) uint8, logits (cap,), values (cap,)
        spread  : steps from a screen to the one that it is compared to
        """
        call = CELLS_STEP.check(
            screens, table, cell_size, pixel_stride, spread, network, mirror, inputs, record
        )
        _check_channels(call.sizes, cell_size, pixel_stride, spread)
        step: Step = self.raw[CELLS_STEP](*call.arguments)
        return step


def cells_along(cell_size: int, pixel_stride: int = 2) -> int:
    """Return S, the number of cells along a side of the field."""
    stride, number = (
        checks.count("pixel_stride", pixel_stride),
        checks.count("cell_size", cell_size),
    )
    if stride not in (1, 2):
        raise ValueError(f"pixel_stride: expected 1 or 2, got {stride}")
    side = FIELD // stride
    if number > 10 or side % number:
        raise ValueError(f"cell_size: expected a divisor of {side} up to 10, got {number}")
    return side // number


def _check_channels(
    sizes: Mapping[str, int], cell_size: int, pixel_stride: int, spread: int
) -> None:
    """Check the number of rows, and of screens for them."""
    cells, base = cells_along(cell_size, pixel_stride) ** 2, sizes["B"]
    channels, more = divmod(base, cells)
    spread = checks.count("spread", spread)  # an integer of NumPy may be too narrow to multiply
    if channels < 2 or more not in (0, 2):
        raise ValueError(f"rows: expected 2 or more times {cells}, or 2 more, got {base}")
    if sizes["K"] < 1 + (channels - 1) * spread:
        raise ValueError(
            f"screens: expected {1 + (channels - 1) * spread} or more for {channels} channels, "
            f"got {sizes['K']}"
        )
    if base > MAX_INPUTS:
        raise ValueError(
            f"rows: expected at most {MAX_INPUTS}, as uint16 can number, got {base}; take larger "
            "cells or fewer screens"
        )
