"""Claim d: every kernel, Cython and Numba against the oracle, on real Pong data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cases.kernel_calls import BACKENDS, KERNELS, STEPS, Call, calls, check, real_data
from measure import (
    Effort,
    Figure,
    Report,
    Table,
    alternate,
    figure,
    quartiles,
    ratios,
    repeats_for,
    seconds_of,
)  # fmt: skip

# rounds, seconds of one arm in a round, numbers in a large array (float32)
PLAN = {"quick": (1, 0.0, 1 << 22), "normal": (3, 0.02, 1 << 26), "full": (9, 0.03, 1 << 26)}
DTYPES = ("float32", "float64")

HOW = f"""\
Every public kernel on the first {STEPS} steps of a recorded episode (the whole episode for its
returns), 200 hidden units, outputs allocated before. The backends are called in turn; the oracle
is NumPy with BLAS at its default threads. Backward kernels add into the gradient, as the
trainer's do. "Dense oracle / sparse": the oracle's dense kernel, its frames made dense
beforehand, against the compiled sparse one on the same steps. Copy bandwidth is `np.copyto`
between two large arrays; bytes are counted as read and written for both, 5 numbers an element for
`rmsprop_update` (weight, gradient and cache in, weight and cache out), 2 for a copy. As its 15 MB
may partly stay in a cache, a copy of as many bytes is shown, too."""


def measure(effort: Effort) -> Report:
    """Check, then measure."""
    rounds, seconds, large = PLAN[effort]
    tables, claims = [], []
    for dtype in DTYPES:
        data = real_data(dtype)
        by_backend = {backend: calls(data, backend) for backend in BACKENDS}
        assert all(tuple(found) == KERNELS for found in by_backend.values())
        tables.append(table(f"Kernels in {dtype}", by_backend, rounds, seconds))
        claims += _sparse_against_dense(by_backend, dtype, rounds, seconds)
        if dtype == "float32":
            claims += _bandwidth(by_backend["cython"]["rmsprop_update"], rounds, seconds, large)
    return Report("Kernels", HOW, claims, tables)


def table(title: str, by_backend: dict[str, dict[str, Call]], rounds: int, seconds: float) -> Table:
    """Check and measure every kernel of all backends."""
    rows = []
    for kernel, call in by_backend["numpy"].items():
        times = _times({b: by_backend[b][kernel] for b in BACKENDS}, rounds, seconds)
        rows.append(_row(call, times))
    header = ["kernel", "per", *(f"{b}, µs" for b in BACKENDS)]
    header += [f"oracle / {b}" for b in BACKENDS[:-1]]
    return Table(title, header, rows)


def _arm(run: Callable[[], object], units: int, seconds: float) -> Callable[[], float]:
    """Return an arm: the seconds of one unit, over a run of about ``seconds``."""
    repeats = repeats_for(run, seconds)
    return lambda: seconds_of(run, repeats) / units


def _times(arms: dict[str, Call], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Check every arm against the oracle, then alternate them."""
    for name in arms:
        check(arms[name], arms["numpy"])
    return alternate({n: _arm(c.run, c.units, seconds) for n, c in arms.items()}, rounds)


def _row(call: Call, times: dict[str, list[float]]) -> list[str]:
    medians = [f"{1e6 * quartiles(times[backend])[1]:,.2f}" for backend in BACKENDS]
    gains = [quartiles(ratios(times["numpy"], times[b]))[1] for b in BACKENDS[:-1]]
    return [call.kernel, call.per, *medians, *(f"{gain:,.1f}" for gain in gains)]


def _sparse_against_dense(
    by_backend: dict[str, dict[str, Call]], dtype: str, rounds: int, seconds: float
) -> list[Figure]:
    figures = []
    for kernel in ("policy_forward", "policy_backward"):
        dense = by_backend["numpy"][kernel]
        arms = {"numpy": _arm(dense.run, dense.units, seconds)}
        for backend in ("cython", "numba"):
            sparse = by_backend[backend][f"sparse_{kernel}"]
            arms[backend] = _arm(sparse.run, sparse.units, seconds)
        times = alternate(arms, rounds)
        figures += [
            figure(
                f"dense oracle / sparse_{kernel}, {backend}, {dtype}",
                ratios(times["numpy"], times[backend]),
                at_least=50.0,
            )
            for backend in ("cython", "numba")
        ]
    return figures


def _bandwidth(update: Call, rounds: int, seconds: float, large: int) -> list[Figure]:
    """Compare bytes per second, read and written, of the update and of copies."""
    weights = update.result()[0]
    number = weights.itemsize
    moved = {"update": 5 * weights.nbytes, "large": 2 * large * number}
    source, target = np.ones(large, np.float32), np.zeros(large, np.float32)
    # Two arrays that together are as large as the update's three.
    near = np.ones(3 * weights.size // 2, np.float32), np.zeros(3 * weights.size // 2, np.float32)
    moved["near"] = 2 * near[0].nbytes
    arms = {
        "update": _arm(update.run, 1, seconds),
        "large": _arm(lambda: np.copyto(target, source), 1, seconds),
        "near": _arm(lambda: np.copyto(near[1], near[0]), 1, seconds),
    }
    times = alternate(arms, rounds)
    np.testing.assert_array_equal(target[:: 1 << 12], 1.0)
    rates = {name: [moved[name] / s / 1e9 for s in values] for name, values in times.items()}
    return [
        figure("rmsprop_update / copy bandwidth", ratios(rates["update"], rates["large"]),
               at_least=0.6),
        figure("rmsprop_update / a copy of as many bytes", ratios(rates["update"], rates["near"])),
        figure("rmsprop_update moves", rates["update"], "GB/s"),
        figure("np.copyto moves, large arrays", rates["large"], "GB/s"),
    ]  # fmt: skip
