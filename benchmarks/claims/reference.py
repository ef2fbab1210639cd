"""Claim b: training takes several times as many steps a second as the reference's loop."""

from __future__ import annotations

import tempfile
from pathlib import Path

from measure import Effort, Helper, Report, Table, alternate, figure, quartiles, ratios
from programs import reference, training
from programs.training import Training

# rounds, seconds of a window of training, episodes of a window of the reference
PLAN = {"quick": (1, 0.5, 1), "normal": (2, 5.0, 10), "full": (5, 5.0, 10)}

HOW = """\
`fastpong train` with 1 and with 2 workers against the reference's loop in one process: NumPy,
dense, float64, 200 hidden units, RGB observations of `gymnasium.make("Pong-v0")`, BLAS with its
default threads, nothing saved or printed. A window of the reference is a batch of 10 episodes with
its update, a window of training is as under "Throughput"; they alternate, each runs alone. Steps
are the agent's, three or so frames each. The ratios are round by round."""


def measure(effort: Effort) -> Report:
    """Check, then measure."""
    reference.check()
    rounds, seconds, episodes = PLAN[effort]
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        Helper("reference") as helper,
        Training(1, Path(one)) as alone,
    ):
        alone.pause()
        training.check(alone.run, alone.rows())
        with Training(2, Path(two)) as pair:
            pair.pause()
            training.check(pair.run, pair.rows())
            arms = {
                "the reference's loop": lambda: _reference(helper, episodes),
                "training, 1 worker": lambda: alone.window(seconds).steps_per_second,
                "training, 2 workers": lambda: pair.window(seconds).steps_per_second,
            }
            rates = alternate(arms, rounds)
    loop, *ours = rates
    figures = [
        figure(f"{name} / {loop}", ratios(rates[name], rates[loop]), at_least=bound)
        for name, bound in zip(ours, (12.0, 20.0), strict=True)
    ]
    rows = []
    for name, values in rates.items():
        low, middle, high = quartiles(values)
        rows.append([name, f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}"])
    table = Table("Steps per second", ["what", "median", "quartiles"], rows)
    return Report("Training against the reference's loop", HOW, figures, [table])


def _reference(helper: Helper, episodes: int) -> float:
    helper.ask(episodes)
    answer = helper.answer()
    return float(answer["steps"] / answer["seconds"])
