"""The agent keras: training against bare emulators, and every kernel of its own."""

from __future__ import annotations

from cases import conv_calls
from claims import throughput
from claims.kernels import DTYPES, PLAN, table
from measure import Effort, Report, Table
from programs.training import KERAS_SETTINGS

HOW = f"""\
`fastpong train --agent keras` against bare emulators as under "Throughput", with batch 10 and
lag 1. The kernels as under "Kernels", on the first {conv_calls.STEPS["row"]} steps
({conv_calls.STEPS["image"]} for images) of an episode that the untrained agent plays, with biases
that are not zero, as after training: "row" is the reference's convolution, of one
row of 80 columns with 80 channels, "image" the one of an image."""


def measure(effort: Effort, workers: tuple[int, ...] = (1, 2)) -> Report:
    """Check, then measure."""
    figures, rates = throughput.compare(effort, workers, KERAS_SETTINGS, at_least={1: 5, 2: 4})
    return Report("The agent keras", HOW, figures, [rates, *kernels(effort)])


def kernels(effort: Effort) -> list[Table]:
    """Check and measure the kernels; return a table for each dtype."""
    rounds, seconds, _ = PLAN[effort]
    return [
        table(
            f"Kernels of the agent keras in {dtype}",
            conv_calls.calls(dtype),
            rounds,
            seconds,
        )
        for dtype in DTYPES
    ]
