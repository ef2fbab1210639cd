"""Screens of many Atari games, for tests of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import ale_py
import numpy as np
from ale_py import roms

GAMES = (
    "pong", "breakout", "space_invaders", "seaquest", "ms_pacman", "qbert", "enduro", "beam_rider",
    "montezuma_revenge", "asteroids", "freeway", "pitfall", "alien", "bowling", "boxing",
    "gravitar", "hero", "kangaroo", "riverraid", "tennis", "zaxxon", "video_pinball",
    "air_raid", "et", "mr_do",
)  # fmt: skip
"""Of 210 rows and more, of both palettes, one with colours of odd numbers (air_raid)."""


@dataclass
class Screens:
    """Pairs of screens: (N, rows, 160) palette indices, the same in colour and in grey.

    palette, greys : (256, 3) uint8, the colours and greys that ALE shows for an index
    """

    frame: Any
    previous: Any
    palette: Any
    greys: Any
    rgb: Any
    previous_rgb: Any
    grey: Any
    previous_grey: Any


def load(game: str) -> Any:
    """Return an ALEInterface that plays one frame an action."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 1)
    ale.setInt("frame_skip", 1)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path(game))
    return ale


@cache
def screens_of(game: str, steps: int = 240, every: int = 20) -> Screens:
    """Play steps of four frames at random, take two successive screens now and then."""
    ale, rng = load(game), np.random.default_rng(0)
    actions = [int(action.value) for action in ale.getMinimalActionSet()]
    taken: list[list[Any]] = [[], [], []]
    for step in range(steps):
        action = actions[rng.integers(len(actions))]
        for frame in range(4):
            ale.act(action)
            if frame >= 2 and step % every == 0:
                shots = ale.getScreen(), ale.getScreenRGB(), ale.getScreenGrayscale()
                for kept, shot in zip(taken, shots, strict=True):
                    kept.append(shot)
        if ale.game_over():
            ale.reset_game()
    indices, rgb, grey = (np.array(kept) for kept in taken)
    palette, greys = np.zeros((2, 256, 3), np.uint8)
    palette[indices], greys[indices] = rgb, grey[..., None]
    assert np.array_equal(palette[indices], rgb) and np.array_equal(greys[indices, 0], grey)
    pairs = [part for shots in (indices, rgb, grey) for part in (shots[1::2], shots[::2])]
    return Screens(*pairs[:2], palette, greys, *pairs[2:])
