"""The part of ale_py's interface in use, and the loading of a game.

Importing this module imports neither ale_py nor gymnasium. `load_game` does.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

ALE_SEED = 1
"""ALE's own generator fills the console's memory at power-on. One seed, one start state."""

NOOP = 0
"""ALE's number of the action that touches nothing."""

Screen = NDArray[np.uint8]


class AleState(Protocol):
    """Type a saved state of the console."""

    def serialize(self) -> bytes: ...


class AleAction(Protocol):
    """Type a member of ALE's enumeration of actions."""

    value: int


class Ale(Protocol):
    """Type the methods of ``ale_py.ALEInterface`` in use."""

    # ruff: noqa: D102
    def act(self, action: int) -> int: ...
    def game_over(self, *, with_truncation: bool = True) -> bool: ...
    def game_truncated(self) -> bool: ...
    def reset_game(self) -> None: ...
    def cloneState(self, *, include_rng: bool = False) -> AleState: ...
    def restoreState(self, state: AleState) -> None: ...
    def getScreen(self, out: Screen = ...) -> Screen: ...
    def getScreenRGB(self, out: Screen = ...) -> Screen: ...
    def getScreenDims(self) -> tuple[int, int]: ...
    def getMinimalActionSet(self) -> list[AleAction]: ...
    def getEpisodeFrameNumber(self) -> int: ...
    def getRAM(self, out: Screen = ...) -> Screen: ...
    def lives(self) -> int: ...


def load_game(rom: str, max_frames: int) -> Ale:
    """Return an ALEInterface with the game loaded.

    It is silent, and all of its randomness is off. Raises ValueError for an unknown ROM.
    """
    # Here and not above: it imports gymnasium, 0.14 s that `--help` need not wait for.
    import ale_py

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("frame_skip", 1)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("max_num_frames_per_episode", max_frames)
    ale.setInt("random_seed", ALE_SEED)
    ale.loadROM(_rom_path(rom))
    return cast(Ale, ale)


def parse_state(serialized: bytes) -> AleState:
    """Return the console's state from its bytes."""
    import ale_py

    return cast(AleState, ale_py.ALEState(serialized))


def _rom_path(rom: str) -> Path:
    """Return the path of a ROM."""
    from ale_py import roms

    known = sorted(roms.get_all_rom_ids())
    if rom not in known:
        near = get_close_matches(rom.lower(), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"unknown game {rom!r}: expected the name of a ROM of ale_py, in snake_case, such "
            f"as 'pong' or 'space_invaders'.{hint} All: ale_py.roms.get_all_rom_ids()"
        )
    return Path(roms.get_rom_path(rom))
