"""What fits in C is what the checks in Python accept, and comes out the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from declared import DECLARED, SIZES, NoRaw, in_order
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpong.kernels.arguments import ArrayItem, Flag, Out, Scratch
from fastpong.kernels.registry import KERNELS
from fastpong.kernels.runner import Checked

fit = pytest.importorskip("fastpong.kernels.fit")

CALLS = fit.Calls(Checked(NoRaw()))  # type: ignore[arg-type]
ALL = KERNELS | DECLARED
VARIANTS = [
    (name, variant)
    for name, kernel in ALL.items()
    for variant in kernel.sizes
    if name != "cells_step"  # it has no sizes of examples
]
Values = dict[str, Any]


def example(name: str, variant: str, dtype: str, seed: int = 7) -> Values:
    """Return all values that a caller gives, by the items' names."""
    drawn = ALL[name].example(dtype, variant, seed)
    return {**drawn.inputs, **drawn.outputs, **drawn.scalars}


def both_ways(name: str, values: Values) -> tuple[Any, Any]:
    """Return (arguments, outputs) of either way, None for a refusal."""
    kernel, sizes = ALL[name], SIZES.get(name, {})
    given = tuple(in_order(kernel, values))
    fitted = CALLS.fitted(kernel, *given, **sizes)
    try:
        call = kernel.check(*given, **sizes)
    except (TypeError, ValueError):
        return fitted, None
    return fitted, (tuple(call.arguments), tuple(call.outputs))


def assert_alike(mine: Any, theirs: Any, fresh: bool) -> None:
    """Compare raw arguments: memory of the caller's is the same, fresh room only shaped alike."""
    assert type(mine) is type(theirs)
    if isinstance(mine, tuple):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            assert_alike(one, other, fresh)
    elif isinstance(mine, np.ndarray):
        assert (mine.dtype, mine.shape, mine.strides) == (
            theirs.dtype,
            theirs.shape,
            theirs.strides,
        )
        same = mine.ctypes.data == theirs.ctypes.data
        assert fresh or same or not mine.size or np.array_equal(mine, theirs)
    else:
        assert mine == theirs


def assert_agrees(name: str, values: Values, must_fit: bool = False) -> None:
    fitted, checked = both_ways(name, values)
    assert not must_fit or fitted is not None
    if fitted is None:
        return
    assert checked is not None, "fits, but is refused"
    items = list(ALL[name].flat())
    fresh = any(
        isinstance(item, Scratch) or (isinstance(item, Out) and values[item.name] is None)
        for item in items
    )
    assert_alike(fitted, checked, fresh)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, variant", VARIANTS)
def test_valid_calls_fit(name: str, variant: str, dtype: str) -> None:
    """Else each call would pay for the checks in Python."""
    assert_agrees(name, example(name, variant, dtype), must_fit=True)
    values = example(name, variant, dtype)
    for item in ALL[name].flat():
        if isinstance(item, Out):
            values[item.name] = None
    assert_agrees(name, values, must_fit=True)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("ends", [None, "bool", "uint8", "float32", "float64"])
@pytest.mark.parametrize("last", [0.5, 2, np.float32(0.5), "row", "one row"])
def test_what_users_hand_over_fits(flat: bool, ends: Any, last: Any) -> None:
    values = example("stack", "one", "float32")
    given = values | {"out": None, "more": None}
    if flat:
        given |= {key: values[key][:, 0].copy() for key in ("rewards", "values", "ends")}
    given["ends"] = None if ends is None else given["ends"].astype(ends)
    if isinstance(last, str):
        last = values["last"] if last == "row" else values["last"][None]
    assert_agrees("stack", given | {"last": last}, must_fit=True)


PROGRAM = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
import numpy as np
from fastpong import kernels
runs = type(kernels.get_backend()._run.__self__).__name__
print(runs, *kernels.discount_rewards(np.ones(2), 0.5, reset_on_reward=True))
"""


@pytest.mark.parametrize(
    "missing, runs",
    [
        (("fastpong.kernels.fit",), "Checked"),
        (("numba", "gymnasium", "ale_py", "torch"), "Calls"),
    ],
)
def test_what_may_be_missing(missing: tuple[str, ...], runs: str) -> None:
    program = PROGRAM.format(missing=missing)
    environment = {**os.environ, "FASTPONG_BACKEND": "cython"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == [runs, "1.0", "1.0"], done.stderr


# --- bent arguments -------------------------------------------------------------------------------

Bend = Callable[[Any], Any]


def read_only(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array: Any) -> Any:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    shifted = raw[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


def spoilt(array: Any) -> Any:
    """Return it with one wild value."""
    array = array.copy()
    if array.size:
        big = np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max
        array.reshape(-1)[array.size // 2] = big
    return array


def negative(array: Any) -> Any:
    array = array.copy()
    if array.size and array.dtype.kind != "u":
        array.reshape(-1)[-1] = -3
    return array


ARRAYS: tuple[Bend, ...] = (
    lambda a: None,
    lambda a: a.tolist(),
    lambda a: a.astype("float32"),
    lambda a: a.astype("float64"),
    lambda a: np.zeros(a.shape, "float16"),
    lambda a: a.astype(bool),
    lambda a: a.astype("int64"),
    lambda a: a.astype(a.dtype.newbyteorder()),
    lambda a: a[None],
    lambda a: 2.0,
    lambda a: np.array(2, a.dtype),
    lambda a: a[..., None],
    lambda a: a[..., 0],
    lambda a: a[:1],
    lambda a: a[:0],
    lambda a: a[1:].copy(),
    lambda a: np.concatenate([a, a[:1]]),
    lambda a: np.repeat(a, 2, axis=-1),
    lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    lambda a: a.reshape(-1),
    lambda a: a.T,
    lambda a: np.asfortranarray(a),
    lambda a: a.view(np.matrix) if a.ndim == 2 else a,
    lambda a: np.ma.masked_array(a),
    lambda a: a.reshape(-1)[0] if a.size else a,
    read_only,
    unaligned,
    spoilt,
    negative,
)
NUMBERS = (
    0, 1, 2, 3, -1, 0.0, 0.5, 1.0, 1.5, 1e-13, 1e-50, -0.0, np.nan, np.inf, 2**62, 10**400, True,
    None, 10**5000, "1", 1j, np.float32(0.5), np.float64(0.25), np.int8(3), np.bool_(True),
    np.float16(0.5), np.array(0.5), np.array([0.5]), np.longdouble(0.5), np.uint64(2**63),
    -(10**400),
)  # fmt: skip


@st.composite
def bent_calls(draw: Any) -> tuple[str, Values]:
    name, variant = draw(st.sampled_from(VARIANTS))
    values = example(name, variant, draw(st.sampled_from(["float32", "float64"])), 5)
    items = [item for item in ALL[name].flat() if item.takes]
    for item in draw(st.lists(st.sampled_from(items), max_size=2)):
        if isinstance(item, ArrayItem):
            if isinstance(values[item.name], np.ndarray):
                values[item.name] = bent(draw, item, values)
        elif isinstance(item, Flag):
            values[item.name] = draw(st.sampled_from([True, False, 0, 2, None, np.bool_(1), "no"]))
        else:
            values[item.name] = draw(st.sampled_from(NUMBERS))
    return name, values


def bent(draw: Any, item: ArrayItem, values: Values) -> Any:
    arrays = [one for one in values.values() if type(one) is np.ndarray and one.flags.c_contiguous]
    if draw(st.integers(0, 3)) == 0:  # in the memory of another one, all of it or a part
        memory = draw(st.sampled_from(arrays)).reshape(-1).view(np.uint8)
        mine = values[item.name]
        start = draw(st.sampled_from([0, mine.itemsize]))
        part = memory[start : start + mine.nbytes]
        if part.size == mine.nbytes and memory.flags.writeable:
            return part.view(mine.dtype).reshape(mine.shape)
    try:
        return draw(st.sampled_from(ARRAYS))(values[item.name])
    except (IndexError, ValueError, TypeError):
        return values[item.name]


@settings(max_examples=1500, deadline=None)
@given(bent_calls())
def test_what_fits_is_what_the_checks_accept(call: tuple[str, Values]) -> None:
    assert_agrees(*call)
