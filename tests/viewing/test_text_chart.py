"""Curves in characters: every width, with and without colours and Unicode."""

from __future__ import annotations

import re

import numpy as np
import pytest
from curve_cases import curve

from fastpong.viewing.colours import Depth, Painter
from fastpong.viewing.curves import PlotError
from fastpong.viewing.groups import Group, make_band
from fastpong.viewing.text_chart import COLOURS, draw_text, round_ticks, short_number

RAMP = curve("ramp", range(0, 1001, 10), np.linspace(-21, 21, 101))
FLAT = curve("flat", range(0, 501, 10), [0] * 51)


def plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def alone(*curves: object) -> list[Group]:
    return [Group(c.name, (c,), None) for c in curves]  # type: ignore[attr-defined]


def braille(lines: list[str]) -> np.ndarray:
    """Return the dots of a chart's rows, from the fifth column on."""
    rows = [line[5:].ljust(95) for line in lines]
    dots = np.zeros((4 * len(rows), 2 * 95), bool)
    bits = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]
    for row, line in enumerate(rows):
        for column, character in enumerate(line):
            code = ord(character) - 0x2800
            if 0 < code < 256:
                for y, x in np.ndindex(4, 2):
                    dots[4 * row + y, 2 * column + x] = code & bits[y][x]
    return dots


def test_a_straight_line_is_a_diagonal() -> None:
    lines = draw_text(alone(RAMP), "steps", Painter("none"), width=100, rows=20)
    dots = braille(lines[:20])
    rows, columns = np.nonzero(dots)
    assert {*columns} == {*range(190)}, "no gap"
    # From -21 to 21, in a chart from -21.8 to 21.8 of 80 rows and 190 columns of dots.
    expected = (21.8 - (-21 + 42 * (columns + 0.5) / 190)) / 43.6 * 80 - 0.5
    assert np.abs(rows - expected).max() <= 1


def test_a_curve_ends_where_its_run_ends() -> None:
    lines = draw_text(alone(RAMP, FLAT), "steps", Painter("truecolor"), width=100, rows=20)
    red, green, blue = COLOURS[1]
    painted = [line for line in lines[:20] if f"38;2;{red & 0xFC};{green & 0xFC}" in line or
               f"38;2;{red};{green};{blue}" in line]  # fmt: skip
    assert len(painted) == 1
    dots = braille([plain(line) for line in painted])
    flat = dots.sum(axis=0)
    assert flat[:94].all() and not flat[100:].all()


@pytest.mark.parametrize("width", [40, 41, 79, 120, 200])
@pytest.mark.parametrize("depth", ["none", "16", "256", "truecolor"])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, depth: Depth, ascii_only: bool) -> None:
    painter = Painter(depth, ascii_only=ascii_only)
    groups = [*alone(RAMP, FLAT), Group("both " * 20, (RAMP, FLAT), make_band([RAMP, FLAT]))]
    lines = draw_text(groups, "steps", painter, width=width, rows=10, title="T", note="n")
    assert max(len(plain(line)) for line in lines) <= width
    legend = "".join(plain(line) for line in lines[2 + 10 + 3 :])
    assert len(lines) >= 2 + 10 + 3 + 3 and legend.count("both") == 20
    text = "\n".join(map(plain, lines))
    assert text.isascii() or not ascii_only
    assert ("\x1b" in "".join(lines)) == (depth != "none")
    for word in ("T", "+21", "-21", "1k", "steps of the agent", "ramp", "flat", "+21.00"):
        assert word in text


def test_a_narrow_terminal_is_refused() -> None:
    with pytest.raises(PlotError, match="at least 40 columns, got 39; -o FILE makes a picture"):
        draw_text(alone(RAMP), "steps", Painter("none"), width=39)


def test_without_colours_lines_have_letters() -> None:
    for ascii_only in (False, True):
        painter = Painter("none", ascii_only=ascii_only)
        lines = draw_text(alone(RAMP, FLAT), "steps", painter, width=60, rows=10)
        chart = "".join(line[5:] for line in lines[:10])
        assert chart.count("a") >= 3 and chart.count("b") >= 3
        assert [line[:1] for line in lines[-2:]] == ["a", "b"]
    single = draw_text(alone(RAMP), "steps", Painter("none", ascii_only=True), width=60, rows=10)
    assert "*" in single[0] + single[1] and "a" not in "".join(line[5:] for line in single[:10])


def test_a_band_is_a_shade_between_its_edges() -> None:
    low, high = curve("l", range(101), [-10] * 101), curve("h", range(101), [10] * 101)
    group = Group("g", (low, high), make_band([low, high], "range"))
    lines = draw_text([group], "steps", Painter("none"), width=60, rows=20)
    shaded = [row for row, line in enumerate(lines[:20]) if "░" in line]
    # Ticks up to 14: the chart goes from -21.8 to 14.8, and a row is 1.83 points high.
    assert shaded[0] == int((14.8 - 10) / 1.83)
    assert shaded[-1] == int((14.8 + 10) / 1.83)
    middle = int(14.8 / 1.83)
    assert "░" not in lines[middle] and middle not in shaded


def test_episodes_are_faint_dots() -> None:
    scattered = curve("s", range(1, 101), [-21, 7] * 50, window=40)
    lines = draw_text(alone(scattered), "steps", Painter("none"), width=60, rows=12)
    assert sum("·" in line for line in lines[:12]) == 2


def test_one_episode_is_drawn() -> None:
    lines = draw_text(alone(curve("one", [100], [-20])), "steps", Painter("none"), width=40, rows=8)
    assert any(0x2800 < ord(character) < 0x2900 for line in lines for character in line)


@pytest.mark.parametrize(
    ("longest", "most", "ticks"),
    [
        (10, 5, [0, 2, 4, 6, 8, 10]),
        (1_285_000, 6, [0, 250_000, 500_000, 750_000, 1_000_000, 1_250_000]),
        (76.7, 2, [0, 50]),
        (1, 1, [0, 1]),
        (0.7, 9, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
    ],
)
def test_ticks_are_round(longest: float, most: int, ticks: list[float]) -> None:
    np.testing.assert_allclose(round_ticks(longest, most), ticks, rtol=1e-12)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (999, "999"), (1000, "1k"), (12345, "12.3k"), (999_900, "1M"),
     (2.5e6, "2.5M"), (3e9, "3G")],
)  # fmt: skip
def test_short_numbers(value: float, text: str) -> None:
    assert short_number(value) == text


def test_a_long_name_is_whole_in_forty_columns() -> None:
    names = ("PongDeterministic-v4__ppo__1__20261130T080000Z", "x" * 70)
    for name in names:
        groups = alone(curve(name, [100, 200], [-20, -3]), curve("two", [100], [0]))
        lines = draw_text(groups, "steps", Painter("none"), width=40, rows=8, title=name)
        assert all(len(line) <= 40 for line in lines)
        head = "".join(line for line in lines[:3] if not re.match(r"[ +-]*\d* [┤│]", line))
        assert head.startswith(name[:40].rpartition("_")[0] or name[:40]) and name[-5:] in head
        legend = "".join(line[9:] for line in lines if line.startswith(("a  ", " " * 9)))
        assert name in legend.replace(" ", "") and "…" not in legend
