"""The colours of a game: the background among the palette's 256 indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastpong.envs.ale import Ale, Screen

PALETTE_SAMPLE_FRAMES = 160
"""Frames played to see a game's colours. In Pong the first serve comes within them."""

UNSEEN = -1
"""Red of a palette index that never appeared, unlike any colour's."""


def foreground_table(ale: Ale, actions: Sequence[int], background_reds: Sequence[int]) -> Screen:
    """Play from the start and classify the palette's colours.

    Returns a (256,) uint8 table from palette index to 0, background, or 1, foreground. A colour
    is background if its red is one of ``background_reds``, by ALE's own RGB of the start screen
    and of a short stretch of play. An unseen index is foreground: a game draws its background all
    the time, so only objects stay unseen that long.

    Leaves ALE in the middle of that play.
    """
    shape = tuple(ale.getScreenDims())
    screen = np.empty(shape, np.uint8)
    rgb = np.empty((*shape, 3), np.uint8)
    reds = np.full(256, UNSEEN, np.int16)
    # After restoreState() the screens are stale (see Emulator.read_screen), reset_game() shows
    # the same start.
    ale.reset_game()
    for frame in range(PALETTE_SAMPLE_FRAMES):
        ale.getScreen(screen)
        ale.getScreenRGB(rgb)
        reds[screen] = rgb[..., 0]
        # Every action of the game in turn, for long enough to move something.
        ale.act(actions[frame // 8 % len(actions)])
    return (~np.isin(reds, background_reds)).astype(np.uint8)
