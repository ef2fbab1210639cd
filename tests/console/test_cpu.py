"""Every instruction of the console's CPU: its effect and its cycles, by the oracle."""

from __future__ import annotations

import random
import sys

import pytest
from assembler import DECODED
from core import ROM_SIZE, Core, Registers
from cpu_oracle import Cpu6507

CASES = 150
"""Random registers and operands for each opcode, about half of them in decimal mode."""

JAMS = {code for code, (name, _) in DECODED.items() if name == "jam"}
NOISE = random.Random(0).randbytes(ROM_SIZE)
"""What a cartridge holds beside the instruction."""

EDGES = (0, 1, 0x7F, 0x80, 0x99, 0xF0, 0xFF)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="extensions export no functions")


class Unclear(Exception):
    """Raised by the oracle for an access to the TIA or the RIOT, which is tested elsewhere."""


class Oracle:
    """The oracle's CPU with RAM and a cartridge."""

    def __init__(self, rom: bytes, ram: bytes) -> None:
        self.rom, self.ram = rom, bytearray(ram)
        self.cpu = Cpu6507(read=self.read, write=self.write)

    def read(self, address: int) -> int:
        if address & 0x1000:
            return self.rom[address & 0xFFF]
        return self.ram[self._place(address)]

    def write(self, address: int, value: int) -> None:
        if not address & 0x1000:
            self.ram[self._place(address)] = value

    def _place(self, address: int) -> int:
        if address & 0x280 != 0x80:
            raise Unclear
        return address & 0x7F


def byte(rng: random.Random) -> int:
    return rng.choice(EDGES) if rng.random() < 0.3 else rng.randrange(256)


def high_byte(rng: random.Random) -> int:
    """Return the upper half of an address: more often of RAM or the cartridge than not."""
    return rng.choice((0x00, 0x01, 0x10, 0xF0, 0xFF, rng.randrange(256)))


def case(rng: random.Random, opcode: int) -> tuple[bytes, bytes, Registers]:
    """Return a cartridge with the instruction, RAM and registers."""
    rom, ram = bytearray(NOISE), bytearray(rng.randbytes(128))
    at = rng.choice((0xF000, 0x1100, 0xD8FC, 0xF000 + rng.randrange(ROM_SIZE - 4)))
    low = rng.randrange(0x80, 0x100) if rng.random() < 0.8 else byte(rng)
    place = at & 0xFFF
    rom[place : place + 3] = bytes([opcode, low, high_byte(rng)])
    for k in range(0, 128, 2):  # pointers of RAM
        if rng.random() < 0.5:
            ram[k + 1] = high_byte(rng)
    sp = rng.randrange(0x83, 0xFD) if rng.random() < 0.9 else 0xFF
    registers = Registers(byte(rng), byte(rng), byte(rng), sp, byte(rng) | 0x30, at)
    return bytes(rom), bytes(ram), registers


def by_oracle(rom: bytes, ram: bytes, begin: Registers) -> tuple[Registers, bytes, int]:
    oracle = Oracle(rom, ram)
    cpu = oracle.cpu
    cpu.a, cpu.x, cpu.y, cpu.sp, cpu.p, cpu.pc = (
        begin.a, begin.x, begin.y, begin.sp, begin.p, begin.pc
    )  # fmt: skip
    cycles = cpu.step()
    return Registers(cpu.a, cpu.x, cpu.y, cpu.sp, cpu.p, cpu.pc), bytes(oracle.ram), cycles


@pytest.mark.parametrize("high", range(16))
def test_every_opcode(high: int) -> None:
    core = Core()
    for opcode in range(high << 4, (high + 1) << 4):
        if opcode in JAMS:
            continue
        rng, compared = random.Random(opcode), 0
        for _ in range(10 * CASES):
            rom, ram, begin = case(rng, opcode)
            try:
                expected = by_oracle(rom, ram, begin)
            except Unclear:
                continue
            core.insert(rom)
            core.ram, core.registers = ram, begin
            cycles = core.step()
            name = f"{opcode:02X} {DECODED[opcode]} from {begin}"
            assert (core.registers, core.ram, cycles) == expected, name
            compared += 1
            if compared == CASES:
                break
        assert compared == CASES, f"{opcode:02X}: {compared} cases reached neither TIA nor RIOT"


@pytest.mark.parametrize("opcode", [0x69, 0xE9, 0x6B])
@pytest.mark.parametrize("carry", [0, 1])
def test_decimal_mode_for_all_operands(opcode: int, carry: int) -> None:
    """ADC, SBC and ARR, all 65,536 pairs, those without decimal digits too."""
    core = Core()
    rom = bytes([operand for m in range(256) for operand in (opcode, m)])
    rom = rom.ljust(ROM_SIZE, b"\0")
    core.insert(rom)
    oracle = Oracle(rom, bytes(128))
    for m in range(256):
        for a in range(256):
            begin = Registers(a, 0, 0, 0xFF, 0x38 | carry, 0xF000 + 2 * m)
            core.registers = begin
            core.step()
            cpu = oracle.cpu
            cpu.a, cpu.p, cpu.pc = a, begin.p, begin.pc
            cpu.step()
            got = core.registers
            assert (got.a, got.p) == (cpu.a, cpu.p), f"A {a:02X}, operand {m:02X}, carry {carry}"


@pytest.mark.parametrize("opcode", sorted(JAMS))
def test_an_opcode_that_stops_the_cpu(opcode: int) -> None:
    core = Core()
    core.insert(bytes([opcode]) * ROM_SIZE)
    begin = Registers(1, 2, 3, 0xFF, 0x30, 0xF000)
    core.registers = begin
    core.step()
    assert core.registers == begin
