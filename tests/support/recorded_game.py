"""A stretch of real Pong, for tests of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ale_py
import numpy as np
from ale_py import roms


@dataclass
class Game:
    """A stretch of Pong: (N, 210, 160) indices, (N, 210, 160, 3) colours, the table of both."""

    palette: Any
    rgb: Any
    table: Any


def play_game() -> Game:
    """Play 300 steps of 3 frames each: the colours after a reset, serves, rallies, points."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.loadROM(roms.get_rom_path("pong"))
    ale.reset_game()
    palette, rgb = [], []
    for action in np.random.default_rng(3).choice([3, 4], 300):
        palette.append(ale.getScreen())
        rgb.append(ale.getScreenRGB())
        assert sum(ale.act(int(action)) for _ in range(3)) <= 0
    colours = np.ones(256, np.uint8)
    screens, reds = np.array(palette), np.array(rgb)[..., 0]
    colours[np.unique(screens[np.isin(reds, (0, 109, 144))])] = 0
    return Game(screens, np.array(rgb), colours)


def encode(backend: Any, game: Game) -> tuple[Any, Any, Any]:
    """Return the game as sparse frames (indptr, indices, signs)."""
    pairs = zip(game.palette, (None, *game.palette[:-1]), strict=True)
    frames = [backend.sparse_difference_frame(*pair, game.table) for pair in pairs]
    indptr = np.concatenate([[0], np.cumsum([len(indices) for indices, _ in frames])])
    indices, signs = (np.concatenate(part) for part in zip(*frames, strict=True))
    return indptr.astype(np.int64), indices, signs
