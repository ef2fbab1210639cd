"""Find the instructions of a cartridge that can be reached without running it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fastpong.console.machine import facts, rows

Profile = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.bool_]]
ROM_SIZE = 4096


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split(" "))


PLAIN = _names("lda ldx ldy and ora eor cmp cpx cpy bit adc sbc nop lax anc alr axs")
STORES = _names("sta stx sty sax")
CHANGES = _names("asl lsr rol ror inc dec slo rla sre rra dcp isc")
CONTROLS = _names("pha pla php plp jmp jmi jsr rts brk rti")


@dataclass(frozen=True)
class Row:
    """Describe an opcode: kind is r, w, m, u, i, b or c, as in translation.h."""

    opcode: int
    length: int
    cycles: int
    kind: str
    name: str
    mode: str


def opcodes() -> dict[int, Row]:
    """Return the interpreter's own table of opcodes."""
    return {
        opcode: Row(opcode, length, cycles, kind, name, variant.removesuffix("_crossing"))
        for opcode, length, cycles, kind, name, where, variant in rows()
        if where == "any"
    }


@dataclass(frozen=True)
class Instruction:
    """An instruction at an address within the cartridge."""

    at: int
    row: Row
    low: int
    high: int

    @property
    def next(self) -> int:
        """Return the following address within the cartridge."""
        return self.at + self.row.length

    @property
    def word(self) -> int:
        """Return the operand of two bytes."""
        return self.low | self.high << 8

    @property
    def address(self) -> int:
        """Return the address of an operand without index."""
        return self.low if self.row.mode == "zp" else self.word

    @property
    def target(self) -> int:
        """Return where a branch goes."""
        return self.next + (self.low ^ 0x80) - 0x80

    @property
    def taken_cycles(self) -> int:
        """Return the cycles that a taken branch costs more than one not taken."""
        return 1 + ((self.next ^ self.target) >> 8 & 1)


def place(address: int) -> str:
    """Return what is at a constant address: rom, tia, ram or riot."""
    if address & 0x1000:
        return "rom"
    if not address & 0x80:
        return "tia"
    return "riot" if address & 0x200 else "ram"


def is_translatable(it: Instruction) -> bool:
    """Say whether machine code can run an instruction. The interpreter runs the others."""
    row = it.row
    pointer = row.mode == "izy" and 0x80 <= it.low < 0xFF
    direct = row.mode in ("imm", "zp", "zpx", "zpy", "abs", "abx", "aby")
    if row.kind == "r":
        return row.name in PLAIN and (direct or pointer)
    if row.kind == "w":
        return row.name in STORES and (direct or pointer)
    if row.kind == "m":
        fixed = row.mode in ("zp", "abs") and place(it.address) == "ram"
        return row.name in CHANGES and (fixed or row.mode in ("zpx", "abx"))
    if row.kind == "i":
        return row.name != "sed"
    if row.kind == "b":
        return 0 <= it.target < ROM_SIZE
    return row.name in CONTROLS


@dataclass
class Code:
    """The translatable instructions of a cartridge.

    page    : the upper four bits of every address
    entries : addresses at which the interpreter hands over
    joins   : addresses that more than one instruction leads to
    """

    rom: bytes
    page: int
    instructions: dict[int, Instruction] = field(default_factory=dict)
    entries: set[int] = field(default_factory=set)
    joins: set[int] = field(default_factory=set)
    run: list[int] = field(default_factory=lambda: [0] * ROM_SIZE)
    taken: list[int] = field(default_factory=lambda: [0] * ROM_SIZE)

    @property
    def vector(self) -> int:
        """Return where BRK goes."""
        return self.rom[0xFFE] | self.rom[0xFFF] << 8

    def address(self, at: int) -> int:
        """Return the CPU's address of a place in the cartridge."""
        return (self.page + at) & 0xFFFF

    def is_far(self, address: int) -> bool:
        """Say whether an address has other upper bits than the translated code."""
        return address & 0xF000 != self.page

    def odds(self, at: int) -> tuple[int, int]:
        """Return how often a branch was taken and how often not."""
        return self.taken[at] + 1, self.run[at] - self.taken[at] + 1


def explore(rom: bytes, profile: Profile | None = None) -> Code:
    """Follow a cartridge of 2048 or 4096 bytes from its reset vector.

    profile : of Cartridge.profile. Says where pointers lead and which branches are taken
    """
    rom = rom * (ROM_SIZE // len(rom))
    table = opcodes()
    reset = rom[0xFFC] | rom[0xFFD] << 8
    code = Code(rom, reset & 0xF000)
    if not reset & 0x1000:
        return code
    code.entries = {reset & 0xFFF}
    if profile:
        run, taken, jumped = profile
        code.run, code.taken = run.tolist(), taken.tolist()
        code.entries |= set(np.flatnonzero(jumped).tolist())
    todo = sorted(code.entries)
    seen = set(todo)
    while todo:
        at = todo.pop()
        row = table.get(rom[at])
        if row is None or at + row.length > ROM_SIZE:
            continue
        it = Instruction(at, row, rom[(at + 1) % ROM_SIZE], rom[(at + 2) % ROM_SIZE])
        follow, entries = _follow(code, it)
        if is_translatable(it):
            code.instructions[at] = it
        code.entries |= entries
        for target in follow | entries:
            if target < ROM_SIZE and target not in seen:
                seen.add(target)
                todo.append(target)
    code.entries &= code.instructions.keys()
    _find_joins(code)
    return code


def successors(code: Code, it: Instruction) -> set[int]:
    """Return the constant addresses that translated code goes to after an instruction."""
    if it.row.kind == "b":
        return {it.next, it.target}
    if it.row.name in ("jmp", "jsr", "brk"):
        target = code.vector if it.row.name == "brk" else it.word
        return set() if code.is_far(target) else {target & 0xFFF}
    return set() if it.row.name in ("jmi", "rts", "rti") else {it.next}


def _follow(code: Code, it: Instruction) -> tuple[set[int], set[int]]:
    """Return what an instruction leads to, and those of it that are entries."""
    row = it.row
    if not is_translatable(it):
        return set(), set() if row.name == "jam" else {it.next}
    entries = set()
    if row.name == "jsr":
        entries = {it.next} | successors(code, it)
    elif row.name == "brk":
        entries = {it.at + 2} | successors(code, it)
    elif row.name == "jmi" and it.word & 0x1000 and it.low != 0xFF:
        at = it.word & 0xFFF
        entries = {(code.rom[at] | code.rom[at + 1] << 8) & 0xFFF}
    elif row.name == "cld":
        entries = {it.next}
    elif row.kind == "w" and row.mode in ("zp", "abs") and place(it.address) == "tia":
        entries = {it.next} if it.low & 63 == facts()["VSYNC"] else set()
    return successors(code, it), entries


def _find_joins(code: Code) -> None:
    before: dict[int, int] = {}
    for it in code.instructions.values():
        for target in successors(code, it):
            before[target] = before.get(target, 0) + 1
    code.joins = {at for at, count in before.items() if count > 1} | code.entries
