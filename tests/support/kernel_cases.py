"""Small valid arguments of every public kernel, from the registry, for tests that vary one."""

from __future__ import annotations

import functools
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastpong.geometry import PONG
from fastpong.kernels import Backend
from fastpong.kernels.arguments import Out
from fastpong.kernels.parts import draw_sparse_frames
from fastpong.kernels.registry import KERNELS
from fastpong.kernels.spec import Kernel

Array = NDArray[Any]

BACKENDS = ("cython", "numba")
ALL_BACKENDS = (*BACKENDS, "numpy")
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
PIXELS = PONG.pixels


@dataclass
class Case:
    """One call: arguments by name, and outputs by name, in their order.

    overwritten : outputs that are arguments, too. The others go in as ``out``
    """

    kernel: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    scalars: dict[str, Any] = field(default_factory=dict)
    overwritten: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def in_place(self) -> bool:
        """Return whether there is no ``out``."""
        return set(self.overwritten) == set(self.outputs)

    def packed(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """Return the arrays with those in one tuple that the kernel takes as one."""
        rest = dict(arrays)
        for name, parts in self.groups.items():
            rest[name] = tuple(rest.pop(part) for part in parts)
        return rest

    def call(self, backend: Backend, given: bool = True) -> tuple[Array, ...]:
        """Run the kernel; return its outputs, which it allocates unless they are ``given``."""
        kernel, outs = getattr(backend, self.kernel), dict(self.outputs)
        written = {name: outs.pop(name) for name in self.overwritten}
        arguments = self.packed(written | self.inputs) | self.scalars
        if not outs:
            kernel(**arguments)
            return tuple(written.values())
        out = (
            (tuple(outs.values()) if len(outs) > 1 else next(iter(outs.values())))
            if given
            else None
        )
        result = kernel(**arguments, out=out)
        return (*written.values(), *(result if isinstance(result, tuple) else (result,)))


def is_step(kernel: Kernel) -> bool:
    return kernel.function.endswith("_step")


CASES = tuple(
    f"{name}, {variant}" if variant else name
    for name, kernel in KERNELS.items()
    if not is_step(kernel)
    for variant in kernel.sizes
)
"""Names of calls: of every kernel but the steps, in every variant of its sizes."""


def declaration(case: str) -> Kernel:
    """Return the declaration of a case's kernel."""
    return KERNELS[case.partition(", ")[0]]


def kernel_case(name: str, dtype: Any) -> Case:
    """Return a valid call of a kernel, in arrays of its own."""
    return deepcopy(_case(name, np.dtype(dtype)))


@functools.cache
def _case(name: str, dtype: Any) -> Case:
    kernel = declaration(name)
    example = kernel.example(dtype, name.partition(", ")[2])
    overwritten = tuple(
        item.name
        for item in kernel.flat()
        if item.name in example.outputs and not isinstance(item, Out)
    )
    return Case(
        kernel.function, example.inputs, example.outputs, dict(example.scalars), overwritten,
        kernel.groups(),
    )  # fmt: skip


def sparse_frames(rng: Any, sizes: list[int], pixels: int = PIXELS) -> tuple[Array, Array, Array]:
    """Return (indptr, indices, signs) of frames that have so many pixels each."""
    frames = draw_sparse_frames(rng, sizes, pixels)
    return frames["indptr"], frames["indices"], frames["signs"]


def screens(rng: Any, count: int) -> Array:
    return rng.integers(0, 256, (count, 210, 160), dtype=np.uint8)  # type: ignore[no-any-return]


def table(rng: Any) -> Array:
    return rng.integers(0, 2, 256, dtype=np.uint8)  # type: ignore[no-any-return]


def step_buffers(
    dtype: Any, units: int = 5, cap: int = 3, room: int = 3 * PIXELS
) -> dict[str, Array]:
    """Return the arguments of ``policy_step``."""
    rng = np.random.default_rng(11)
    return {
        "screens": screens(rng, 2),
        "table": table(rng),
        "w1": (rng.standard_normal((PIXELS, units)) / 80).astype(dtype),
        "w2": rng.standard_normal(units).astype(dtype),
        "indptr": np.zeros(cap + 1, np.int64),
        "indices": np.zeros(room, np.uint16),
        "signs": np.zeros(room, np.int8),
        "actions": np.zeros(cap, np.uint8),
    }
