"""Machine code as a file holds it: checked, and bound to what it was made for."""

from __future__ import annotations

import hashlib
import platform
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastpong.console.cartridge import Rom
from fastpong.console.machine import facts, rows

_MAGIC = b"fastpong code 1\n"
_COUNTS = struct.Struct("<II")


@dataclass(frozen=True)
class Image:
    """Hold machine code and the addresses at which the interpreter may enter it."""

    code: NDArray[np.uint8]
    entries: NDArray[np.uint16]

    def to_bytes(self, key: bytes) -> bytes:
        """Return a file's content. ``from_bytes`` with another key refuses it."""
        body = _COUNTS.pack(len(self.entries), len(self.code))
        body += self.entries.tobytes() + self.code.tobytes()
        return _MAGIC + hashlib.sha256(key + body).digest() + body

    @classmethod
    def from_bytes(cls, key: bytes, data: bytes) -> Image:
        """Check a file's content and return its image.

        Raises ValueError for another key's, and for damaged ones.
        """
        head = len(_MAGIC) + 32
        body = data[head:]
        expected = _MAGIC + hashlib.sha256(key + body).digest()
        if len(body) < _COUNTS.size or data[:head] != expected:
            raise ValueError("expected the translation of this cartridge, got other bytes")
        count, size = _COUNTS.unpack_from(body)
        entries = np.frombuffer(body, np.uint16, count, _COUNTS.size)
        return cls(np.frombuffer(body, np.uint8, size, _COUNTS.size + 2 * count), entries)


def image_key(rom: Rom) -> bytes:
    """Return a digest of all that machine code depends on.

    The cartridge, the kind of CPU, the console's structs and this package's source. The code is for
    every CPU of a kind, so that machines can share a directory.
    """
    digest = hashlib.sha256(repr((platform.machine(), rom.data, facts(), rows())).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.digest()
