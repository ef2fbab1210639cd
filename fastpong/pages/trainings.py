"""Charts of trainings: returns against an axis, and throughput."""

from __future__ import annotations

from collections.abc import Sequence

from fastpong.pages.charts import Line, Mark, draw_chart
from fastpong.pages.html import Html
from fastpong.pages.scales import Scale, from_zero, of_returns, of_seconds
from fastpong.viewing.curves import AXES, WINDOW, Curve, Record
from fastpong.viewing.rates import throughput

PARITY = Mark(0.0, "parity with the computer")


def across(axis: str, highest: float) -> Scale:
    """Return the scale of one of the x axes of curves.

    highest : value to show
    """
    label = AXES[axis].label
    return of_seconds(highest, label) if axis == "time" else from_zero(highest, label)


def returns_chart(
    curves: Sequence[Curve],
    axis: str,
    marks: Sequence[Mark] = (),
    parts: Sequence[Mark] = (),
    places: Sequence[int] = (),
) -> Html:
    """Return the chart of some runs' returns, at least one.

    axis  : that the curves were made with
    marks : levels besides parity
    parts : values of x from which on something else holds
    places : of the runs among the colours, by default 0, 1 and so on
    """
    marks = [PARITY, *marks]
    lines = [
        Line(curve.name, n, curve.x, curve.means, dots=curve.returns)
        for n, curve in zip(places or range(len(curves)), curves, strict=True)
    ]
    highest = max(0.0, *(float(curve.returns.max()) for curve in curves), *(m.value for m in marks))
    x = across(axis, max(float(curve.x[-1]) for curve in curves))
    title = f"episodic return, mean of {WINDOW}"
    return draw_chart(lines, x, of_returns(highest), title=title, marks=marks, parts=parts)


def throughput_chart(records: Sequence[Record], places: Sequence[int] = ()) -> Html:
    """Return the chart of some runs' emulated frames a second, nothing if none has them.

    places : of the runs among the colours, by default 0, 1 and so on
    """
    lines = []
    for n, record in zip(places or range(len(records)), records, strict=True):
        columns = record.columns
        if {"wall_seconds", "total_frames"} <= columns.keys():
            ends, rates = throughput(columns["wall_seconds"], columns["total_frames"])
            lines += [Line(record.name, n, ends, rates)] if len(ends) else []
    if not lines:
        return Html()
    x = of_seconds(max(float(line.x[-1]) for line in lines), "time")
    y = from_zero(max(float(line.y.max()) for line in lines) * 1.05, "frames a second")
    return draw_chart(lines, x, y, title="emulated frames a second")
