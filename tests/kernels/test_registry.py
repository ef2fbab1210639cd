"""Every declared kernel, on every backend: what its declaration promises."""

from __future__ import annotations

import inspect
import threading
import time
from itertools import product
from typing import Any

import numpy as np
import pytest
from kernel_cases import (
    ALL_BACKENDS,
    CASES,
    PIXELS,
    declaration,
    kernel_case,
    sparse_frames,
)
from tolerances import KERNEL, assert_close, assert_same
from waiting import PATIENCE

from fastpong import kernels
from fastpong.kernels.arguments import Out
from fastpong.kernels.registry import KERNELS

pytestmark = pytest.mark.filterwarnings("error")

F64 = np.dtype(np.float64)


def read_only(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array: Any) -> Any:
    spread = np.repeat(array, 2, axis=-1)
    spread[..., 1::2] = 77
    return spread[..., ::2]


def backwards(array: Any) -> Any:
    return np.ascontiguousarray(array[::-1])[::-1]


def fortran(array: Any) -> Any:
    return np.asfortranarray(array)


def unaligned(array: Any) -> Any:
    raw = np.zeros(array.nbytes + 1, np.uint8)
    shifted = raw[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


@pytest.mark.parametrize("name", CASES)
def test_inputs_of_any_layout(backend: Any, dtype: Any, name: str) -> None:
    want = kernel_case(name, dtype).call(backend)
    forms = (read_only, strided, backwards, fortran, unaligned)
    for form, given in product(forms, (True, False)):
        case = kernel_case(name, dtype)
        case.inputs = {key: form(array) for key, array in case.inputs.items()}
        before = {key: array.copy() for key, array in case.inputs.items()}
        if case.in_place and not given:
            continue
        for got, exact in zip(case.call(backend, given), want, strict=True):
            assert_same(got, exact if given else exact.astype(got.dtype))
        for key, array in case.inputs.items():
            assert_same(array, before[key])


@pytest.mark.parametrize("name", [n for n in CASES if not declaration(n).in_place])
def test_given_outputs_are_what_is_returned(backend: Any, dtype: Any, name: str) -> None:
    case = kernel_case(name, dtype)
    for got, out in zip(case.call(backend), case.outputs.values(), strict=True):
        assert got is out or got.base is out
    case, fresh = kernel_case(name, dtype), kernel_case(name, dtype)
    for got, out in zip(fresh.call(backend, given=False), case.call(backend), strict=True):
        allocated = "float32" if case.kernel == "preprocess_frame" else out.dtype
        assert_same(got, out.astype(allocated))


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_the_oracles(backend: Any, dtype: Any, name: str) -> None:
    """The cases that other tests bend, unbent; and the public oracle is the raw one."""
    want = kernel_case(name, dtype).call(kernels.get_backend("numpy"))
    got = kernel_case(name, dtype).call(backend)
    assert len(got) == len(want)
    for mine, exact in zip(got, want, strict=True):
        assert mine.dtype == exact.dtype
        if mine.dtype.kind == "f" and not declaration(name).exact:
            assert_close(mine, exact, KERNEL[dtype])  # a float64 output may come of float32 sums
        else:
            assert_same(mine, exact)


@pytest.mark.parametrize("name", ["dense forward", "sparse forward", "sparse backward"])
def test_the_gil_is_released(backend: Any, name: str) -> None:
    steps, units = 60 if name == "dense forward" else 1500, 200
    x, w1, w2 = np.ones((60, PIXELS)), np.ones((PIXELS, units)), np.ones(units)
    frames = sparse_frames(np.random.default_rng(1), [300] * 1500)
    hidden, dlogit = np.ones((steps, units)), np.ones(steps)

    def work() -> None:
        if name == "dense forward":
            backend.policy_forward(x, w1, w2)
        elif name == "sparse forward":
            backend.sparse_policy_forward(*frames, w1, w2)
        else:
            backend.sparse_policy_backward(*frames, hidden, dlogit, w2)

    work()
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.0005):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        # Ticks of another thread from the middle of the call: with the GIL held there are none,
        # however often it is tried; a busy machine may miss a few of the tries.
        inside = 0
        deadline = time.monotonic() + PATIENCE
        while not inside and time.monotonic() < deadline:
            start = time.perf_counter()
            work()
            quarter = (time.perf_counter() - start) / 4
            inside += sum(start + quarter < at < start + 3 * quarter for at in ticks)
    finally:
        done.set()
        thread.join(10)
    assert inside


def test_every_kernel_is_in_every_backend_and_the_public_names() -> None:
    for kernel in KERNELS.values():
        assert callable(getattr(kernels, kernel.function))
        for name in ALL_BACKENDS:
            assert callable(kernels.get_backend(name).raw[kernel])


def test_public_functions_take_what_is_declared() -> None:
    for kernel in KERNELS.values():
        signature = inspect.signature(getattr(kernels.Backend, kernel.function))
        grouped = {part for parts in kernel.groups().values() for part in parts}
        for item in kernel.flat():
            single = item.takes and item.name not in grouped and not isinstance(item, Out)
            assert not single or item.name in signature.parameters, (kernel.name, item.name)
        assert set(kernel.groups()) <= set(signature.parameters)
        assert kernel.in_place or "out" in signature.parameters
