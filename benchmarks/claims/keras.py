"""Training of the agent keras against the Keras reference's loop, where Keras is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from measure import Effort, Helper, Report, Table, alternate, figure, quartiles, ratios
from programs import keras_reference, training
from programs.training import KERAS_SETTINGS, Training

# rounds, seconds of a window of training, most steps of a window of the reference
PLAN = {"quick": (1, 0.5, 20), "normal": (1, 5.0, 400), "full": (3, 5.0, 100_000)}

HOW = """\
`fastpong train --agent keras` (batch 10, lag 1) with 1 and with 2 workers against the reference's
loop in one process: Keras on PyTorch, `predict` for every step of `gymnasium.make("Pong-v0")`, one
`train_on_batch` for every episode, PyTorch with its default threads, nothing saved or printed. A
window of the reference is an episode with its update. That both do the same mathematics is what
tests/test_conv_keras.py shows. The ratios are round by round."""
TITLE = "The agent keras against the Keras reference's loop"


def measure(effort: Effort) -> Report:
    """Check, then measure; without Keras an empty report that says so."""
    if not keras_reference.available():
        return Report(TITLE, "Not measured: Keras and PyTorch are not installed.", [], [])
    rounds, seconds, steps = PLAN[effort]
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as two,
        Helper("keras_reference") as helper,
        Training(1, Path(one), settings=KERAS_SETTINGS) as alone,
    ):
        alone.pause()
        training.check(alone.run, alone.rows())
        with Training(2, Path(two), settings=KERAS_SETTINGS) as pair:
            pair.pause()
            arms = {
                "the reference's loop": lambda: _reference(helper, steps),
                "training, 1 worker": lambda: alone.window(seconds).steps_per_second,
                "training, 2 workers": lambda: pair.window(seconds).steps_per_second,
            }
            rates = alternate(arms, rounds)
    loop, *ours = rates
    figures = [figure(f"{name} / {loop}", ratios(rates[name], rates[loop])) for name in ours]
    rows = []
    for name, values in rates.items():
        low, middle, high = quartiles(values)
        rows.append([name, f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}"])
    table = Table("Steps per second", ["what", "median", "quartiles"], rows)
    return Report(TITLE, HOW, figures, [table])


def _reference(helper: Helper, steps: int) -> float:
    helper.ask(steps)
    answer = helper.answer()
    return float(answer["steps"] / answer["seconds"])
