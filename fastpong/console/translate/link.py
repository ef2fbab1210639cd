"""Turn an object file into bytes that run wherever they are copied."""

from __future__ import annotations

import struct
from typing import NamedTuple

PC32 = {2, 4}
"""R_X86_64_PC32 and PLT32: distances, which stay the same wherever the whole is put."""
_ALLOCATED, _RELA, _NOBITS = 2, 4, 8


class Section(NamedTuple):
    """A header of ELF's section table."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int


def link(elf: bytes) -> bytes:
    """Return code and constants of an ELF object, the function first, with nothing left to set.

    Raises ValueError for an object that refers to anything outside of itself.
    """
    sections = _sections(elf)
    places: dict[int, int] = {}
    image = bytearray()
    for number, section in enumerate(sections):
        if section.flags & _ALLOCATED and section.size and section.type != _NOBITS:
            image += bytes(-len(image) % max(section.align, 1))
            places[number] = len(image)
            image += elf[section.offset : section.offset + section.size]
    for section in sections:
        if section.type == _RELA and section.info in places:
            _relocate(elf, image, section, sections, places)
    return bytes(image)


def _sections(elf: bytes) -> list[Section]:
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"object: expected a 64-bit little-endian ELF file, got {elf[:6]!r}")
    (start,) = struct.unpack_from("<Q", elf, 40)
    size, count = struct.unpack_from("<HH", elf, 58)
    return [
        Section(*struct.unpack_from("<IIQQQQIIQQ", elf, start + size * i)) for i in range(count)
    ]


def _relocate(
    elf: bytes,
    image: bytearray,
    relocations: Section,
    sections: list[Section],
    places: dict[int, int],
) -> None:
    symbols = sections[relocations.link]
    for at in range(relocations.offset, relocations.offset + relocations.size, 24):
        offset, info, addend = struct.unpack_from("<QQq", elf, at)
        symbol = symbols.offset + 24 * (info >> 32)
        (section,) = struct.unpack_from("<H", elf, symbol + 6)
        (value,) = struct.unpack_from("<Q", elf, symbol + 8)
        if info & 0xFFFFFFFF not in PC32 or section not in places:
            raise ValueError(
                f"object: expected distances within it, got relocation {info & 0xFFFFFFFF} "
                f"to section {section}"
            )
        here = places[relocations.info] + offset
        struct.pack_into("<i", image, here, places[section] + value + addend - here)
