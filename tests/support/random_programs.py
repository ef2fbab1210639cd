"""Cartridges of random instructions that end their frames as games do."""

from __future__ import annotations

import hashlib
import random

from fastpong.console.cartridge import Rom
from fastpong.console.translate.reach import Row, opcodes

ORIGIN = 0xF000
SUBROUTINES = 6
VSYNC, WSYNC = 0x00, 0x02
LEFT_OUT = {"jam", "jmp", "jmi", "jsr", "rts", "brk", "rti", "pla", "plp"}
"""Not drawn: those that go anywhere. The programs have them where they do no harm."""


class Program:
    """Assemble random instructions.

    Frames are short: one that lasts too long is run again by cpu_step, which would hide what
    went wrong in it.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rows = [row for row in opcodes().values() if row.name not in LEFT_OUT]
        self.code = bytearray()

    def put(self, *values: int) -> None:
        self.code += bytes(value & 0xFF for value in values)

    def absolute(self) -> int:
        draw = self.random
        return draw.choice(
            [
                draw.randrange(0x80, 0x100),
                draw.randrange(0x80, 0x100) | 0x400,
                draw.randrange(0x40),
                draw.choice([0x280, 0x281, 0x282, 0x284, 0x285, 0x294, 0x296, 0x297]),
                draw.randrange(0xF000, 0xFF00),
                draw.randrange(0x10000),
            ]
        )

    def instruction(self, row: Row) -> None:
        """Put an instruction. Branches skip up to three others."""
        draw = self.random
        if row.kind == "b":
            at = len(self.code)
            self.put(row.opcode, 0)
            for _ in range(draw.randrange(4)):
                self.instruction(draw.choice([r for r in self.rows if r.kind != "b"]))
            self.code[at + 1] = len(self.code) - at - 2
        elif row.length == 1:
            self.put(row.opcode)
        elif row.length == 2:
            low = draw.choice([draw.randrange(0x80, 0x100), draw.randrange(3, 0x40)])
            self.put(row.opcode, low if draw.randrange(4) else draw.randrange(256))
        else:
            address = self.absolute()
            self.put(row.opcode, address, address >> 8)

    def some(self, count: int, subroutines: list[int]) -> None:
        draw = self.random
        for _ in range(count):
            kind = draw.randrange(40)
            if kind == 0 and subroutines:
                address = draw.choice(subroutines)
                self.put(0x20, address, address >> 8)
            elif kind == 1:
                self.put(0x00, 0)  # BRK
            elif kind == 2:
                self.put(0xD8)
            elif kind == 3:
                self.put(0x48 if draw.randrange(2) else 0x08)  # PHA, PHP
                self.some(draw.randrange(3), [])
                self.put(0x68 if draw.randrange(2) else 0x28)  # PLA, PLP
            elif kind == 4:
                self.put(0x85, WSYNC)
            else:
                self.instruction(draw.choice(self.rows))

    def loop(self) -> None:
        """Put a loop of a few rounds."""
        self.put(0xA0, self.random.randrange(1, 6), 0x84, 0xF8)  # LDY #n, STY counter
        start = len(self.code)
        self.some(self.random.randrange(1, 8), [])
        self.put(0xC6, 0xF8)  # DEC counter, which what is in the loop may change
        if start - len(self.code) - 2 >= -128:
            self.put(0xD0, start - len(self.code) - 2)

    def idle(self) -> None:
        """Put a wait for the timer."""
        self.put(0xA9, self.random.randrange(2, 40), 0x8D, 0x95, 0x02)  # TIM8T
        self.put(0xAD, 0x84, 0x02, 0xD0, 0xFB)


def random_rom(seed: int) -> Rom:
    """Return a cartridge. Its frames are those of a game: VSYNC, lines, timers, subroutines."""
    program = Program(seed)
    subroutines = []
    for end in [0x60] * SUBROUTINES + [0x40]:  # RTS, RTI
        subroutines.append(ORIGIN + len(program.code))
        program.some(program.random.randrange(1, 12), [])
        program.put(end)
    handler, start = subroutines.pop(), ORIGIN + len(program.code)
    program.put(0xA2, 0xFF, 0x9A, 0xD8)  # LDX #$FF, TXS, CLD
    program.put(0xA9, 2, 0x85, VSYNC, 0x85, WSYNC, 0x85, WSYNC, 0xA9, 0, 0x85, VSYNC)
    while len(program.code) < 1900:
        program.some(10, subroutines)
        if program.random.randrange(6) == 0:
            program.loop()
        if program.random.randrange(20) == 0:
            program.idle()
    program.put(0x4C, start, start >> 8)
    data = bytes(program.code[:4090]).ljust(4090, b"\xea")
    vectors = [handler, start, handler]
    data += b"".join(vector.to_bytes(2, "little") for vector in vectors)
    return Rom(f"random {seed}", data, hashlib.sha256(data).hexdigest())
