"""Claim: returns and advantages, through public calls, against loops and other packages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping

from cases.returns_calls import Arm, Data, discounted, gae, installed, n_step, vtrace
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
from shared import tolerances

# rounds, seconds of one arm in a round
PLAN = {"quick": (1, 0.0), "normal": (7, 0.005), "full": (41, 0.01)}

SIZES = ((2048, 1), (128, 8))
HOW = """\
One core. Public calls on float32 arrays as a program has them, outputs allocated in the call.
Episodes end in one of a hundred steps. Every other package gets its own layout and dtype, made
before: Tianshou and rlox one environment after the other, TorchRL (N, T, 1). Its results are
checked against the plain loop's, or the oracle's. "SB3" is `RolloutBuffer`'s own method, "CleanRL"
the loop of its `ppo_atari.py` on tensors. "With fastpong" is the same on their data with our
function in it, conversions and the addition of values counted. rlox's V-trace is called for each
environment, as its IMPALA does. n-step returns are of 256 steps, n = 3: all of a rollout, or, with
Tianshou's data, those of 256 sampled steps. A package that is not installed has no row."""


def measure(effort: Effort) -> Report:
    """Check, then measure."""
    figures: list[Figure] = []
    tables = []
    with one_core():
        for steps, columns in SIZES:
            targets = {
                "NumPy": 100.0, "SB3": 20.0, "CleanRL": 20.0, "Tianshou": 1.0, "rlox": 1.0
            }  # fmt: skip
            name = f"`gae`, T = {steps:,}, N = {columns}"
            _compare(name, gae(Data.draw(steps, columns)), targets, effort, figures, tables)
        targets = {"rlox": 3.0, "TorchRL": 3.0}
        arms = vtrace(Data.draw(128, 8))
        _compare("`vtrace`, T = 128, N = 8", arms, targets, effort, figures, tables)
        arms = n_step(Data.draw(256, 1))
        _compare(
            "`n_step_returns`, T = 256, n = 3", arms, {"Tianshou": 2.0}, effort, figures, tables
        )
        arms = discounted(Data.draw(2000, 1))
        _compare("`discount_rewards`, T = 2,000", arms, {"NumPy": 200.0}, effort, figures, tables)
    return Report("Returns and advantages", HOW, figures, tables)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Stay on one core, with one thread of PyTorch."""
    before = os.sched_getaffinity(0)
    torch = None
    if installed("torch"):
        import torch
    threads = torch.get_num_threads() if torch else 1
    os.sched_setaffinity(0, {max(before)})
    try:
        if torch:
            torch.set_num_threads(1)
        yield
    finally:
        os.sched_setaffinity(0, before)
        if torch:
            torch.set_num_threads(threads)


def _compare(
    name: str, arms: Mapping[str, Arm], targets: Mapping[str, float], effort: Effort,
    figures: list[Figure], tables: list[Table],
) -> None:  # fmt: skip
    """Check all arms, measure them in turn, and put ratios and medians down."""
    rounds, seconds = PLAN[effort]
    check(arms)
    times = alternate({arm: _timed(one.run, seconds) for arm, one in arms.items()}, rounds)
    for arm in arms:
        if "fastpong" not in arm:
            figures.append(_figure(name, arm, "fastpong", times, targets))
        elif arm != "fastpong":
            figures.append(_figure(name, arm.partition(" ")[0], arm, times, targets))
    rows = []
    for arm, values in times.items():
        low, middle, high = (1e6 * value for value in quartiles(values))
        rows.append([arm, f"{middle:,.2f}", f"{low:,.2f} to {high:,.2f}"])
    tables.append(Table(f"{name}, µs a call", ["", "median", "quartiles"], rows))


def _figure(
    name: str, slow: str, fast: str, times: Mapping[str, list[float]], targets: Mapping[str, float]
) -> Figure:
    return figure(
        f"{name}: {slow} / {fast}", ratios(times[slow], times[fast]), at_least=targets.get(slow)
    )


def check(arms: Mapping[str, Arm]) -> None:
    """Raise AssertionError unless all give the same."""
    want = arms["NumPy"].result()
    rtol = max(tolerances.KERNEL.values())
    for arm in arms.values():
        for mine, theirs in zip(arm.result(), want, strict=True):
            tolerances.assert_close(mine, theirs.reshape(mine.shape), rtol)


def _timed(run: Callable[[], object], seconds: float) -> Callable[[], float]:
    repeats = repeats_for(run, seconds)
    return lambda: seconds_of(run, repeats)
