"""The file of a replay buffer: an .npz of plain arrays, written and read piece by piece.

The settings are JSON, in an array of bytes. No pickle is written or read. The CRC of every array is
verified. A buffer may be larger than the memory that is left: nothing is held twice.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from fastpong.arrays import Array
from fastpong.storage.files import replacing
from fastpong.storage.opening import open_regular

FORMAT, VERSION = "fastpong replay buffer", 1
SETTINGS = "settings"
MAX_SETTINGS_BYTES = 1 << 20
GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def write(path: Path, settings: Mapping[str, object], arrays: Mapping[str, Array]) -> None:
    """Write a file whole or not at all."""
    text = json.dumps({"format": FORMAT, "version": VERSION} | dict(settings))
    members = {SETTINGS: np.frombuffer(text.encode("ascii"), np.uint8)} | dict(arrays)
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


class Reader:
    """Reads arrays of an open file."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.settings: dict[str, Any] = self._read_settings()

    def _read_settings(self) -> dict[str, Any]:
        info = self._archive.getinfo(f"{SETTINGS}.npy")
        if info.file_size > MAX_SETTINGS_BYTES:
            raise ValueError(f"settings of {info.file_size} bytes")
        with self._archive.open(info) as member:
            text = np.lib.format.read_array(member, allow_pickle=False).tobytes()
            _end(member)
        found = json.loads(text)
        if found["format"] != FORMAT or found["version"] != VERSION:
            raise ValueError(f"format {found['format']!r}, version {found['version']!r}")
        return dict(found)

    def read(self, name: str, array: Array) -> None:
        """Read an array of known shape and dtype into memory."""
        with self._archive.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            if version != (1, 0):
                raise ValueError(f"{name} in version {version} of .npy")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
            if (shape, fortran, dtype) != (array.shape, False, array.dtype):
                raise ValueError(
                    f"{name} of shape {shape}, {dtype}, not {array.shape}, {array.dtype}"
                )
            for row in array if array.ndim > 1 else [array]:
                _fill(cast(BufferedIOBase, member), row)
            _end(member)


def _fill(member: BufferedIOBase, array: Array) -> None:
    room = array.reshape(-1).view(np.uint8).data
    while len(room):
        size = member.readinto(room)
        if not size:
            raise ValueError("an array that ends early")
        room = room[size:]


def _end(member: IO[bytes]) -> None:
    """Reach the end, where the CRC is verified."""
    if member.read(1):
        raise ValueError("bytes after an array")


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open a file to read.

    Raises OSError where there is none, and ValueError, from any other error, for a damaged or
    foreign one.
    """
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield Reader(archive)
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(
                f"{path}: expected a file of ReplayBuffer.save, got a damaged or foreign one "
                f"({error}); use an older copy"
            ) from error


def state_of(rng: np.random.Generator) -> dict[str, Any]:
    """Return a generator's state as JSON."""
    state = rng.bit_generator.state
    if state["bit_generator"] not in GENERATORS:
        raise ValueError(
            f"seed: expected a generator on one of {', '.join(GENERATORS)} to save, got "
            f"{state['bit_generator']}"
        )
    return dict(json.loads(json.dumps(state, default=lambda value: value.tolist())))


def generator_from(state: Mapping[str, Any]) -> np.random.Generator:
    """Return a generator of a saved state."""
    name = state["bit_generator"]
    if name not in GENERATORS:
        raise ValueError(f"a generator on {name!r}")
    bits = getattr(np.random, name)()
    bits.state = {
        key: {k: np.asarray(v, np.uint64) if isinstance(v, list) else v for k, v in value.items()}
        if isinstance(value, dict)
        else np.asarray(value, np.uint64)
        if isinstance(value, list)
        else value
        for key, value in state.items()
    }
    return np.random.Generator(bits)
