"""The sum tree of prioritised replay.

A call tries the compiled kernel first, which refuses arrays and values that it cannot take. Only
then arguments are checked one by one, and converted or refused with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, cast

import numpy as np
from numpy import empty
from numpy.random import Generator

from fastpong.arrays import Doubles, Order
from fastpong.kernels import checks
from fastpong.kernels.arguments import F32, F64, I32, I64, Call, In, Out
from fastpong.kernels.backend import get_backend
from fastpong.kernels.foreign import is_array
from fastpong.kernels.spec import Kernel

INDICES = In("indices", (I64, I32), ("n",))
UPDATE = Kernel("tree_update", "replay", (INDICES, In("priorities", (F64, F32), ("n",))))
FIND = Kernel("tree_find", "replay", (In("sums", (F64, F32), ("n",)), Out("out", I64, ("n",))))
SAMPLE = Kernel(
    "tree_sample",
    "replay",
    (In("rng", (F64, F32), ("n",)), Out("indices", I64, ("n",)), Out("priorities", F64, ("n",))),
)

LINE = 8
"""Numbers in a cache line: a node's children lie in one."""
LARGEST = 1 << 44
"""Priorities whose sums have addresses."""

REFUSALS = (TypeError, ValueError)
"""Raised by raw Cython kernels for arrays of another dtype, rank or layout."""


class _Saved(TypedDict):
    capacity: int
    backend: str | None
    priorities: Doubles


class SumTree:
    """Hold priorities, and sample indices in proportion to them.

        P(i) = p_i / sum_k p_k

    capacity : number of priorities, all 0 at first
    backend  : "cython", "numba" or "numpy", None is the default one
    nodes    : what raw kernels take, and ``capacity``. Not to be written by others

    Priorities are float64 from 0 to 2**900. A node's sum is exactly the sum of its two halves,
    recomputed by every update, so no error builds up. It depends on the priorities alone, and all
    backends give the same bits. The memory is about 10.3 bytes a priority, up to twice that where
    ``capacity`` is little above a power of 8. The GIL is released. Only one thread at a time may
    call an object's methods.

    Source: Schaul et al., "Prioritized Experience Replay" (2016), section 3.3 and appendix B.2.1.
    """

    def __init__(self, capacity: int, backend: str | None = None) -> None:
        self.capacity = checks.count("capacity", capacity)
        if self.capacity > LARGEST:
            raise ValueError(f"capacity: expected at most 2^44 priorities, got {self.capacity}")
        chosen = get_backend(backend)
        self._backend, self._raw = backend, chosen.raw.family("replay")
        self._refuses = chosen.name == "cython"  # the others trust their arguments
        size, self._root, self._least = self._raw.tree_layout(self.capacity)
        self.nodes = aligned(size)
        self.nodes[self._root + LINE :] = np.inf

    def __len__(self) -> int:
        return self.capacity

    def __getstate__(self) -> _Saved:
        priorities = self.nodes[: self.capacity].copy()
        return {"capacity": self.capacity, "backend": self._backend, "priorities": priorities}

    def __setstate__(self, state: _Saved) -> None:
        SumTree.__init__(self, state["capacity"], state["backend"])
        self.update(np.arange(self.capacity), state["priorities"])

    @property
    def nbytes(self) -> int:
        """Return the bytes of memory that it takes."""
        return self.nodes.nbytes

    def sum(self) -> float:
        """Return the sum of all priorities."""
        return self.nodes.item(self._root)

    def min(self) -> float:
        """Return the smallest priority above 0.

        Raises ValueError where all are 0.
        """
        self._not_all_zero()
        return self.nodes.item(self._least)

    def get(self, indices: Order) -> Doubles:
        """Return the priorities of some indices.

        indices : (n,) int64 or int32, below ``capacity``
        """
        places = checks.within("indices", INDICES.check(Call(), indices), 0, self.capacity)
        return np.asarray(self.nodes[places])

    def update(self, indices: Order, priorities: Doubles) -> None:
        """Set priorities, and renew the sums above them.

        indices    : (n,) int64 or int32, below ``capacity``. The last of equal ones counts
        priorities : (n,) float64 or float32, from 0 to 2**900. Those of 0 are never sampled

        Raises TypeError for other types, ValueError for other shapes, an index outside of the tree
        and a priority that is negative, infinite or NaN. Nothing is changed then.
        """
        if self._takes(self._raw.tree_update, indices, priorities):
            return
        places, values = UPDATE.check(indices, priorities).arrays.values()
        refused = self._raw.tree_update(
            self.nodes, self.capacity, places.astype(I64), values.astype(F64)
        )
        if refused >= 0:
            checks.within("indices", places, 0, self.capacity)
            raise ValueError(
                f"priorities: expected numbers from 0 to 2**900, got {values[refused]} at "
                f"{refused}; nothing was updated"
            )

    def find(self, sums: Doubles, out: Order | None = None) -> Order:
        """Return the index in whose part of the sum each number lies.

            p_0 + ... + p_{i-1} <= s < p_0 + ... + p_i,   added up as the tree does

        sums : (n,) float64 or float32, from 0 to ``sum()``, which lies in the last index above 0
        out  : (n,) int64

        Raises TypeError for other types, ValueError for other shapes, numbers outside of the tree,
        and where all priorities are 0.
        """
        if out is None and isinstance(sums, np.ndarray):
            out = empty(sums.shape, I64)
            if self._takes(self._raw.tree_find, sums, out):
                return out
        call = FIND.check(sums, out)
        numbers, found = call.arrays.values()
        refused = self._raw.tree_find(self.nodes, self.capacity, numbers.astype(F64), found)
        if refused >= 0:
            self._not_all_zero()
            raise ValueError(
                f"sums: expected numbers from 0 to {self.sum()}, the sum of the tree, got "
                f"{numbers[refused]} at {refused}"
            )
        return cast(Order, call.outputs[0])

    def sample(
        self, n: int, rng: Generator | Doubles, out: tuple[Order, Doubles] | None = None
    ) -> tuple[Order, Doubles]:
        """Sample an index from each of n equal parts of the sum.

            s_k = (k + u_k) / n * sum(),   0 <= k < n

        n   : >= 0
        rng : a generator, or (n,) float64 or float32 uniform numbers u in [0, 1)
        out : (indices (n,) int64, priorities (n,) float64)

        Returns the indices and their priorities, with their own kernel. Raises TypeError for other
        types, ValueError for other shapes, numbers outside of [0, 1), and where all priorities are
        0 and n is not.
        """
        if type(n) is not int or not 0 <= n <= LARGEST:
            n = checks.whole("n", n)
            checks.addressable("n", n, 8)
        uniforms: Any = rng.random(n) if isinstance(rng, Generator) else rng
        if uniforms is rng and not is_array(rng):
            raise TypeError(
                f"rng: expected a generator or an array of n numbers in [0, 1), got "
                f"{type(rng).__name__}; pass numpy.random.default_rng(seed)"
            )
        if out is None and uniforms is not rng:
            indices, priorities = empty(n, I64), empty(n)
            if self._takes(self._raw.tree_sample, uniforms, indices, priorities):
                return indices, priorities
        call = SAMPLE.check(uniforms, *checks.parts("out", out, 2), n=n)
        numbers, indices, priorities = call.arrays.values()
        refused = self._raw.tree_sample(
            self.nodes, self.capacity, numbers.astype(F64), indices, priorities
        )
        if refused >= 0:
            self._not_all_zero()
            raise ValueError(
                f"rng: expected a generator or numbers in [0, 1), got {numbers[refused]} at "
                f"{refused}"
            )
        return call.outputs[0], call.outputs[1]

    def _takes(self, kernel: Callable[..., int], *arguments: object) -> bool:
        """Try a raw kernel that refuses what it cannot take."""
        if not self._refuses:
            return False
        try:
            return kernel(self.nodes, self.capacity, *arguments) < 0
        except REFUSALS:
            return False

    def _not_all_zero(self) -> None:
        if not self.nodes.item(self._root) > 0:
            raise ValueError("priorities: expected one above 0 in the tree, got none; update first")


def aligned(size: int) -> Doubles:
    """Return zeros that begin with a cache line."""
    room = np.zeros(size + LINE - 1)
    first = -room.ctypes.data // room.itemsize % LINE
    return room[first : first + size]
