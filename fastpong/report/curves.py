"""The part of a report about the course of the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from fastpong.arrays import Doubles
from fastpong.pages import words
from fastpong.pages.charts import Line, Mark, draw_chart, thin
from fastpong.pages.html import Html, join, table, tag, tile
from fastpong.pages.scales import from_zero
from fastpong.pages.trainings import across, returns_chart, throughput_chart
from fastpong.report.gathering import Gathered
from fastpong.settings.stages import Stage
from fastpong.viewing.curves import AXES, WINDOW, PlotError, Record, make_curve, windowed_mean

_ROWS = 12


def tiles(gathered: Gathered) -> Html:
    """Return the figures at the head of a report."""
    record = gathered.record
    if record is None:
        return tag("p", "No episode has ended yet.", class_="note")
    return tag("dl", *_tiles(record), class_="tiles")


def _tiles(record: Record) -> Iterator[Html]:
    returns, last = record.columns["return"], {k: float(v[-1]) for k, v in record.columns.items()}
    means = windowed_mean(returns)
    recent = returns[-WINDOW:]
    yield tile(f"mean of the last {len(recent)}", words.points(means[-1]), "episodic return")
    whole = means[WINDOW - 1 :] if len(means) >= WINDOW else means[-1:]
    yield tile(f"best mean of {len(recent)}", words.points(whole.max()))
    yield tile("episodes", words.count(len(returns)), f"{(recent > 0).sum()} of {len(recent)} won")
    if steps := last.get("total_steps"):
        yield tile(
            "steps", words.short(steps), f"{words.short(last.get('total_frames', 0))} frames"
        )
    seconds = last.get("wall_seconds", 0.0)
    if seconds:
        cpu = last.get("cpu_seconds", 0.0)
        yield tile("time", words.duration(seconds), f"{cpu / 60:.1f} core-minutes" if cpu else "")
    if seconds and (frames := last.get("total_frames")):
        yield tile("throughput", f"{words.short(frames / seconds)}/s", "emulated frames")


def curves_section(gathered: Gathered) -> Html:
    """Return the learning curve against every axis, and what else changed along the run."""
    parts = [tag("h2", "Learning curve")]
    parts += [tag("p", note, class_="note") for note in gathered.notes.get("curves", [])]
    record = gathered.record
    if record is None:
        return join(parts)
    goal = gathered.facts.config.until
    parts.append(
        tag("p", f"The line is the mean return of the last {WINDOW} episodes. Every episode is a "
            "dot. It is won above 0.", class_="note")
    )  # fmt: skip
    parts.append(_by_axis(record, goal, gathered.facts.config.stages))
    parts += [throughput_chart([record]), _lengths(record), _numbers(record)]
    return join(parts)


def _by_axis(record: Record, goal: float | None, stages: Sequence[Stage]) -> Html:
    """Return a chart for each axis, of which one is shown."""
    charts: dict[str, Html] = {}
    marks = [] if goal is None else [Mark(goal, f"goal {goal:+g}")]
    for axis in AXES:
        try:
            curve = make_curve(record, axis)
            charts[axis] = returns_chart([curve], axis, marks, _stages(record, curve.x, stages))
        except PlotError:  # a metrics.csv without this column
            continue
    if not charts:
        return tag("p", "metrics.csv has no column to draw against.", class_="note")
    first = next(iter(charts))
    buttons = [tag("label", _button(axis, axis == first), " ", axis) for axis in charts]
    panels = [tag("div", chart, class_=f"panel x-{axis}") for axis, chart in charts.items()]
    return tag("div", tag("p", *buttons), *panels, class_="choice")


def _stages(record: Record, x: Doubles, stages: Sequence[Stage]) -> list[Mark]:
    """Return where the stages of a run begin, at the first episode that ended in each."""
    steps = record.columns.get("total_steps")
    if steps is None:
        return []
    begun = [(n, s) for n, s in enumerate(stages, 1) if 0 < s.from_step <= steps[-1]]
    places = np.searchsorted(steps, [stage.from_step for _, stage in begun])
    return [Mark(float(x[at]), f"stage {n}") for (n, _), at in zip(begun, places, strict=True)]


def _button(axis: str, chosen: bool) -> Html:
    checked = "" if chosen else None
    return tag("input", type="radio", name="x", id=f"x-{axis}", checked=checked)


def _lengths(record: Record) -> Html:
    columns = record.columns
    if not {"frames", "total_steps"} <= columns.keys() or not columns["total_steps"].any():
        return Html()
    seconds = windowed_mean(columns["frames"]) / 60
    line = Line(record.name, 5, columns["total_steps"], seconds)
    x, y = across("steps", columns["total_steps"][-1]), from_zero(seconds.max() * 1.05, "")
    return draw_chart([line], x, y, title=f"seconds of play in an episode, mean of {WINDOW}")


def _numbers(record: Record) -> Html:
    """Return some rows of the curve as numbers."""
    means = windowed_mean(record.columns["return"])
    names = [(n, c) for n, c in (("total_steps", "steps"), ("wall_seconds", "time"))
             if n in record.columns]  # fmt: skip
    rows = [
        [words.count(n + 1), words.points(means[n])]
        + [_number(name, record.columns[name][n]) for name, _ in names]
        for n in thin(len(means), _ROWS)
    ]
    head = ("episodes", f"mean of {WINDOW}", *(title for _, title in names))
    return tag("details", tag("summary", "The curve in numbers"), table(head, rows, "numbers"))


def _number(name: str, value: float) -> str:
    return words.duration(value) if name == "wall_seconds" else words.count(value)


def changed_at(gathered: Gathered) -> str:
    """Return when the last episode was logged."""
    if gathered.record is None:
        return ""
    time = datetime.fromtimestamp(gathered.record.path.stat().st_mtime, UTC)
    return time.strftime("%Y-%m-%d %H:%M UTC")
