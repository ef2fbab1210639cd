"""A small 6507 assembler for the programs that test the console.

The opcodes stand here as the data sheets list them, not as the console's core has them. The same
table tells the CPU oracle what each of the 256 opcodes means.

Sources: MOS MCS6500 programming manual, appendix B, and "NMOS 6510 Unintended Opcodes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# mnemonic -> mode -> opcodes, the usual one first
_TABLE = """
adc imm=69 zp=65 zpx=75 abs=6D abx=7D aby=79 izx=61 izy=71
and imm=29 zp=25 zpx=35 abs=2D abx=3D aby=39 izx=21 izy=31
asl acc=0A zp=06 zpx=16 abs=0E abx=1E
bcc rel=90
bcs rel=B0
beq rel=F0
bit zp=24 abs=2C
bmi rel=30
bne rel=D0
bpl rel=10
brk imp=00
bvc rel=50
bvs rel=70
clc imp=18
cld imp=D8
cli imp=58
clv imp=B8
cmp imm=C9 zp=C5 zpx=D5 abs=CD abx=DD aby=D9 izx=C1 izy=D1
cpx imm=E0 zp=E4 abs=EC
cpy imm=C0 zp=C4 abs=CC
dec zp=C6 zpx=D6 abs=CE abx=DE
dex imp=CA
dey imp=88
eor imm=49 zp=45 zpx=55 abs=4D abx=5D aby=59 izx=41 izy=51
inc zp=E6 zpx=F6 abs=EE abx=FE
inx imp=E8
iny imp=C8
jmp abs=4C ind=6C
jsr abs=20
lda imm=A9 zp=A5 zpx=B5 abs=AD abx=BD aby=B9 izx=A1 izy=B1
ldx imm=A2 zp=A6 zpy=B6 abs=AE aby=BE
ldy imm=A0 zp=A4 zpx=B4 abs=AC abx=BC
lsr acc=4A zp=46 zpx=56 abs=4E abx=5E
nop imp=EA,1A,3A,5A,7A,DA,FA imm=80,82,89,C2,E2 zp=04,44,64 zpx=14,34,54,74,D4,F4 \
    abs=0C abx=1C,3C,5C,7C,DC,FC
ora imm=09 zp=05 zpx=15 abs=0D abx=1D aby=19 izx=01 izy=11
pha imp=48
php imp=08
pla imp=68
plp imp=28
rol acc=2A zp=26 zpx=36 abs=2E abx=3E
ror acc=6A zp=66 zpx=76 abs=6E abx=7E
rti imp=40
rts imp=60
sbc imm=E9,EB zp=E5 zpx=F5 abs=ED abx=FD aby=F9 izx=E1 izy=F1
sec imp=38
sed imp=F8
sei imp=78
sta zp=85 zpx=95 abs=8D abx=9D aby=99 izx=81 izy=91
stx zp=86 zpy=96 abs=8E
sty zp=84 zpx=94 abs=8C
tax imp=AA
tay imp=A8
tsx imp=BA
txa imp=8A
txs imp=9A
tya imp=98
alr imm=4B
anc imm=0B,2B
ane imm=8B
arr imm=6B
axs imm=CB
dcp zp=C7 zpx=D7 abs=CF abx=DF aby=DB izx=C3 izy=D3
isc zp=E7 zpx=F7 abs=EF abx=FF aby=FB izx=E3 izy=F3
jam imp=02,12,22,32,42,52,62,72,92,B2,D2,F2
las aby=BB
lax zp=A7 zpy=B7 abs=AF aby=BF izx=A3 izy=B3
lxa imm=AB
rla zp=27 zpx=37 abs=2F abx=3F aby=3B izx=23 izy=33
rra zp=67 zpx=77 abs=6F abx=7F aby=7B izx=63 izy=73
sax zp=87 zpy=97 abs=8F izx=83
sha aby=9F izy=93
shx aby=9E
shy abx=9C
slo zp=07 zpx=17 abs=0F abx=1F aby=1B izx=03 izy=13
sre zp=47 zpx=57 abs=4F abx=5F aby=5B izx=43 izy=53
tas aby=9B
"""


def _read_table() -> dict[str, dict[str, tuple[int, ...]]]:
    table = {}
    for line in _TABLE.split("\n")[1:-1]:
        name, *modes = line.split()
        table[name] = {
            mode: tuple(int(code, 16) for code in codes.split(","))
            for mode, codes in (item.split("=") for item in modes)
        }
    return table


OPCODES = _read_table()
DECODED = {
    code: (name, mode)
    for name, modes in OPCODES.items()
    for mode, codes in modes.items()
    for code in codes
}
LENGTHS = {"imp": 1, "acc": 1, "abs": 3, "abx": 3, "aby": 3, "ind": 3}  # others: 2

# The names of Steve Wright's Stella Programmer's Guide. Reads that share an address are below.
_WRITES = (
    "VSYNC VBLANK WSYNC RSYNC NUSIZ0 NUSIZ1 COLUP0 COLUP1 COLUPF COLUBK CTRLPF REFP0 REFP1 "
    "PF0 PF1 PF2 RESP0 RESP1 RESM0 RESM1 RESBL AUDC0 AUDC1 AUDF0 AUDF1 AUDV0 AUDV1 GRP0 GRP1 "
    "ENAM0 ENAM1 ENABL HMP0 HMP1 HMM0 HMM1 HMBL VDELP0 VDELP1 VDELBL RESMP0 RESMP1 HMOVE "
    "HMCLR CXCLR"
)
_READS = "CXM0P CXM1P CXP0FB CXP1FB CXM0FB CXM1FB CXBLPF CXPPMM INPT0 INPT1 INPT2 INPT3 INPT4 INPT5"
SYMBOLS = (
    {name: i for i, name in enumerate(_WRITES.split())}
    | {name: i for i, name in enumerate(_READS.split())}
    | {"SWCHA": 0x280, "SWACNT": 0x281, "SWCHB": 0x282, "SWBCNT": 0x283, "INTIM": 0x284}
    | {"INSTAT": 0x285, "TIM1T": 0x294, "TIM8T": 0x295, "TIM64T": 0x296, "T1024T": 0x297}
)

ROM_START, ROM_SIZE = 0xF000, 4096

_OPERANDS = (
    ("izx", re.compile(r"\((.+),\s*x\)$")),
    ("izy", re.compile(r"\((.+)\),\s*y$")),
    ("ind", re.compile(r"\((.+)\)$")),
    ("imm", re.compile(r"#(.+)$")),
    ("x", re.compile(r"(.+),\s*x$")),
    ("y", re.compile(r"(.+),\s*y$")),
    ("", re.compile(r"(.+)$")),
)


def assemble(source: str, reset: str = "start") -> bytes:
    """Assemble a program into a 4K cartridge.

    A line is ``label: mnemonic operand ; comment``, each part optional. ``lda.w`` forces an
    absolute address, ``asl a`` is the accumulator. Directives: ``.byte a,b``, ``.org address``,
    ``.align n`` and ``.sleep n``, that takes n cycles and may read $80. Numbers are decimal,
    ``$hex`` or ``%binary``, ``<`` and ``>`` take the low and high byte of a sum. The reset and
    BRK vectors point to ``reset``.
    """
    symbols: dict[str, int] = dict(SYMBOLS)
    for final in (False, True):
        image = _pass(source, symbols, final)
    vector = symbols[reset].to_bytes(2, "little")
    irq = symbols.get("irq", symbols[reset]).to_bytes(2, "little")
    image[0xFFC:] = vector + irq
    return bytes(image)


def _pass(source: str, symbols: dict[str, int], final: bool) -> bytearray:
    image, at = bytearray(ROM_SIZE), ROM_START
    for number, raw in enumerate(source.splitlines(), 1):
        line = raw.split(";")[0].strip()
        label = re.match(r"(\w+):\s*", line)
        if label:
            symbols[label[1]] = at
            line = line[label.end() :]
        if not line:
            continue
        try:
            code, at = _line(line, at, symbols, final)
        except (KeyError, ValueError, OverflowError) as error:
            raise ValueError(f"line {number}, {raw.strip()!r}: {error!r}") from error
        offset = at - ROM_START
        if offset + len(code) > ROM_SIZE - 4:
            raise ValueError(f"line {number}: the program is longer than 4K")
        image[offset : offset + len(code)] = code
        at += len(code)
    return image


def _line(line: str, at: int, symbols: Mapping[str, int], final: bool) -> tuple[bytes, int]:
    name, _, operand = line.partition(" ")
    operand = operand.strip()
    if name == ".org":
        return b"", value(operand, symbols)
    if name == ".align":
        return b"", at + -at % value(operand, symbols)
    if name == ".byte":
        items = operand.split(",")
        return bytes(value(i, symbols, final) & 0xFF if final else 0 for i in items), at
    if name == ".sleep":
        return sleep(value(operand, symbols)), at
    return _instruction(name, operand, at, symbols, final), at


def sleep(cycles: int) -> bytes:
    """Return code that takes the given cycles."""
    if cycles == 0:
        return b""
    if cycles == 1 or cycles < 0:
        raise ValueError(f"no code takes {cycles} cycles")
    return (b"\x04\x80" if cycles % 2 else b"") + b"\xea" * ((cycles - 3 * (cycles % 2)) // 2)


def _instruction(
    name: str, operand: str, at: int, symbols: Mapping[str, int], final: bool
) -> bytes:
    wide = name.endswith(".w")
    modes = OPCODES[name.removesuffix(".w")]
    if not operand:
        return bytes([modes["imp"][0]])
    if operand == "a" and "acc" in modes:
        return bytes([modes["acc"][0]])
    form, text = _form(operand)
    number = value(text, symbols, final)
    if "rel" in modes:
        distance = number - at - 2 if final else 0
        return bytes([modes["rel"][0]]) + distance.to_bytes(1, "little", signed=True)
    mode = _mode(form, number, modes, wide)
    length = LENGTHS.get(mode, 2) - 1
    return bytes([modes[mode][0]]) + number.to_bytes(length, "little")


def _form(operand: str) -> tuple[str, str]:
    for form, pattern in _OPERANDS:
        match = pattern.match(operand)
        if match:
            return form, match[1]
    raise ValueError(f"{operand!r} is no operand")


def _mode(form: str, number: int, modes: Mapping[str, tuple[int, ...]], wide: bool) -> str:
    if form in ("izx", "izy", "ind", "imm"):
        return form
    zero_page, absolute = f"zp{form}", f"ab{form or 's'}"
    short = number < 0x100 and not wide and zero_page in modes
    return zero_page if short else absolute


def value(text: str, symbols: Mapping[str, int], final: bool = True) -> int:
    """Return the value of a sum of numbers and names."""
    text = text.strip()
    if text[0] in "<>":
        whole = value(text[1:], symbols, final)
        return whole & 0xFF if text[0] == "<" else whole >> 8
    total = 0
    for sign, term in re.findall(r"([+-]?)\s*([$%]?\w+)", text):
        total += -_term(term, symbols, final) if sign == "-" else _term(term, symbols, final)
    return total


def _term(term: str, symbols: Mapping[str, int], final: bool) -> int:
    if term[0] == "$":
        return int(term[1:], 16)
    if term[0] == "%":
        return int(term[1:], 2)
    if term[0].isdigit():
        return int(term)
    return symbols[term] if final else symbols.get(term, ROM_START)


HEADER = """
start: sei
  cld
  ldx #0
  txa
clear: sta 0,x
  inx
  bne clear
  dex
  txs
"""
"""Clears RAM and the TIA's registers, as most cartridges do."""

SLIDE = "\n".join(["  .align 256", "slide:", *["  .byte $c9"] * 94, "  .byte $c5, $ea"])
"""Code that takes n + 1 cycles when it is entered n bytes before its end, at slide + 96."""


def frame(body: str, blank: int = 37, tail: int = 30) -> str:
    """Return a program that repeats a frame: VSYNC, blank lines, a body, blank lines.

    The body begins at cycle 0 of a line. $80 counts the frames. The body must use neither $80
    nor an unbalanced stack.
    """
    return f"""{HEADER}
frame: lda #2
  sta WSYNC
  sta VBLANK
  sta VSYNC
  sta WSYNC
  sta WSYNC
  sta WSYNC
  lda #0
  sta VSYNC
  inc $80
  ldx #{blank}
top: sta WSYNC
  dex
  bne top
  stx VBLANK
  sta WSYNC
{body}
  sta WSYNC
  lda #2
  sta VBLANK
  ldx #{tail}
bottom: sta WSYNC
  dex
  bne bottom
  jmp frame
"""
