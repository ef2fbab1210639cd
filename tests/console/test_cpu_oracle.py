"""The CPU oracle against ale-py, opcode by opcode."""

from __future__ import annotations

import numpy as np
import pytest
from black_box import run
from cpu_cases import CASES, RESULTS, opcodes, programs, registers
from cpu_oracle import Cpu6507


class Machine:
    """RAM, a timer and a cartridge. The TIA is not there: its registers swallow and return 0."""

    def __init__(self, rom: bytes) -> None:
        self.rom, self.ram, self.written = rom, bytearray(128), 0
        self.cpu = Cpu6507(read=self.read, write=self.write)

    def read(self, address: int) -> int:
        if address & 0x1000:
            return self.rom[address & 0xFFF]
        if address & 0x280 == 0x280:
            return 255 - (self.cpu.cycles - self.written) & 0xFF
        return self.ram[address & 127] if address & 128 else 0

    def write(self, address: int, value: int) -> None:
        if address & 0x1280 == 0x280:
            self.written = self.cpu.cycles
        elif address & 0x1080 == 0x80:
            self.ram[address & 127] = value

    def run(self, frames: int) -> bytes:
        for _ in range(100_000):
            self.cpu.step()
            if self.ram[0] == frames + 1:
                return bytes(self.ram)
        raise AssertionError(f"expected {frames} frames, got {self.ram[0]}")


def results(ram: bytes | np.ndarray) -> np.ndarray:
    first = RESULTS - 0x80
    return np.frombuffer(bytes(ram), np.uint8)[first : first + 6 * CASES].reshape(CASES, 6)


def check(cases) -> None:
    cases = list(cases)
    for k, rom in enumerate(programs(cases)):
        expected = results(run(rom, [0]).ram[-1])
        got = results(Machine(rom).run(2))
        for n in np.flatnonzero((expected != got).any(axis=1)):
            code, regs = cases[k * CASES + n]
            raise AssertionError(
                f"opcode {code:02X}, A X Y P M {[f'{r:02X}' for r in regs]}: expected "
                f"{expected[n].tobytes().hex(' ')} (ale-py), got {got[n].tobytes().hex(' ')}"
            )


@pytest.mark.parametrize("high", range(16))
def test_every_opcode(high):
    codes = [code for code in opcodes() if code >> 4 == high]
    check((code, regs) for code in codes for regs in registers(code, 5))
