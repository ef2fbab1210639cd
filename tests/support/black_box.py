"""Runs programs of our own in ale-py, to see what its console does with them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ale_py
import numpy as np
from numpy.typing import NDArray

GAME = "donkey_kong"
"""The name that the program goes by. ale-py takes a game's rules from the file's name.

Under this name any contents of the RAM are harmless. Under most others, some contents end the game
or keep the reset waiting for ever. The file's contents are unknown to ale-py, so it plugs in two
joysticks.
"""

FRAMES_BEFORE = 60
FRAMES_OF_RESET = 8
"""Frames that the reset runs, with the console's RESET switch up and then down."""


@dataclass(frozen=True)
class Trace:
    """What a program did: after the reset, and after each action.

    ram     : (1 + T, 128) uint8
    screens : (1 + T, rows, 160) uint8, palette indices
    """

    ram: NDArray[np.uint8]
    screens: NDArray[np.uint8]


def load(rom: bytes, seed: int = 1, game: str = GAME) -> ale_py.ALEInterface:
    """Return an emulator with a program plugged in, after its reset."""
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", seed)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("frame_skip", 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{game}.bin"
        path.write_bytes(rom)
        ale.loadROM(path)
    ale.reset_game()
    return ale


def run(rom: bytes, actions: Sequence[int], seed: int = 1, game: str = GAME) -> Trace:
    """Run a program for some actions and record RAM and screens."""
    ale = load(rom, seed, game)
    ram, screens = [ale.getRAM().copy()], [ale.getScreen().copy()]
    for action in actions:
        ale.act(action)
        ram.append(ale.getRAM().copy())
        screens.append(ale.getScreen().copy())
    return Trace(np.array(ram), np.array(screens))
