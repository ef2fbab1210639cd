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
from fastpong.kernels.parts import draw_sparse_frames
from fastpong.kernels.registry import KERNELS
from fastpong.kernels.spec import Kernel

Array = NDArray[Any]

BACKENDS = ("cython", "numba")
ALL_BACKENDS = (*BACKENDS, "numpy")
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
PIXELS = PONG.pixels

BUNDLES = {
    "inputs": ("indptr", "indices", "values"),
    "tree": ("mirror", "parents", "scales", "seen"),
    "network": ("rows", "units"),
    "moments": ("mean", "square"),
    "steps": ("actions", "old_logit", "advantage", "returns"),
}
"""Arrays that go into one tuple where a kernel takes that."""


@dataclass
class Case:
    """One call: arguments by name, and outputs by name, in their order in ``out``."""

    kernel: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    scalars: dict[str, Any] = field(default_factory=dict)
    in_place: bool = False
    bundles: tuple[str, ...] = ()

    def call(self, backend: Backend, given: bool = True) -> tuple[Array, ...]:
        """Run the kernel; return its outputs, which it allocates unless they are ``given``."""
        kernel, outs = getattr(backend, self.kernel), tuple(self.outputs.values())
        if self.in_place:
            kernel(**self.packed(self.outputs | self.inputs), **self.scalars)
            return outs
        out = (outs if len(outs) > 1 else outs[0]) if given else None
        result = kernel(**self.packed(self.inputs), **self.scalars, out=out)
        return result if isinstance(result, tuple) else (result,)

    def packed(self, arrays: dict[str, Array]) -> dict[str, Any]:
        rest: dict[str, Any] = dict(arrays)
        for name in self.bundles:
            rest[name] = tuple(rest.pop(part) for part in BUNDLES[name])
        return rest


def is_step(kernel: Kernel) -> bool:
    return kernel.function.endswith("_step")


DECLARED = tuple(
    f"{name}, {variant}" if variant else name
    for name, kernel in KERNELS.items()
    if not is_step(kernel)
    for variant in kernel.sizes
)
CASES = (
    *DECLARED,
    *("encode_cells", "cells_forward", "cells_heads", "cells_backward", "cells_adam"),
    *("ppo_gradient", "td_gradient"),
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
    if name not in DECLARED:
        return _cells_cases(dtype)[name]
    kernel = declaration(name)
    example = kernel.example(dtype, name.partition(", ")[2])
    return Case(
        kernel.function, example.inputs, example.outputs, dict(example.scalars), kernel.in_place
    )


def sparse_frames(rng: Any, sizes: list[int], pixels: int = PIXELS) -> tuple[Array, Array, Array]:
    """Return (indptr, indices, signs) of frames that have so many pixels each."""
    frames = draw_sparse_frames(rng, sizes, pixels)
    return frames["indptr"], frames["indices"], frames["signs"]


def screens(rng: Any, count: int) -> Array:
    return rng.integers(0, 256, (count, 210, 160), dtype=np.uint8)  # type: ignore[no-any-return]


def table(rng: Any) -> Array:
    return rng.integers(0, 2, 256, dtype=np.uint8)  # type: ignore[no-any-return]


def _cells_cases(dtype: Any) -> dict[str, Case]:
    rng = np.random.default_rng(9)
    minibatch, steps, base, rows, units = 3, 4, 30, 36, 5

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)  # type: ignore[no-any-return]

    def out(*shape: int, kind: Any = dtype) -> Array:
        return np.full(shape, 7, kind)

    order = {"order": np.array([2, 0, 3])}
    frames = sparse_frames(rng, [3, 0, 20, 1], base)
    batch = dict(zip(("indptr", "indices", "values"), frames, strict=True))
    mirror = {"mirror": np.arange(base, dtype=np.int32)[::-1].copy()}
    own = {"units": normal(3, units)}
    hidden = {"hidden": np.maximum(normal(minibatch, 2, units), 0)}
    tree = {
        "parents": (base + np.arange(2 * base, dtype=np.int32) % 6).reshape(2, base),
        "scales": np.array([0.3, 0.5]),
        "seen": np.ones(rows, np.uint8),
    }
    heads = {"logit": normal(minibatch), "value": normal(minibatch)}
    past = {"actions": np.array([0, 1, 1, 0], np.uint8)}
    past |= {name: normal(steps) for name in ("old_logit", "advantage", "returns")}
    up = {"dlogit": normal(minibatch), "dvalue": normal(minibatch)}
    one, two = screens(rng, 2)
    cells = {"indices": np.full(PIXELS, 7, np.uint16), "values": np.full(PIXELS, 7, np.int8)}
    learned = {"rows": normal(base, units), "units": normal(3, units)}
    learned |= {"gradient": normal(rows + 3, units), "mean": normal(rows + 3, units)}
    chosen = {"actions": np.array([0, 1, 1], np.uint8), "heads": normal(2, 2 * minibatch)}
    chosen |= {"target_heads": normal(2, minibatch)}
    chosen |= {name: rng.standard_normal(minibatch) for name in ("rewards", "discount")}
    exact = {"parts": out(2, minibatch, kind=np.float64)}
    return {
        "encode_cells": Case("encode_cells", {"screen": one, "previous": two, "table": table(rng)},
                      {name: a[: 2 * 20 * 20] for name, a in cells.items()}, {"cell_size": 4}),
        "cells_forward": Case("cells_forward", order | batch | {"rows": normal(base, units)}
                              | mirror | own, {"out": out(minibatch, 2, units)},
                              bundles=("inputs", "network")),
        "cells_heads": Case("cells_heads", hidden | own,
                            {"logit": out(minibatch), "value": out(minibatch)}),
        "ppo_gradient": Case("ppo_gradient", order | heads | past,
                    {"dlogit": out(minibatch), "dvalue": out(minibatch),
                     "losses": out(5, minibatch, kind=np.float64)}, bundles=("steps",)),
        "td_gradient": Case("td_gradient", chosen,
                   {"dlogit": out(minibatch), "dvalue": out(minibatch)} | exact),
        "cells_backward": Case("cells_backward", order | batch | mirror | tree | hidden | own
                               | up, {"gradient": out(rows + 3, units),
                                      "squares": out(units, kind=np.float64)},
                               bundles=("inputs", "tree")),
        "cells_adam": Case("cells_adam", tree | mirror,
                           learned | {"square": np.abs(normal(rows + 3, units))}, {"step": 3}, True,
                           ("tree", "network", "moments")),
    }  # fmt: skip


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
