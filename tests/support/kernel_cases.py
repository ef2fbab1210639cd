"""Small valid arguments of every public kernel, for the tests that vary one of them."""

from __future__ import annotations

import functools
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BACKENDS = ("cython", "numba")
ALL_BACKENDS = (*BACKENDS, "numpy")
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
PIXELS = 6400
IN_PLACE = ("rmsprop_update", "adam_update", "cells_adam")
"""Kernels whose outputs are also inputs, and have no ``out``."""


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
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    scalars: dict[str, Any] = field(default_factory=dict)
    bundles: tuple[str, ...] = ()

    def call(self, backend: Any, given: bool = True) -> tuple[Array, ...]:
        """Run the kernel; return its outputs, which it allocates unless they are ``given``."""
        kernel, outs = getattr(backend, self.kernel), tuple(self.outputs.values())
        if self.kernel in IN_PLACE:
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


def sparse_frames(rng: Any, sizes: list[int], pixels: int = PIXELS) -> tuple[Array, Array, Array]:
    """Return (indptr, indices, signs) of frames that have so many pixels each."""
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    frames = [np.sort(rng.choice(pixels, size, replace=False)) for size in sizes]
    indices = np.concatenate([np.zeros(0), *frames]).astype(np.uint16)
    return indptr, indices, rng.choice(np.array([-1, 1], np.int8), indices.size)


def screens(rng: Any, count: int) -> Array:
    return rng.integers(0, 256, (count, 210, 160), dtype=np.uint8)  # type: ignore[no-any-return]


def table(rng: Any) -> Array:
    return rng.integers(0, 2, 256, dtype=np.uint8)  # type: ignore[no-any-return]


def kernel_case(name: str, dtype: Any) -> Case:
    """Return a valid call of a kernel, in arrays of its own."""
    return deepcopy(_cases(np.dtype(dtype))[name])


@functools.cache
def _cases(dtype: Any) -> dict[str, Case]:
    rng = np.random.default_rng(7)
    steps, units = 4, 5

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)  # type: ignore[no-any-return]

    def out(*shape: int) -> Array:
        return np.full(shape, 7, dtype)

    indptr, indices, signs = sparse_frames(rng, [3, 0, 40, 1])
    csr = {"indptr": indptr, "indices": indices, "signs": signs}
    dense = {"x": rng.integers(-1, 2, (steps, PIXELS)).astype(dtype)}
    weights = {"w1": normal(PIXELS, units), "w2": normal(units)}
    upward = {
        "hidden": np.maximum(normal(steps, units), 0),
        "dlogit": normal(steps),
        "w2": normal(units),
    }
    one, two = screens(rng, 2)

    def forward() -> dict[str, Array]:
        return {"hidden": out(steps, units), "probability": out(steps)}

    def backward() -> dict[str, Array]:
        return {"grad_w1": out(PIXELS, units), "grad_w2": out(units)}

    pixels = {"indices": np.full(PIXELS, 7, np.uint16), "signs": np.full(PIXELS, 7, np.int8)}
    rewards = {"rewards": np.array([0, 1, 0, 0, -1, 0], dtype)}
    weight = {"parameter": normal(6), "cache": np.abs(normal(6))}
    frames = {"current": dense["x"][0], "previous": dense["x"][1]}
    return {
        "rgb": Case("preprocess_frame", {"frame": np.stack([one, two, one], 2)},
                    {"out": out(PIXELS)}),
        "palette": Case("preprocess_frame", {"frame": one, "table": table(rng)},
                        {"out": out(PIXELS)}),
        "difference": Case("difference_frame", frames, {"out": out(PIXELS)}),
        "sparse_difference": Case("sparse_difference_frame",
                                  {"screen": one, "previous": two, "table": table(rng)}, pixels),
        "forward": Case("policy_forward", dense | weights, forward()),
        "backward": Case("policy_backward", dense | upward, backward()),
        "sparse_forward": Case("sparse_policy_forward", csr | weights, forward()),
        "sparse_backward": Case("sparse_policy_backward", csr | upward, backward()),
        "discount": Case("discount_rewards", rewards, {"out": out(6)}, {"gamma": 0.9}),
        "standardize": Case("standardize", {"values": normal(6)}, {"out": out(6)}),
        "rmsprop": Case("rmsprop_update", {"gradient": normal(6)}, weight,
                        {"learning_rate": 1e-3, "decay": 0.9, "epsilon": 1e-5}),
    } | _conv_cases(dtype) | _ppo_cases(dtype)  # fmt: skip


def _conv_cases(dtype: Any) -> dict[str, Case]:
    rng = np.random.default_rng(8)
    steps, filters, units, actions = 4, 3, 5, 6

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)  # type: ignore[no-any-return]

    def out(*shape: int) -> Array:
        return np.full(shape, 7, dtype)

    csr = dict(zip(("indptr", "indices", "signs"), sparse_frames(rng, [3, 0, 40, 1]), strict=True))
    found = {}
    for mode, channels, positions in (("row", 80, 27), ("image", 1, 729)):
        shape, flat = (6, 6, channels, filters), positions * filters
        conv = {"kernel": normal(*shape), "bias": normal(filters), "w": normal(flat, units)}
        grads = {"grad_kernel": out(*shape), "grad_bias": out(filters),
                 "grad_w": out(flat, units), "grad_b": out(units)}  # fmt: skip
        found |= {
            f"sparse_conv_{mode}": Case("sparse_conv_forward", csr | conv | {"b": normal(units)},
                                        {"out": out(steps, units)}),
            f"sparse_conv_backward_{mode}": Case(
                "sparse_conv_backward", csr | conv | {"dhidden": normal(steps, units)}, grads),
        }  # fmt: skip
    dense = {"x": np.maximum(normal(steps, units), 0), "w": normal(units, actions)}
    chosen = {"actions": np.array([0, 5, 2, 2], np.uint8), "advantage": normal(steps)}
    policy = {"probability": rng.dirichlet(np.ones(actions), steps).astype(dtype)}
    moments = {"parameter": normal(6), "mean": normal(6), "square": np.abs(normal(6))}
    return found | {
        "dense": Case("dense_forward", dense | {"b": normal(actions)},
                      {"out": out(steps, actions)}),
        "dense_backward": Case("dense_backward", dense | {"dout": normal(steps, actions)},
                               {"grad_w": out(units, actions), "grad_b": out(actions),
                                "dx": out(steps, units)}),
        "softmax": Case("softmax", {"logits": normal(steps, actions)},
                        {"out": out(steps, actions)}),
        "cross_entropy": Case("cross_entropy_gradient", policy | chosen,
                              {"dlogit": out(steps, actions), "loss": out(steps)}, {"step": 0.1}),
        "adam": Case("adam_update", {"gradient": normal(6)}, moments, {"step": 3}),
    }  # fmt: skip


def _ppo_cases(dtype: Any) -> dict[str, Case]:
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
    path = {"rewards": normal(4, 2), "values": normal(4, 2), "dones": np.zeros((4, 2), bool)}
    return {
        "cells": Case("encode_cells", {"screen": one, "previous": two, "table": table(rng)},
                      {name: a[: 2 * 20 * 20] for name, a in cells.items()}, {"cell_size": 4}),
        "cells_forward": Case("cells_forward", order | batch | {"rows": normal(base, units)}
                              | mirror | own, {"out": out(minibatch, 2, units)},
                              bundles=("inputs", "network")),
        "cells_heads": Case("cells_heads", hidden | own,
                            {"logit": out(minibatch), "value": out(minibatch)}),
        "ppo": Case("ppo_gradient", order | heads | past,
                    {"dlogit": out(minibatch), "dvalue": out(minibatch),
                     "losses": out(5, minibatch, kind=np.float64)}, bundles=("steps",)),
        "td": Case("td_gradient", chosen,
                   {"dlogit": out(minibatch), "dvalue": out(minibatch)} | exact),
        "cells_backward": Case("cells_backward", order | batch | mirror | tree | hidden | own
                               | up, {"gradient": out(rows + 3, units),
                                      "squares": out(units, kind=np.float64)},
                               bundles=("inputs", "tree")),
        "cells_adam": Case("cells_adam", tree | mirror,
                           learned | {"square": np.abs(normal(rows + 3, units))}, {"step": 3},
                           ("tree", "network", "moments")),
        "gae": Case("gae", path | {"last_value": normal(2)}, {"out": out(4, 2)}),
    }  # fmt: skip


CASES = tuple(_cases(np.dtype(np.float64)))
"""Names of calls: of every kernel, and of ``preprocess_frame`` twice."""


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
