"""Line charts as HTML with SVG inside, of any width.

The lines are stretched to the width that there is, and the text is not: a chart of a phone has
letters of the same size. Colours come from the style, for light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastpong.arrays import Doubles
from fastpong.pages.html import Html, join, tag
from fastpong.pages.scales import Scale

COLOURS = 7
"""Colours of the style. Further lines have dashes, too."""

_HEIGHT, _TOP, _BOTTOM = 240, 12, 24
_LEFT = 44
_UNIT = 1000  # of the stretched picture
_MOST_POINTS, _MOST_DOTS = 400, 1500


@dataclass(frozen=True)
class Line:
    """Describe a line of a chart.

    colour : number of its colour
    x, y   : (N,), x ascending
    dots   : (N,) values drawn as faint dots, None for none
    errors : (N,) half the lengths of error bars. Then every value is a mark, too
    """

    name: str
    colour: int
    x: Doubles
    y: Doubles
    dots: Doubles | None = None
    errors: Doubles | None = None

    @property
    def style(self) -> str:
        """Return the classes of its colour and dashes."""
        return f"c{self.colour % COLOURS}" + (" dashed" if self.colour >= COLOURS else "")


@dataclass(frozen=True)
class Mark:
    """Describe a value with a name, drawn across a chart."""

    value: float
    name: str


def draw_chart(
    lines: Sequence[Line],
    x: Scale,
    y: Scale,
    *,
    title: str,
    marks: Sequence[Mark] = (),
    parts: Sequence[Mark] = (),
) -> Html:
    """Return a chart.

    title : what it shows, in a line
    marks : levels of y
    parts : values of x from which on something else holds
    """
    shapes = [_dots(line, x, y) for line in lines]
    shapes += [_errors(line, x, y) for line in lines]
    shapes += [_line(line, x, y) for line in lines]
    inner = tag(
        "svg", *shapes, class_="plot", y=_TOP, width="100%", height=_HEIGHT,
        viewBox=f"0 0 {_UNIT} {_UNIT}", preserveAspectRatio="none",
    )  # fmt: skip
    grid = [_level(y, value, "grid") for value, _ in y.ticks]
    named = [_level(y, m.value, "mark") + _mark_name(y, m) for m in marks if _within(y, m.value)]
    named += [_part(x, m) for m in parts if _within(x, m.value)]
    whole = tag(
        "svg", *grid, *map(Html, named), inner, _across(x), role="img", aria_label=title,
        width="100%", height=_TOP + _HEIGHT + _BOTTOM,
    )  # fmt: skip
    heading = tag("figcaption", tag("strong", title), _legend(lines))
    reading = tag("p", class_="reading", aria_hidden="true")
    below = tag("p", x.label, class_="label")
    ends = {"data_x": f"{x.low:.9g} {x.high:.9g}", "data_y": f"{y.low:.9g} {y.high:.9g}"}
    return tag(
        "figure", heading, tag("div", _up(y), tag("div", whole, class_="area"), class_="axes"),
        below, reading, class_="chart", **ends,
    )  # fmt: skip


def thin(length: int, most: int) -> NDArray[np.intp]:
    """Return the numbers of at most so many of N values, the first and last among them."""
    if length <= most:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, most).round().astype(np.intp))


def _places(x: Scale, y: Scale, xs: Doubles, ys: Doubles) -> list[tuple[float, float]]:
    across = (xs - x.low) / (x.high - x.low) * _UNIT
    down = (1 - (ys - y.low) / (y.high - y.low)) * _UNIT
    return list(zip(across.round(1).tolist(), down.round(1).tolist(), strict=True))


def _line(line: Line, x: Scale, y: Scale) -> Html:
    picked = thin(len(line.x), _MOST_POINTS)
    places = _places(x, y, line.x[picked], line.y[picked])
    points = " ".join(f"{a:g},{b:g}" for a, b in places)
    drawn = tag("polyline", class_=f"line {line.style}", points=points, data_name=line.name)
    # A line of one value has no length. Marks show it.
    marked = places if line.errors is not None or len(places) == 1 else []
    return join([drawn, *([_spots(marked, f"spots {line.style}")] if marked else [])])


def _dots(line: Line, x: Scale, y: Scale) -> Html:
    if line.dots is None:
        return Html()
    picked = thin(len(line.x), _MOST_DOTS)
    # Returns are whole points. Spread over the unit around each they show as a cloud.
    spread = (np.arange(len(picked)) * 0.618034) % 1 - 0.5 if len(picked) >= 300 else 0.0
    return _spots(_places(x, y, line.x[picked], line.dots[picked] + spread), f"dots {line.style}")


def _spots(places: Sequence[tuple[float, float]], style: str) -> Html:
    """Return round spots: a circle would be stretched, the end of a stroke is not."""
    return tag("path", class_=style, d="".join(f"M{a:g} {b:g}h0" for a, b in places))


def _errors(line: Line, x: Scale, y: Scale) -> Html:
    if line.errors is None:
        return Html()
    upper = _places(x, y, line.x, line.y + line.errors)
    lower = _places(x, y, line.x, line.y - line.errors)
    bars = (f"M{a:g} {b:g}V{c:g}" for (a, b), (_, c) in zip(upper, lower, strict=True))
    return tag("path", class_=f"errors {line.style}", d="".join(bars))


def _within(axis: Scale, value: float) -> bool:
    return axis.low <= value <= axis.high


def _height(y: Scale, value: float) -> str:
    return f"{_TOP + (1 - y.place(value)) * _HEIGHT:.1f}"


def _level(y: Scale, value: float, style: str) -> Html:
    at = _height(y, value)
    return tag("line", class_=style, x1="0", x2="100%", y1=at, y2=at)


def _mark_name(y: Scale, mark: Mark) -> Html:
    at = f"{float(_height(y, mark.value)) - 4:.1f}"
    return tag("text", mark.name, class_="mark", x="100%", y=at, text_anchor="end")


def _part(x: Scale, mark: Mark) -> str:
    share = f"{x.place(mark.value):.2%}"
    line = tag("line", class_="mark", x1=share, x2=share, y1=_TOP, y2=_TOP + _HEIGHT)
    return line + tag("text", mark.name, class_="mark", x=share, y=_TOP + _HEIGHT - 6, dx=4)


def _up(y: Scale) -> Html:
    texts = (
        tag("text", text, x=_LEFT - 8, y=f"{float(_height(y, value)) + 4:.1f}", text_anchor="end")
        for value, text in y.ticks
    )
    height = _TOP + _HEIGHT + _BOTTOM
    return tag("svg", *texts, width=_LEFT, height=height, aria_hidden="true")


def _across(x: Scale) -> Html:
    texts = []
    for value, text in x.ticks:
        share = x.place(value)
        anchor = "start" if share < 0.03 else "end" if share > 0.97 else "middle"
        at = {"x": f"{share:.2%}", "y": _TOP + _HEIGHT + 18, "text_anchor": anchor}
        texts.append(tag("text", text, **at))
    return tag("g", *texts)


def _legend(lines: Sequence[Line]) -> Html:
    if len(lines) < 2:
        return Html()
    keys = (tag("li", tag("i", class_=line.style), line.name) for line in lines)
    return tag("ul", *keys, class_="legend")
