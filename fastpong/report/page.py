"""The page of a report, put together."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

import numpy as np

from fastpong import __version__
from fastpong.pages import read_asset, words
from fastpong.pages.charts import Line, draw_chart
from fastpong.pages.html import Html, escape, table, tag
from fastpong.pages.scales import of_returns
from fastpong.pages.trainings import PARITY, across
from fastpong.report.curves import changed_at, curves_section, tiles
from fastpong.report.evaluated import Evaluated
from fastpong.report.gathering import Gathered
from fastpong.report.settings import settings_section, versions_section
from fastpong.report.weights import weights_section


def render(gathered: Gathered) -> str:
    """Return the HTML of a report. It needs no other file and no network."""
    name = gathered.facts.directory.resolve().name
    body = tag("main", _head(gathered, name), tiles(gathered), _film(gathered),
               curves_section(gathered), _evaluation(gathered),
               weights_section(gathered.weights),
               settings_section(gathered.facts), versions_section(gathered.facts))  # fmt: skip
    return Template(read_asset("report.html", __package__)).substitute(
        generator=escape(f"fastpong {__version__}"),
        title=escape(f"{name}: report of fastpong"),
        style=read_asset("style.css") + read_asset("report.css", __package__),
        script=read_asset("charts.js") + read_asset("report.js", __package__),
        body=body,
    )


def _head(gathered: Gathered, name: str) -> Html:
    config, training = gathered.facts.config, gathered.facts.training
    agents = " then ".join(dict.fromkeys(stage.agent for stage in config.stages))
    recipe = f", recipe {config.recipe}" if config.recipe else ""
    state = tag(
        "span", "in training" if training else "ended", class_="state training" if training else
        "state",
    )  # fmt: skip
    changed = changed_at(gathered)
    last = f", last game {changed}" if changed else ""
    about = tag("p", f"{agents} on {config.env}{recipe}, seed {config.seed}", class_="dim")
    return tag("header", tag("h1", name), about, tag("p", state, last))


def _film(gathered: Gathered) -> Html:
    notes = [tag("p", note, class_="note") for note in gathered.notes.get("film", [])]
    if gathered.film is None and not notes:
        return Html()
    return tag("section", tag("h2", "A game"), *([gathered.film] if gathered.film else []), *notes)


def _evaluation(gathered: Gathered) -> Html:
    notes = [tag("p", note, class_="note") for note in gathered.notes.get("evaluation", [])]
    evaluated = gathered.evaluated
    if not evaluated and not notes:
        return Html()
    parts = [tag("h2", "Evaluation of the checkpoints")]
    if evaluated:
        games = max(len(e.games) for e in evaluated)
        parts.append(
            tag("p", f"{games} games on each checkpoint, none of them one of training's. "
                "± is the standard error of the mean.", class_="note")
        )  # fmt: skip
        parts += [_evaluated_chart(evaluated), _evaluated_table(evaluated)]
    return tag("section", *parts, *notes)


def _evaluated_chart(evaluated: Sequence[Evaluated]) -> Html:
    if len(evaluated) < 2:
        return Html()
    rows = [(float(e.steps), e.summary.mean, e.error) for e in evaluated]
    x, y, errors = np.array(rows).T
    line = Line("evaluation", 1, x, y, errors=errors)
    return draw_chart(
        [line], across("steps", x[-1]), of_returns(max(0.0, float((y + errors).max()))),
        title="mean return of the evaluation", marks=[PARITY],
    )  # fmt: skip


def _evaluated_table(evaluated: Sequence[Evaluated]) -> Html:
    rows = []
    for e in evaluated:
        s = e.summary
        rows.append([
            words.count(e.episode), words.short(e.steps), e.agent,
            f"{words.points(s.mean)} ± {e.error:.2f}", f"{s.lowest:+.0f} to {s.highest:+.0f}",
            f"{s.wins} of {s.episodes}", words.count(s.mean_length),
        ])  # fmt: skip
    head = ("after games", "steps", "agent", "mean return", "range", "won", "steps a game")
    return table(head, rows, "numbers")
