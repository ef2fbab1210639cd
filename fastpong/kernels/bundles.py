"""The arrays that kernels of the cells network take together, and their checks.

N steps of a batch, M of them in a minibatch, B inputs, R >= B rows of weights with those of the
coarser cells (see ``fastpong.agents.pyramid``), H hidden units. Any tuple of the same arrays will
do: the names are for those who read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Array, Flags, Floats, Order
from fastpong.kernels import checks
from fastpong.kernels.checks import FLOATS, I32, I64, U8, Checker

F64 = (np.dtype(np.float64),)


class SparseInputs(NamedTuple):
    """N inputs in CSR form.

    indptr          : (N + 1,); the entries of input t stand at indptr[t]:indptr[t + 1]
    indices, values : (nnz,), below B, and not 0
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint16]
    values: NDArray[np.int8]


class CellTree(NamedTuple):
    """Relations between rows of weights, as ``Pyramid`` numbers them.

    mirror  : (B,), the number of a row's mirror image
    parents : (L, B) in [B, R), or -1;  scales : (L,), by which a parent's weights count
    seen    : (R,), not 0 for every row that an input of this batch, or of one before, has reached
    """

    mirror: NDArray[np.int32]
    parents: NDArray[np.int32]
    scales: NDArray[np.float64]
    seen: Flags


class CellNetwork(NamedTuple):
    """Weights. rows : (B, H), E;  units : (3, H), the rows b, a and v."""

    rows: Floats
    units: Floats


class Moments(NamedTuple):
    """Adam's moments, of the gradient and its square: (R + 3, H) each, rows, then units."""

    mean: Floats
    square: Floats


class RolloutSteps(NamedTuple):
    """N steps of the policy that played: (N,) each.

    actions : 1 for RIGHT, 0 for LEFT;  old_logit : log odds of RIGHT
    """

    actions: Flags
    old_logit: Floats
    advantage: Floats
    returns: Floats


class UnitShare(NamedTuple):
    """Some hidden units, w of them: their weights and moments, and room to compute in.

    gradient : (R + 3, w), 0 in rows that were never seen;  hidden : (M, 2, w), M the largest
    minibatch
    """

    network: CellNetwork
    moments: Moments
    gradient: Floats
    hidden: Floats


class PpoCoefficients(NamedTuple):
    """Settings of PPO that hold for a whole update; see ``ppo_gradient`` and ``cells_adam``."""

    clip_range: float = 0.2
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-5


# --- checks ---------------------------------------------------------------------------------------


def unpack(name: str, value: tuple[Any, ...], kind: type[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return a tuple that has as many arrays as a bundle."""
    fields: tuple[str, ...] = vars(kind)["_fields"]
    if not isinstance(value, tuple) or len(value) != len(fields):
        raise TypeError(
            f"{name}: expected a tuple ({', '.join(fields)}), as {kind.__name__} makes it, got "
            f"{type(value).__name__}"
        )
    return value


def check_network(
    check: Checker, network: CellNetwork, how: Callable[..., Array] | None = None
) -> tuple[Array, Array]:
    """Check rows and units, as inputs unless ``how`` is given."""
    how = how or check.input
    rows, units = unpack("network", network, CellNetwork)
    return how("rows", rows, FLOATS, ("B", "H")), how("units", units, FLOATS, (3, "H"))


def check_mirror(check: Checker, mirror: Array) -> NDArray[np.int32]:
    """Check that every row is its mirror image's."""
    found: NDArray[np.int32] = check.input("mirror", mirror, I32, ("B",))
    checks.within("mirror", found, 0, check.sizes["B"])
    if not np.array_equal(found[found], np.arange(len(found))):
        raise ValueError("mirror: expected every row's mirror image to have that row for its own")
    return found


def check_batch(
    check: Checker, order: Order, inputs: SparseInputs, mirror: Array
) -> tuple[Order, SparseInputs, Array]:
    """Check a minibatch: its steps, the batch's inputs, the mirror."""
    order = check.input("order", order, I64, ("M",))
    mirror = check_mirror(check, mirror)
    check.sizes["D"] = check.sizes["B"]
    indptr, indices, values = unpack("inputs", inputs, SparseInputs)
    frames = checks.sparse_frames(check, indptr, indices, values, "values")
    checks.within("order", order, 0, check.sizes["T"])
    return order, SparseInputs(*frames), mirror


def check_tree(check: Checker, tree: CellTree) -> CellTree:
    """Check the relations between rows; sets "R+3"."""
    mirror, parents, scales, seen = unpack("tree", tree, CellTree)
    found = CellTree(
        check_mirror(check, mirror),
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


def check_steps(check: Checker, steps: RolloutSteps) -> RolloutSteps:
    """Check the steps of a batch, set "N"."""
    actions, *floats = unpack("steps", steps, RolloutSteps)
    found = check.input("actions", actions, U8, ("N",))
    checks.within("actions", found, 0, 2)
    names = RolloutSteps._fields[1:]
    rest = [check.input(n, a, FLOATS, ("N",)) for n, a in zip(names, floats, strict=True)]
    return RolloutSteps(found, *rest)
