"""The palette against ale-py, by a program that shows every colour."""

from __future__ import annotations

import numpy as np
import pytest
from assembler import assemble, frame
from black_box import load

from fastpong.console.palette import NTSC_PALETTE, greys_of, palette_of

BARS = """
  ldx #0
bar: stx COLUBK
  sta WSYNC
  inx
  inx
  bne bar
"""


def test_every_colour_is_the_one_that_ale_py_shows() -> None:
    ale = load(assemble(frame(BARS)))
    ale.act(0)
    colours = ale.getScreen()[:, 80]
    assert sorted(set(colours)) == list(range(0, 256, 2))
    np.testing.assert_array_equal(NTSC_PALETTE[colours // 2], ale.getScreenRGB()[:, 80])


@pytest.mark.parametrize("tail, parity", [(51, 0), (50, 1)])
def test_every_colour_of_a_pal_console_is_the_one_that_ale_py_shows(tail: int, parity: int) -> None:
    """312 lines a frame make a PAL console, and an odd number makes it lose its colour."""
    more = "  ldx #70\nmore: stx COLUBK\n  sta WSYNC\n  dex\n  bne more\n"
    ale = load(assemble(frame(BARS + more, tail=tail)))
    ale.act(0)
    indices = ale.getScreen()[:, 80]
    assert set(indices) >= set(range(2 + parity, 256, 2)) and ale.getScreenDims() == (250, 160)
    np.testing.assert_array_equal(palette_of(250)[indices], ale.getScreenRGB()[:, 80])
    np.testing.assert_array_equal(greys_of(250)[indices, 0], ale.getScreenGrayscale()[:, 80])


def test_greys_of_every_colour_are_those_that_ale_py_shows() -> None:
    ale = load(assemble(frame(BARS)))
    ale.act(0)
    indices = ale.getScreen()[:, 80]
    rows = ale.getScreenDims()[0]
    assert set(indices) == set(range(0, 256, 2)) and rows != 250
    np.testing.assert_array_equal(palette_of(rows)[indices], ale.getScreenRGB()[:, 80])
    np.testing.assert_array_equal(greys_of(rows)[indices, 0], ale.getScreenGrayscale()[:, 80])
