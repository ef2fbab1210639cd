"""Claim: what a public call costs more than the raw Cython function, kernel by kernel."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from measure import Effort, Figure, Report, Table, alternate, differences, figure, seconds_of

from fastpong import kernels
from fastpong.kernels.arguments import Out
from fastpong.kernels.registry import KERNELS
from fastpong.kernels.runner import Checked
from fastpong.kernels.spec import Group, Kernel

# rounds, calls in each
PLAN = {"quick": (1, 1), "normal": (21, 100), "full": (101, 200)}
MOST = 1.0
SHORT = 20.0
"""Of longer kernels the noise alone is more than that."""
SIZES = {"encode_cells": {"entries": 800}}
"""Sizes that follow from no array."""
HOW = """\
Arguments are the registry's small examples, float32, with outputs given, so that a kernel itself
takes next to nothing. Raw function, public function and the checks in Python are called in turn, in
the same rounds. Added is the median of the rounds' differences between public and raw. Room that a
kernel works in is allocated by the public call alone."""


def measure(effort: Effort) -> Report:
    """Check that all ways give the same, then measure each kernel."""
    rounds, repeats = PLAN[effort]
    rows, worst = [], None
    for name, kernel in KERNELS.items():
        if kernel.function.endswith("_step"):
            continue  # bound once, not called
        for variant in kernel.sizes:
            arms = _arms(kernel, variant)
            got = alternate(
                {
                    arm: lambda call=call: seconds_of(call, repeats) * 1e6
                    for arm, call in arms.items()
                },
                rounds,
            )
            added = figure("added", differences(got["public"], got["raw"]), "µs", at_most=MOST)
            label = f"{name}, {variant}" if variant else name
            medians = [
                f"{np.median(got[arm]):.2f}" for arm in ("raw", "public", "checks in Python")
            ]
            rows.append(
                [label, *medians, f"{added.value:.2f}", f"{added.low:.2f} to {added.high:.2f}"]
            )
            short = float(np.median(got["raw"])) < SHORT
            if short and (worst is None or added.value > worst[1].value):
                worst = label, added
    assert worst is not None
    most = worst[1]
    what = f"added by a public call, at most (`{worst[0]}`)"
    figures = [Figure(what, most.value, "µs", most.low, most.high, at_most=MOST)]
    header = ["kernel", "raw", "public", "checks in Python", "added", "quartiles"]
    return Report("Public calls", HOW, figures, [Table("µs a call", header, rows)])


def _arms(kernel: Kernel, variant: str) -> dict[str, Callable[[], Any]]:
    backend = kernels.get_backend("cython")
    example = kernel.example("float32", variant)
    values = {**example.inputs, **example.outputs, **example.scalars}
    given = list(_in_order(kernel, values))
    sizes = SIZES.get(kernel.name, {})
    raw, checked = backend.raw[kernel], Checked(backend.raw)
    arguments = kernel.check(*given, **sizes).arguments
    public = getattr(backend, kernel.function)
    named = _named(kernel, values)
    if "accumulate" in inspect.signature(public).parameters:
        named["accumulate"] = True  # as the raw one: to clear the output first is no check
    call = inspect.signature(public).bind(**named)
    call.apply_defaults()
    bound, by_name = call.args, call.kwargs
    _check(lambda: public(*bound, **by_name), lambda: raw(*arguments), values)
    return {
        "raw": lambda: raw(*arguments),
        "public": lambda: public(*bound, **by_name),
        "checks in Python": lambda: checked.run_raw(kernel, *given, **sizes),
    }


def _in_order(kernel: Kernel, values: dict[str, Any]) -> Any:
    for item in kernel.items:
        if isinstance(item, Group):
            parts = [values[part.name] for part in item.items if part.takes]
            yield from [tuple(parts)] if item.name else parts
        elif item.takes:
            yield values[item.name]


def _named(kernel: Kernel, values: dict[str, Any]) -> dict[str, Any]:
    """Return the public function's arguments."""
    named = dict(values)
    for group, parts in kernel.groups().items():
        named[group] = tuple(named.pop(part) for part in parts)
    if not kernel.in_place:
        outs = [item.name for item in kernel.flat() if isinstance(item, Out)]
        outputs = tuple(named.pop(name) for name in outs)
        named["out"] = outputs if len(outputs) > 1 else outputs[0]
    return named


def _check(public: Callable[[], Any], raw: Callable[[], Any], values: dict[str, Any]) -> None:
    """Assert that both write the same, from the same arrays."""
    arrays = [value for value in values.values() if isinstance(value, np.ndarray)]
    before = [array.copy() for array in arrays]
    results = []
    for call in (public, raw):
        for array, old in zip(arrays, before, strict=True):
            array[...] = old
        call()
        results.append([array.copy() for array in arrays])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for array, old in zip(arrays, before, strict=True):
        array[...] = old
