"""Cartridges: the ROMs that ale_py ships, read and checked.

Nothing of a ROM is part of this package. It is read from the installed ale_py, whose own code is
not imported for that: importing it takes 0.14 s.
"""

from __future__ import annotations

import hashlib
import json
import os
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
    """Return where ale_py looks for its ROMs.

    That is the directory ALE_ROMS_DIR, else its own. Raises EmulatorError when ale_py is not
    installed.
    """
    given = os.environ.get("ALE_ROMS_DIR")
    return Path(given) if given else _own_directory()


def rom_names() -> list[str]:
    """Return the names of all ROMs that ale_py knows."""
    return sorted(_checksums())


def load_rom(name: str) -> Rom:
    """Read a ROM by its name.

    Raises EmulatorError for a name that ale_py does not know, and for a ROM that is missing or is
    not the one that ale_py knows by that name.
    """
    known = _checksums()
    if name not in known:
        near = get_close_matches(name.lower(), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise EmulatorError(
            f"unknown game {name!r}: expected the name of a ROM of ale_py, in snake_case, such "
            f"as 'pong' or 'space_invaders'.{hint} All: ale_py.roms.get_all_rom_ids()"
        )
    path = rom_directory() / f"{name}.bin"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EmulatorError(
            f"{path}: expected the ROM {name}, but it cannot be read ({error.strerror}); {_mend()}"
        ) from error
    checksum = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if checksum != known[name]:
        raise EmulatorError(
            f"{path}: expected the ROM {name} with md5 {known[name]}, got {len(data)} bytes with "
            f"md5 {checksum}; {_mend()}"
        )
    return Rom(name, data, hashlib.sha256(data).hexdigest())


def _mend() -> str:
    if "ALE_ROMS_DIR" in os.environ:
        return "unset ALE_ROMS_DIR, or name a directory with ale-py's ROMs"
    return "install it anew: pip install --force-reinstall ale-py"


def _own_directory() -> Path:
    """Return where the installed ale_py keeps its ROMs."""
    spec = find_spec("ale_py")
    if spec is None or not spec.submodule_search_locations:
        raise EmulatorError("expected ale_py to be installed, it is not: pip install ale-py")
    return Path(spec.submodule_search_locations[0]) / "roms"


def _checksums() -> dict[str, str]:
    """Return the MD5 of every ROM that ale_py knows, by name."""
    known: dict[str, str] = json.loads((_own_directory() / "md5.json").read_text())
    return {file.removesuffix(".bin"): checksum for file, checksum in known.items()}


def check_size(rom: Rom) -> None:
    """Raise EmulatorError for a cartridge of an unsupported kind."""
    if len(rom.data) not in SIZES:
        raise EmulatorError(
            f"{rom.name}: expected a cartridge of 2048 or 4096 bytes, got {len(rom.data)}. "
            f"Larger ones switch banks, which the console does not emulate: --emulator ale plays it"
        )
