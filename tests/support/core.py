"""The console's C functions, called with structs of our own.

What is tested is the compiled extension: its functions are found by their names, and the fields of
its structs by ``machine.facts``.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from fastpong.console import machine

ROM_SIZE = 4096
SIZE = 1 << 20
"""Bytes that hold any of the structs."""

FACTS = machine.facts()
REGISTERS = ("a", "x", "y", "sp", "n", "z", "c", "v", "d", "i")


class Board(ctypes.Structure):
    """The core's Board, without a screen."""

    _fields_ = (
        ("program", ctypes.c_void_p),
        ("screen", ctypes.c_void_p),
        ("first_line", ctypes.c_int32),
        ("rows", ctypes.c_int32),
    )


@dataclass
class Registers:
    """What a CPU holds, with P as PHP pushes it."""

    a: int
    x: int
    y: int
    sp: int
    p: int
    pc: int


class Core:
    """A cartridge in a console, one instruction at a time."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(machine.__file__)
        self._program = ctypes.create_string_buffer(SIZE)
        self._console = ctypes.create_string_buffer(SIZE)
        self._board = Board(ctypes.addressof(self._program), None, 34, 210)

        self._library.program_init(self._program, bytes(ROM_SIZE), ROM_SIZE)
        self._library.console_init(self._console, self._program)

    def insert(self, rom: bytes) -> None:
        """Change the cartridge. It is not decoded, which ``step`` does not need."""
        at = FACTS["program.rom"]
        self._program[at : at + ROM_SIZE] = rom

    def step(self) -> int:
        """Run an instruction and return its cycles."""
        self._put("cpu.cycle", 0, 4)
        self._library.cpu_step(self._console, ctypes.byref(self._board))
        return self._get("cpu.cycle", 4)

    @property
    def ram(self) -> bytes:
        at = FACTS["console.ram"]
        return self._console[at : at + 128]

    @ram.setter
    def ram(self, data: bytes) -> None:
        at = FACTS["console.ram"]
        self._console[at : at + 128] = data

    @property
    def registers(self) -> Registers:
        n, z, c, v, d, i = (self._get(f"cpu.{name}") for name in "nzcvdi")
        p = (n & 0x80) | v << 6 | 0x30 | d << 3 | i << 2 | (not z) << 1 | c
        a, x, y, sp = (self._get(f"cpu.{name}") for name in ("a", "x", "y", "sp"))
        return Registers(a, x, y, sp, p, self._get("cpu.pc", 2))

    @registers.setter
    def registers(self, to: Registers) -> None:
        flags = {"n": to.p, "z": not to.p & 2, "c": to.p & 1}
        flags |= {"v": to.p >> 6 & 1, "d": to.p >> 3 & 1, "i": to.p >> 2 & 1}
        values = {"a": to.a, "x": to.x, "y": to.y, "sp": to.sp, **flags}
        for name, value in values.items():
            self._put(f"cpu.{name}", int(value), 1)
        self._put("cpu.pc", to.pc, 2)

    def _get(self, name: str, size: int = 1) -> int:
        at = FACTS[f"console.{name}"]
        return int.from_bytes(self._console[at : at + size], "little")

    def _put(self, name: str, value: int, size: int) -> None:
        at = FACTS[f"console.{name}"]
        self._console[at : at + size] = value.to_bytes(size, "little")
