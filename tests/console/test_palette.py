"""The palette against ale-py, by a program that shows every colour."""

from __future__ import annotations

import numpy as np
from assembler import assemble, frame
from black_box import load

from fastpong.console.palette import NTSC_PALETTE

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
