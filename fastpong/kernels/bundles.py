"""The arrays that kernels of the cells network take together, and their declarations.

N steps of a batch, M of them in a minibatch, B inputs, R >= B rows of weights with those of the
coarser cells (see ``fastpong.agents.pyramid``), H hidden units. Any tuple of the same arrays will
do: the names are for those who read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array, Flags, Floats
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
    Call,
    In,
    InPlace,
    Rule,
    Values,
)
from fastpong.kernels.parts import (
    Generator,
    Sizes,
    bits,
    draw_sparse_frames,
    positive,
    sparse_below,
)
from fastpong.kernels.spec import Group


class SparseInputs(NamedTuple):
    """N inputs in CSR form.

    indptr          : (N + 1,), the entries of input t stand at indptr[t]:indptr[t + 1]
    indices, values : (nnz,), below B, and not 0
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint16]
    values: NDArray[np.int8]


class CellTree(NamedTuple):
    """Relations between rows of weights, as ``Pyramid`` numbers them.

    mirror  : (B,), the number of a row's mirror image
    parents : (L, B) in [B, R), or -1,  scales : (L,), by which a parent's weights count
    seen    : (R,), not 0 for every row that an input of this batch, or of one before, has reached
    """

    mirror: NDArray[np.int32]
    parents: NDArray[np.int32]
    scales: NDArray[np.float64]
    seen: Flags


class CellNetwork(NamedTuple):
    """Weights. rows : (B, H), E,  units : (3, H), the rows b, a and v."""

    rows: Floats
    units: Floats


class Moments(NamedTuple):
    """Adam's moments, of the gradient and its square: (R + 3, H) each, rows, then units."""

    mean: Floats
    square: Floats


class RolloutSteps(NamedTuple):
    """N steps of the policy that played: (N,) each.

    actions : 1 for RIGHT, 0 for LEFT,  old_logit : log odds of RIGHT
    """

    actions: Flags
    old_logit: Floats
    advantage: Floats
    returns: Floats


class UnitShare(NamedTuple):
    """Some hidden units, w of them: their weights and moments, and room to compute in.

    gradient : (R + 3, w), 0 in rows that were never seen,  hidden : (M, 2, w), M the largest
    minibatch
    """

    network: CellNetwork
    moments: Moments
    gradient: Floats
    hidden: Floats


class PpoCoefficients(NamedTuple):
    """Settings of PPO that hold for a whole update, see ``ppo_gradient`` and ``cells_adam``."""

    clip_range: float = 0.2
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-5


# --- their declarations ---------------------------------------------------------------------------


def two_actions(call: Call, actions: Array) -> None:
    """Check that all actions are 0 or 1."""
    checks.within("actions", actions, 0, 2)


def steps_of_batch(call: Call, array: Array) -> None:
    """Check that ``order`` picks steps of the batch."""
    checks.within("order", call.arrays["order"], 0, call.sizes["N"])


def mirrored(call: Call, mirror: Array) -> None:
    """Check that every row is its mirror image's."""
    checks.within("mirror", mirror, 0, call.sizes["B"])
    if not np.array_equal(mirror[mirror], np.arange(len(mirror))):
        raise ValueError("mirror: expected every row's mirror image to have that row for its own")


def batch_and_mirror(call: Call, mirror: Array) -> None:
    """Check the mirror, and a minibatch of inputs that are numbered as it is."""
    mirrored(call, mirror)
    sparse_below(call, call.sizes["B"])
    steps_of_batch(call, mirror)


def rows_above(call: Call, seen: Array) -> None:
    """Check that parents are rows after the inputs' own."""
    rows, base, parents = call.sizes["R"], call.sizes["B"], call.arrays["parents"]
    if rows < base:
        raise ValueError(f"seen: expected {base} rows or more, got {rows}")
    checks.within("parents", parents[parents != -1], base, rows)


def cells_network(kind: type[In | Bound | InPlace]) -> Group:
    """Declare the weights, as inputs or outputs."""
    return Group((kind("rows", FLOAT, ("B", "H")), kind("units", FLOAT, (3, "H"))), "network")


def cells_tree(rule: Rule) -> Group:
    """Declare the relations between rows, with a rule for the mirror."""
    return Group(
        (
            In("mirror", I32, ("B",), rule),
            In("parents", I32, ("L", "B")),
            In("scales", F64, ("L",), None, positive),
            In("seen", U8, ("R",), rows_above),
        ),
        "tree",
    )


INPUTS = Group(
    (
        In("indptr", I64, ("N+1",)),
        In("indices", U16, ("nnz",)),
        In("values", I8, ("nnz",)),
    ),
    "inputs",
)
MOMENTS = Group(
    (
        InPlace("mean", FLOAT, ("R+3", "H")),
        InPlace("square", FLOAT, ("R+3", "H"), None, positive),
    ),
    "moments",
)
STEPS = Group(
    (
        In("actions", U8, ("N",), two_actions, bits),
        In("old_logit", FLOAT, ("N",)),
        In("advantage", FLOAT, ("N",)),
        In("returns", FLOAT, ("N",)),
    ),
    "steps",
)
MINIBATCH_STEPS = Group((*STEPS.items[:-1], In("returns", FLOAT, ("N",), steps_of_batch)), "steps")
"""Steps of which ``order`` picks some."""
CELLS = {"": {"M": 3, "N": 4, "B": 30, "R": 36, "L": 2, "H": 5}}
"""Sizes of examples."""


def cells_example(rng: Generator, sizes: Sizes) -> Values:
    """Draw a minibatch of sparse inputs, and a tree of rows."""
    base, rows, levels = sizes["B"], sizes["R"], sizes["L"]
    frames = draw_sparse_frames(rng, [(3, 0, 20, 1)[t % 4] for t in range(sizes["N"])], base)
    above = base + np.arange(levels * base, dtype=np.int32) % (rows - base)
    return {
        "order": rng.permutation(sizes["N"])[: sizes["M"]],
        "indptr": frames["indptr"],
        "indices": frames["indices"],
        "values": frames["signs"],
        "mirror": np.arange(base, dtype=np.int32)[::-1].copy(),
        "parents": above.reshape(levels, base),
        "seen": np.ones(rows, np.uint8),
    }
