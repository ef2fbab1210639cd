"""The arrays that kernels of the cells network take together, and their types.

N steps of a batch, M of them in a minibatch, B inputs, R >= B rows of weights with those of the
coarser cells (see ``fastpong.agents.pyramid``), H hidden units. Any tuple of the same arrays will
do: the names are for those who read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.generic]
Floats: TypeAlias = NDArray[np.floating]
Doubles: TypeAlias = NDArray[np.float64]
Order: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.uint8]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
"""Weights, or an agent's state, by name."""


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
