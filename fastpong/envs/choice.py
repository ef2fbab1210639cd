"""The choice between the emulators.

    console   fastpong's own, for the ROMs on which lockstep tests find it equal to ale-py
    ale       ale-py, for every game
    auto      the console where it can play, else ale

Importing this module imports neither. ``load_machine`` does.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from fastpong.console.cartridge import EmulatorError, load_rom
from fastpong.console.games import COVERED
from fastpong.envs.machine import Machine
from fastpong.envs.variants import find_variant

if TYPE_CHECKING:
    from fastpong.console.machine import Cartridge

EMULATORS = ("auto", "console", "ale")

OLDEST_ALE = (0, 12)
"""As in pyproject.toml. Before it, ale-py decodes a state as text, which fails."""

_CONSOLE_SAVED = b"fastpong console "


def choose(game: str, asked: str = "auto") -> str:
    """Return "console" or "ale", by the game's ROM.

    game  : ale_py's name of the ROM
    asked : one of ``EMULATORS``

    Raises EmulatorError for "console" where it cannot play the game, for "ale" where ale-py is too
    old, and as ``load_rom`` does.
    """
    if asked not in EMULATORS:
        raise ValueError(f"emulator: expected one of {', '.join(EMULATORS)}, got {asked!r}")
    obstacle = why_not_console(game)
    if obstacle is None and asked != "ale":
        return "console"
    if asked == "console":
        raise EmulatorError(
            f"emulator: expected a game that the console plays, but {obstacle}; "
            f"--emulator ale plays it"
        )
    _check_ale()
    return "ale"


def _check_ale() -> None:
    """Raise EmulatorError for an ale-py whose states are not bytes that can be saved."""
    from importlib import metadata  # 20 ms that the console does not need

    try:
        found = metadata.version("ale-py")
    except metadata.PackageNotFoundError:  # told of where it is imported
        return
    parts = found.split(".")[:2]
    if all(map(str.isdecimal, parts)) and [*map(int, parts)] < [*OLDEST_ALE]:
        raise EmulatorError(
            f"emulator ale: expected ale-py {'.'.join(map(str, OLDEST_ALE))} or newer, got "
            f"{found}; pip install --upgrade ale-py"
        )


def choose_for(env: str, asked: str) -> str:
    """Return "console" or "ale" for an environment.

    As ``choose``. Raises ValueError for an unknown environment, too.
    """
    return choose(find_variant(env).game.rom, asked)


def why_not_console(game: str) -> str | None:
    """Explain why the console cannot play a game. None: it can.

    It reads the ROM, and raises EmulatorError as ``load_rom`` does.
    """
    rom = load_rom(game)
    if game not in COVERED:
        return f"no lockstep test covers {game}, only {', '.join(sorted(COVERED))}"
    if rom.sha256 != COVERED[game].sha256:
        return (
            f"the ROM {game} has {len(rom.data)} bytes and sha256 {rom.sha256}, and lockstep tests "
            f"cover {COVERED[game].sha256}"
        )
    if find_spec("fastpong.console.machine") is None:
        return "the console was not compiled with this installation"
    return None


def prepare(env: str, kind: str) -> None:
    """Have the console's cartridge compiled, in the background.

    Workers that are started afterwards find it in the cache. Warns of what is in the way: then
    they play on, slower.

    kind : of ``choose``
    """
    if kind != "console":
        return
    from fastpong.console.machine import Cartridge
    from fastpong.console.translate.translation import attach

    attach(Cartridge(load_rom(find_variant(env).game.rom)))


def load_machine(game: str, kind: str, max_frames: int) -> Machine:
    """Return a machine with the game loaded.

    kind : of ``choose``
    """
    if kind == "ale":
        from fastpong.envs.ale import AleMachine

        return AleMachine(game, max_frames)
    from fastpong.console.machine import Machine as Console

    return Console(_cartridge(game), COVERED[game], max_frames)


def kind_of(saved: bytes) -> str:
    """Return which kind of machine saved a state."""
    return "console" if saved.startswith(_CONSOLE_SAVED) else "ale"


@cache
def _cartridge(game: str) -> Cartridge:
    """Return a decoded cartridge, which all machines of a process share.

    It becomes machine code as soon as that is in the cache. What is in the way of that is said by
    ``prepare`` alone, not by every worker.
    """
    from fastpong.console.machine import Cartridge
    from fastpong.console.translate.translation import attach

    cartridge = Cartridge(load_rom(game))
    attach(cartridge, warn=lambda message: None)
    return cartridge
