"""What is written to a terminal: the picture, by its changes alone, in every depth of colour."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from terminals import Screen

from fastpong.viewing.canvas import Lines, Picture
from fastpong.viewing.colours import Depth, Painter, Piece
from fastpong.viewing.games import COLOURS
from fastpong.viewing.layout import Box

BOX = Box(2, 5, 6, 8)
FIELD, BALL = 34, 14


def picture_with(row: int, column: int) -> np.ndarray:
    """Return a field of the box's own size with one lit pixel."""
    picture = np.full((12, 8), FIELD, np.uint8)
    picture[row, column] = BALL
    return picture


def number(colour: int) -> str:
    return ";".join(map(str, COLOURS[colour] & 0xFC))


def test_a_pixel_is_half_a_character() -> None:
    screen = Screen()
    picture = Picture(BOX, (12, 8), COLOURS, Painter("truecolor"))
    screen.feed(picture.draw(picture_with(5, 3)))
    field = f"48;2;{number(FIELD)}"
    for row in range(6):
        for column in range(8):
            found = screen.cell(2 + row, 5 + column)
            if (row, column) == (2, 3):
                assert found == ("▀", f"38;2;{number(FIELD)}", f"48;2;{number(BALL)}")
            else:
                assert found == (" ", "", field)
    assert len(screen.touched) == 48


@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none"])
@pytest.mark.parametrize("ascii_only", [False, True])
@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 7)), min_size=1, max_size=6))
def test_changes_lead_to_the_screen_of_a_fresh_picture(
    depth: Depth, ascii_only: bool, places: list[tuple[int, int]]
) -> None:
    painter = Painter(depth, ascii_only=ascii_only)
    picture, screen = Picture(BOX, (12, 8), COLOURS, painter), Screen()
    for before, place in zip([None, *places], places, strict=False):
        screen.touched.clear()
        screen.feed(picture.draw(picture_with(*place)))
        if before is not None:
            assert len(screen.touched) <= 2
        fresh = Screen()
        fresh.feed(Picture(BOX, (12, 8), COLOURS, painter).draw(picture_with(*place)))
        assert screen.cells == fresh.cells
        assert (screen.front, screen.back) == ("", "")


def test_without_colours_there_is_no_style_and_the_ball_is_a_character() -> None:
    for ascii_only, expected in ((False, "▀▄"), (True, "'.")):
        painter = Painter("none", ascii_only=ascii_only)
        for row, character in zip((4, 5), expected, strict=True):
            text = Picture(BOX, (12, 8), COLOURS, painter).draw(picture_with(row, 3))
            assert set(re.findall(r"\x1b\[[^A-Za-z]*([A-Za-z])", text)) == {"H"}
            screen = Screen()
            screen.feed(text)
            assert [c for c in screen.cells.values() if c[0] != " "] == [(character, "", "")]


def test_all_is_ascii_where_it_must_be() -> None:
    for depth in ("truecolor", "256", "16", "none"):
        painter = Painter(depth, ascii_only=True)  # type: ignore[arg-type]
        text = Picture(BOX, (12, 8), COLOURS, painter).draw(picture_with(4, 3))
        assert text.isascii()
        assert painter.line(painter.bar(0.3, 10, (1, 2, 3)), 10).isascii()


def test_lines_are_cut_filled_and_written_when_they_change() -> None:
    painter, screen = Painter("none"), Screen()
    lines = Lines(Box(1, 2, 2, 5))

    def draw(*texts: str) -> None:
        screen.touched.clear()
        screen.feed(lines.draw([painter.line([Piece(text)], 5) for text in texts]))

    draw("abcdefg", "x")
    assert screen.lines[:3] == ["", "  abcde", "  x"]
    draw("abcdefg", "yz")
    assert {row for row, _ in screen.touched} == {2}
    draw("ab")
    assert screen.lines[:3] == ["", "  ab", ""]
    draw("1", "2", "3")
    assert screen.lines[:4] == ["", "  1", "  2", ""]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99, 1.0, -3.0, 7.0])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_bar_has_its_width(share: float, ascii_only: bool) -> None:
    painter = Painter("256", ascii_only=ascii_only)
    text = "".join(piece.text for piece in painter.bar(share, 13, (1, 2, 3)))
    assert len(text) == 13
    filled = sum(character in "#█" for character in text)
    assert abs(filled - 13 * min(1, max(0, share))) <= 1
