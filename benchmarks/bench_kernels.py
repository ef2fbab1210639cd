"""Claim d, see claims/kernels.py; every kernel also gets its row in pytest-benchmark's table."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from cases import conv_calls, ppo_calls
from cases.kernel_calls import BACKENDS, KERNELS, Call, calls, check, real_data
from claims import kernels

from fastpong.kernels import registry


@functools.cache
def _calls(backend: str) -> dict[str, Call]:
    return calls(_data(), backend)


@functools.cache
def _data() -> Any:
    return real_data("float32")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_kernel(benchmark: Any, kernel: str, backend: str) -> None:
    call = _calls(backend)[kernel]
    check(call, _calls("numpy")[kernel])
    benchmark.group = kernel
    benchmark.extra_info["units"] = f"{call.units} x {call.per}"
    benchmark(call.run)


def test_every_declared_kernel_has_a_row(benchmark: Any) -> None:
    """In one of the three tables: the registry's examples are too small to be timed."""

    def rows() -> set[str]:
        tables = (cases.calls("float32")["numpy"] for cases in (conv_calls, ppo_calls))
        return set(KERNELS).union(*tables)

    measured = benchmark.pedantic(rows, rounds=1)
    names = {row.partition(",")[0].partition(" (")[0] for row in measured}
    assert names == {kernel.function for kernel in registry.KERNELS.values()}


@pytest.mark.timeout(300)
def test_kernels_against_the_oracle(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(kernels.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
