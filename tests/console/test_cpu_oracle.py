"""The CPU oracle against ale-py, opcode by opcode."""

from __future__ import annotations

import numpy as np
import pytest
from assembler import assemble, frame
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


@pytest.mark.parametrize("code", [0x69, 0x6B, 0xE9])
def test_arithmetic_with_many_operands(code):
    check((code, regs) for regs in registers(code, 200))


def test_unstable_opcodes():
    # TAS and LAS set SP, so it must stay in RAM.
    high = [(a | 0x90, x | 0x90, y, p, m | 0x90) for a, x, y, p, m in registers(7, 6)]
    check((code, regs) for code in opcodes(unstable=True) for regs in high)


CONTROL_FLOW = """
  lda #255
  sta TIM1T
  {code}
  lda INTIM
  sta {at}
  ldx #$ff
  txs
"""
SNIPPETS = (
    *(
        f"lda #{p}\n pha\n plp\n {branch} t{branch}{p}\n inx\n t{branch}{p}: cld"
        for branch in ("bcc", "bcs", "beq", "bne", "bmi", "bpl", "bvc", "bvs")
        for p in (0x30, 0xF3)
    ),
    "jsr sub",
    "jsr sub\n jsr sub",
    "jmp j1\n nop\n j1: nop",
    "lda #<j2\n sta $f6\n lda #>j2\n sta $f7\n jmp ($f6)\n nop\n j2: nop",
    "brk\n nop",
    "lda #>j4\n pha\n lda #<j4\n pha\n php\n rti\n nop\n j4: nop",
    "ldx #$f5\n txs\n pla\n php\n plp\n tsx",
)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_jumps_take_their_cycles(snippet):
    code = CONTROL_FLOW.format(code=snippet, at=RESULTS)
    body = f"{code}\n stx {RESULTS + 1}\n jmp done\nsub: rts\nirq: rti\ndone: nop"
    rom = assemble(frame(body, blank=3, tail=3))
    expected = results(run(rom, [0]).ram[-1])
    np.testing.assert_array_equal(results(Machine(rom).run(2)), expected)
