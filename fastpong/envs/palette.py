"""The colours of a game: the background among the palette's 256 indices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastpong.envs.machine import Machine, Screen

PALETTE_SAMPLE_FRAMES = 160
"""Frames played to see a game's colours. In Pong the first serve comes within them."""

UNSEEN = -1
"""Red of a palette index that never appeared, unlike any colour's."""


def foreground_table(machine: Machine, background_reds: Sequence[int]) -> Screen:
    """Play from the start and classify the palette's colours.

    Returns a (256,) uint8 table from palette index to 0, background, or 1, foreground. A colour
    is background if its red is one of ``background_reds``, by the RGB of the start screen and of a
    short stretch of play. An unseen index is foreground: a game draws its background all the time,
    so only objects stay unseen that long.

    Leaves the machine in the middle of that play.
    """
    screen = np.empty(machine.screen_shape, np.uint8)
    rgb = np.empty((*machine.screen_shape, 3), np.uint8)
    reds = np.full(256, UNSEEN, np.int16)
    machine.reset_game()
    for frame in range(PALETTE_SAMPLE_FRAMES):
        machine.read_screen(screen)
        machine.read_rgb(rgb)
        reds[screen] = rgb[..., 0]
        # Every action of the game in turn, for long enough to move something.
        machine.play(bytes((machine.actions[frame // 8 % len(machine.actions)],)))
    return (~np.isin(reds, background_reds)).astype(np.uint8)
