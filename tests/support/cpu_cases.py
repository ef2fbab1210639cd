"""Programs that run every opcode over several operands, for ale-py and for a CPU of our own.

A case stores A, X, Y, P, the operand's byte in memory and the instruction's cycles into RAM.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from assembler import DECODED, assemble, frame

CONTROL = {"bcc", "bcs", "beq", "bmi", "bne", "bpl", "bvc", "bvs", "brk", "jmp", "jsr", "rts"}
CONTROL |= {"rti", "jam", "pha", "php", "pla", "plp", "txs"}
UNSTABLE = {"ane", "lxa", "las", "sha", "shx", "shy", "tas"}

OPERAND = 0xF0
POINTER = 0xF2
RESULTS = 0x82
CASES = 17
"""Cases of one program: as many as RAM has room for, six bytes each."""

Registers = tuple[int, int, int, int, int]
"""A, X, Y, P and the operand's byte."""


def opcodes(unstable: bool = False) -> list[int]:
    """Return the opcodes that a case can run, without jumps and stack operations."""
    return [
        code
        for code, (name, _) in sorted(DECODED.items())
        if name not in CONTROL and (name in UNSTABLE) == unstable
    ]


def case(code: int, registers: Registers, number: int) -> str:
    """Return the code that runs one opcode and stores what it did."""
    a, x, y, p, m = registers
    at = RESULTS + 6 * number
    _, mode = DECODED[code]
    return f"""
  lda #{m}
  sta {OPERAND}
  {_set_pointer(mode, x, y)}
  lda #{p | 0x30}
  pha
  lda #255
  sta TIM1T
  ldx #{x}
  ldy #{y}
  lda #{a}
  plp
  .byte {_bytes(code, mode, x, y, m)}
  php
  cld
  sta {at}
  stx {at + 1}
  sty {at + 2}
  lda INTIM
  sta {at + 5}
  pla
  sta {at + 3}
  lda {OPERAND}
  sta {at + 4}
  ldx #$ff
  txs
"""


def _set_pointer(mode: str, x: int, y: int) -> str:
    if mode not in ("izx", "izy"):
        return ""
    base = OPERAND if mode == "izx" else _base(y)
    return f"lda #{base & 255}\n sta {POINTER}\n lda #{base >> 8}\n sta {POINTER + 1}"


def _base(index: int) -> int:
    """Return the address that the index completes to the operand, by its mirror if too large."""
    return OPERAND - index if index <= OPERAND else 0x100 + OPERAND - index


def _bytes(code: int, mode: str, x: int, y: int, m: int) -> str:
    if mode in ("imp", "acc"):
        return f"{code}"
    if mode == "imm":
        return f"{code}, {m}"
    if mode in ("abs", "abx", "aby"):
        base = _base({"abs": 0, "abx": x, "aby": y}[mode])
        return f"{code}, {base & 255}, {base >> 8}"
    at = {"izx": POINTER - x, "izy": POINTER, "zpx": OPERAND - x, "zpy": OPERAND - y}
    return f"{code}, {at.get(mode, OPERAND) & 255}"


def registers(seed: int, count: int) -> list[Registers]:
    """Draw register contents, half of them with decimal mode on."""
    draw = random.Random(seed)
    index = (0, 1, 0x10, 0x7F, 0xF2, 0xFF)
    return [
        (
            draw.randrange(256),
            draw.choice(index),
            draw.choice(index),
            draw.choice((0, 1, 8, 9, 0xC2, 0xCB)),
            draw.randrange(256),
        )
        for _ in range(count)
    ]


def programs(cases: Iterable[tuple[int, Registers]]) -> Iterator[bytes]:
    """Pack cases into programs."""
    remaining = list(cases)
    while remaining:
        part, remaining = remaining[:CASES], remaining[CASES:]
        code = "".join(case(op, regs, k) for k, (op, regs) in enumerate(part))
        yield assemble(frame(f"{code}\ndone: nop", blank=3, tail=3))
