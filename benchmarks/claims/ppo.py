"""The agent ppo: training against bare emulators, and learning against its arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from cases import ppo_calls
from cases.ppo_calls import SETTINGS
from claims import throughput
from claims.kernels import DTYPES, PLAN, table
from measure import Effort, Figure, Helper, Report, Table, alternate, figure, ratios
from programs.training import PPO_SETTINGS
from shared import tolerances

from fastpong import kernels
from fastpong.agents.ppo.updater import Updater

RATES = (SETTINGS.learning_rate.start, SETTINGS.ent_coef.start)

HOW = f"""\
`fastpong train --agent ppo` ({ppo_calls.ENV}, every setting at its default) against bare
emulators as under "Throughput". The learning pass by itself: one update from what the untrained
agent played, {SETTINGS.n_envs} x {SETTINGS.n_steps} steps, {SETTINGS.n_epochs} passes,
minibatches of {SETTINGS.batch_size}, {SETTINGS.hidden} units; its weights are first checked against
the oracle's. Its multiply-adds are those of the formulas, 4 n H a step and pass (n entries,
upright and mirrored, forward and backward) and 10 H for the heads; what the optimizer does is in
the time and not in the count. The peak is NumPy's float32 matrix product on one thread, which may
use fused multiply-adds, where our kernels do without so that every machine computes the same
bits: half of it is the most that they can reach. The kernels as under "Kernels", on a minibatch."""


def measure(effort: Effort, workers: tuple[int, ...] = (1, 2)) -> Report:
    """Check, then measure."""
    figures, rates = throughput.compare(effort, workers, PPO_SETTINGS, at_least={1: 5, 2: 4})
    figures += learning(effort)
    return Report("The agent ppo", HOW, figures, [rates, *tables(effort)])


def tables(effort: Effort) -> list[Table]:
    """Check and measure the kernels; return a table for each dtype."""
    rounds, seconds, _ = PLAN[effort]
    return [
        table(f"Kernels of the agent ppo in {dtype}", ppo_calls.calls(dtype), rounds, seconds)
        for dtype in DTYPES
    ]


def learning(effort: Effort) -> list[Figure]:
    """Check and measure one update, on one thread and on two, against the matrix product."""
    rounds, seconds, _ = PLAN[effort]
    _check()
    data = ppo_calls.play("float32")
    steps = len(data.batch.steps.actions)
    work = SETTINGS.n_epochs * SETTINGS.hidden * (4 * data.entries + 10) * steps
    with Helper("matrix_peak") as peak:

        def matrix() -> float:
            peak.ask(seconds)
            return float(peak.answer())

        matrix()  # the first one wakes the processor up
        arms = {"peak": matrix, "one": _update(data, 1), "two": _update(data, 2)}
        found = alternate(arms, rounds)
    rates = {name: [work / s for s in found[name]] for name in ("one", "two")}
    return [
        figure("learning, a step, 1 thread", _each(found["one"], steps), "µs",
               at_most=30.0),
        figure("learning, a step, 2 threads", _each(found["two"], steps), "µs"),
        figure("learning, multiply-adds, 1 thread", [r / 1e9 for r in rates["one"]], "G/s"),
        figure("learning, multiply-adds, 2 threads", [r / 1e9 for r in rates["two"]], "G/s"),
        figure("matrix product, multiply-adds, 1 thread", [r / 1e9 for r in found["peak"]], "G/s"),
        figure("learning / matrix product, 1 thread", ratios(rates["one"], found["peak"])),
    ]  # fmt: skip


def _each(seconds: list[float], steps: int) -> list[float]:
    """Return the microseconds of a step, round by round."""
    return [1e6 * s / steps for s in seconds]


def _update(data: ppo_calls.Data, threads: int) -> Callable[[], float]:
    """Return an arm: the seconds of one update."""
    updater = Updater(SETTINGS, kernels.get_backend("cython"), "float32", threads)
    parameters, state = _fresh(data, "float32")

    def arm() -> float:
        start = time.perf_counter()
        updater.learn(data.batch, parameters, state, *RATES)
        return time.perf_counter() - start

    arm()
    return arm


def _fresh(data: ppo_calls.Data, dtype: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return copies of the parameters, and what an update reads and writes of the state."""
    shape = (SETTINGS.pyramid().rows + 3, SETTINGS.hidden)
    moments = {name: np.zeros(shape, dtype) for name in ("mean", "square")}
    counts = {name: np.zeros(1, np.int64) for name in ("steps", "updates")}
    parameters = {name: array.copy() for name, array in data.parameters.items()}
    return parameters, {**moments, **counts, "seen": data.seen.copy()}


def _check() -> None:
    """Raise AssertionError unless an update's weights are the oracle's, in float64."""
    data = ppo_calls.play("float64")
    weights = []
    for backend, threads in (("numpy", 1), ("cython", 2)):
        parameters, state = _fresh(data, "float64")
        updater = Updater(SETTINGS, kernels.get_backend(backend), "float64", threads)
        updater.learn(data.batch, parameters, state, *RATES)
        weights.append(parameters)
    for name, want in weights[0].items():
        tolerances.assert_close(weights[1][name], want, tolerances.TRAINING)
