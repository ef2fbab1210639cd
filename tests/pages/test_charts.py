"""Charts: values at their places, whatever the scale and the names."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from fastpong.pages.charts import Line, Mark, draw_chart, thin
from fastpong.pages.scales import Scale, from_zero, of_returns, of_seconds


def parsed(chart: str) -> ElementTree.Element:
    """A chart's HTML is XML, too."""
    return ElementTree.fromstring(chart)


def points(chart: str) -> list[list[tuple[float, ...]]]:
    lines = parsed(chart).iter("polyline")
    return [
        [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()] for line in lines
    ]


def line(name: str = "run", colour: int = 0, **more: object) -> Line:
    return Line(name, colour, np.array([0.0, 5.0, 10.0]), np.array([0.0, 20.0, 10.0]), **more)


SCALES = Scale(0, 10, [(0, "0"), (10, "10")], "x"), Scale(0, 20, [(0, "0"), (20, "20")], "y")


def test_values_are_at_their_places() -> None:
    assert points(draw_chart([line()], *SCALES, title="t")) == [[(0, 1000), (500, 0), (1000, 500)]]


def test_dots_and_error_bars_are_at_theirs() -> None:
    drawn = line(dots=np.array([10.0, 10, 10]), errors=np.array([0.0, 2, 4]))
    chart = draw_chart([drawn], *SCALES, title="t")
    shapes = {e.attrib["class"].split()[0]: e.attrib["d"] for e in parsed(chart).iter("path")}
    assert shapes["dots"] == "M0 500h0M500 500h0M1000 500h0"
    assert shapes["errors"] == "M0 1000V1000M500 -100V100M1000 300V700"
    assert shapes["spots"] == "M0 1000h0M500 0h0M1000 500h0"


def test_a_single_value_shows() -> None:
    one = Line("run", 0, np.array([5.0]), np.array([10.0]))
    assert 'd="M500 500h0"' in draw_chart([one], *SCALES, title="t")


def test_marks_outside_are_left_out() -> None:
    chart = draw_chart([line()], *SCALES, title="t", marks=[Mark(10, "inside"), Mark(30, "above")])
    assert "inside" in chart
    assert "above" not in chart


def test_names_cannot_become_markup() -> None:
    bad = '"><script>alert(1)</script>'
    chart = draw_chart([line(bad), line(bad + "2", 1)], *SCALES, title=bad)
    assert "<script" not in chart
    assert [e.attrib["data-name"] for e in parsed(chart).iter("polyline")] == [bad, bad + "2"]


def test_only_several_lines_have_a_legend() -> None:
    assert "legend" not in draw_chart([line()], *SCALES, title="t")
    chart = draw_chart([line("a"), line("b", 7)], *SCALES, title="t")
    assert re.findall(r'<li><i class="([^"]*)"></i>(\w)', chart) == [
        ("c0", "a"),
        ("c0 dashed", "b"),
    ]


def test_long_lines_are_thinned() -> None:
    x = np.arange(100_000.0)
    chart = draw_chart(
        [Line("run", 0, x, x, dots=x)], from_zero(x[-1], "x"), from_zero(x[-1], "y"), title="t"
    )
    (drawn,) = points(chart)
    assert len(drawn) == 400
    assert (drawn[0], drawn[-1]) == ((0, 1000), (1000, 0))
    assert len(chart) < 60_000


@pytest.mark.parametrize(("length", "most"), [(1, 1), (3, 5), (10, 4), (1000, 7)])
def test_thinned_numbers_hold_the_ends(length: int, most: int) -> None:
    picked = thin(length, most)
    assert picked[0] == 0
    assert picked[-1] == (length - 1 if most > 1 or length == 1 else 0)
    assert len(set(picked.tolist())) == len(picked) == min(length, most)


@pytest.mark.parametrize("high", [1e-3, 0.7, 1, 6, 7, 42, 999, 1000, 1234567, 1e12])
def test_ticks_are_round_and_within(high: float) -> None:
    scale = from_zero(high, "x")
    values = [value for value, _ in scale.ticks]
    assert 3 <= len(values) <= 7
    assert values[0] == 0
    assert values[-1] <= high * (1 + 1e-9)
    steps = np.diff(values)
    np.testing.assert_allclose(steps, steps[0])
    assert len({text for _, text in scale.ticks}) == len(values)


def test_a_scale_of_nothing_has_a_length() -> None:
    assert from_zero(0, "x").high == of_seconds(0, "time").high == 1


@pytest.mark.parametrize(
    ("seconds", "unit", "last"),
    [(60, "seconds", "60"), (600, "minutes", "10"), (36000, "hours", "10"), (864000, "days", "10")],
)
def test_time_has_a_unit_that_fits(seconds: float, unit: str, last: str) -> None:
    scale = of_seconds(seconds, "time")
    assert scale.label == f"time ({unit})"
    assert scale.ticks[-1] == (pytest.approx(seconds), last)


def test_returns_end_above_the_best() -> None:
    assert [text for _, text in of_returns(-15).ticks] == ["-21", "-14"]
    assert of_returns(21).ticks[-1] == (21, "+21")
    assert (0, "0") in of_returns(3).ticks


def test_parts_of_a_run_are_marked() -> None:
    parts = [Mark(2.5, "stage <2>"), Mark(11, "beyond")]
    chart = draw_chart([line()], *SCALES, title="t", parts=parts)
    (mark,) = [e for e in parsed(chart).iter("line") if e.attrib["class"] == "mark"]
    assert mark.attrib["x1"] == mark.attrib["x2"] == "25.00%"
    assert "stage &lt;2&gt;" in chart
    assert "beyond" not in chart
