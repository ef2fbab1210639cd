"""The part of a report about evaluations: while it trained, and of its checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastpong.pages import words
from fastpong.pages.charts import Line, draw_chart
from fastpong.pages.html import Html, table, tag
from fastpong.pages.scales import of_returns
from fastpong.pages.trainings import PARITY, across
from fastpong.printable import counted
from fastpong.report.evaluated import Evaluated, standard_error
from fastpong.report.gathering import Gathered
from fastpong.storage.evaluations import EvaluationRow


def evaluation_section(gathered: Gathered) -> Html:
    """Return the evaluations as a chart and a table, nothing without any."""
    evaluated = gathered.evaluated
    parts = [tag("p", note, class_="note") for note in gathered.notes.get("evaluation", [])]
    if lines := list(_lines(gathered.periodic, evaluated)):
        parts.append(_chart(lines))
    if evaluated:
        games = max(len(e.games) for e in evaluated)
        about = (
            f"{counted(games, 'episode')} on each, none of them one of training's. ± is the "
            "standard error."
        )
        parts += [tag("p", about, class_="note"), _table(evaluated)]
    return tag("section", tag("h2", "Evaluation"), *parts) if parts else Html()


def _lines(periodic: Sequence[EvaluationRow], evaluated: Sequence[Evaluated]) -> Iterator[Line]:
    """Yield a line for each kind of evaluations that there are two of."""
    rows = [
        (float(r.total_steps), r.mean, standard_error(r.deviation, r.eval_episodes) or 0.0)
        for r in periodic
    ]
    if len(rows) > 1:
        yield _line("while it trained", 3, rows)
    shown = [e for e in evaluated if e.name == "checkpoint"]
    rows = [(float(e.steps), e.summary.mean, e.error or 0.0) for e in shown]
    if len(rows) > 1:
        yield _line("of the checkpoints", 1, rows)


def _line(name: str, colour: int, rows: Sequence[tuple[float, float, float]]) -> Line:
    x, y, errors = np.array(rows).T
    return Line(name, colour, x, y, errors=errors)


def _chart(lines: Sequence[Line]) -> Html:
    title = "mean return of evaluations"
    if len(lines) == 1:
        title += f" {lines[0].name}"
    highest = max(float((line.y + line.errors).max()) for line in lines if line.errors is not None)
    x = across("steps", max(float(line.x[-1]) for line in lines))
    return draw_chart(lines, x, of_returns(max(0.0, highest)), title=title, marks=[PARITY])


def _table(evaluated: Sequence[Evaluated]) -> Html:
    rows = []
    for e in evaluated:
        s, error = e.summary, "-" if e.error is None else f"{e.error:.2f}"
        rows.append([
            e.name, words.count(e.episode), words.short(e.steps), e.agent,
            f"{words.points(s.mean)} ± {error}", f"{s.lowest:+.0f} to {s.highest:+.0f}",
            f"{s.wins} of {s.episodes}", words.count(s.mean_length),
        ])  # fmt: skip
    head = ("weights", "episodes", "steps", "agent", "mean return", "range", "won",
            "steps an episode")  # fmt: skip
    return table(head, rows, "numbers")
