"""Cartridges: the ROMs that ale_py ships, read and checked.

Nothing of a ROM is part of this package. It is read from the installed ale_py, whose own code is
not imported for that: importing it takes 0.14 s.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

SIZES = (2048, 4096)
"""Bytes of a cartridge without bank switching, the kind that the console runs."""


class EmulatorError(ValueError):
    """Report a game that an emulator cannot play."""


@dataclass(frozen=True)
class Rom:
    """Hold a ROM's bytes and their SHA-256."""

    name: str
    data: bytes
    sha256: str


def rom_directory() -> Path:
    """Return where the installed ale_py keeps its ROMs.

    Raises FileNotFoundError when ale_py is not installed.
    """
    spec = find_spec("ale_py")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("expected ale_py to be installed, it is not: pip install ale-py")
    return Path(spec.submodule_search_locations[0]) / "roms"


def rom_names(directory: Path | None = None) -> list[str]:
    """Return the names of all ROMs in a directory."""
    return sorted(path.stem for path in (directory or rom_directory()).glob("*.bin"))


def load_rom(name: str, directory: Path | None = None) -> Rom:
    """Read a ROM by its name.

    directory : of the ROMs, by default ale_py's

    Raises EmulatorError for a name that is not there.
    """
    directory = directory or rom_directory()
    path = directory / f"{name}.bin"
    if name != Path(name).name or not path.is_file():
        near = get_close_matches(name.lower(), rom_names(directory), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise EmulatorError(
            f"unknown game {name!r}: expected the name of a ROM of ale_py, in snake_case, such "
            f"as 'pong' or 'space_invaders', found none in {directory}.{hint} All: "
            f"ale_py.roms.get_all_rom_ids()"
        )
    data = path.read_bytes()
    return Rom(name, data, hashlib.sha256(data).hexdigest())


def check_size(rom: Rom) -> None:
    """Raise EmulatorError for a cartridge of an unsupported kind."""
    if len(rom.data) not in SIZES:
        raise EmulatorError(
            f"{rom.name}: expected a cartridge of 2048 or 4096 bytes, got {len(rom.data)}. "
            f"Larger ones switch banks, which the console does not emulate: --emulator ale plays it"
        )
