"""Programs that show one rule of the TIA, the RIOT or the frame each, for ale-py and our console.

A probe's screens and RAM after every frame must be equal in both.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from assembler import HEADER, SLIDE, assemble, frame

NOOP, FIRE, UP = 0, 1, 2
RESULTS = 0x90
"""Where ``measurements`` stores its bytes."""


@dataclass(frozen=True)
class Probe:
    """A cartridge and the actions to run it with."""

    rom: bytes
    actions: tuple[int, ...] = (NOOP,) * 4


@cache
def probes() -> dict[str, Probe]:
    """Return all probes by name."""
    return dict(
        (
            *_register_sweeps(),
            *_position_sweeps(),
            *_timer(),
            *_bus(),
            *_frames(),
            *_first_row(),
            *_scenes(),
        )
    )


# --- a write at every cycle of a line ------------------------------------------------------------

SCENE = """
  lda #$0e
  sta COLUP0
  lda #$3e
  sta COLUP1
  lda #$5e
  sta COLUPF
  lda #$82
  sta COLUBK
  lda #$e1
  sta GRP0
  lda #$b7
  sta GRP1
  lda #2
  sta ENAM0
  sta ENAM1
  sta ENABL
  lda #$33
  sta NUSIZ0
  lda #$21
  sta NUSIZ1
  lda #$a5
  sta PF0
  sta PF1
  lda #$3c
  sta PF2
  sta WSYNC
  .sleep 35
  sta RESP0
  .sleep 3
  sta RESM0
  .sleep 4
  sta RESP1
  sta RESM1
  sta RESBL
"""
"""Every object on, in a few places."""


def sweep(effect: str, setup: str, before: str = "  sta WSYNC", groups: int = 40) -> bytes:
    """Return a program that runs code at every cycle from 7 + m on, m of 1 to 2 * groups.

    The first write of ``effect`` (a 3-cycle store) is at cycle 9 + m. Even frames take m up to
    ``groups``, odd ones the rest. ``setup`` runs once a frame, ``before`` once a group, with the
    frame's number / 2 at $86.
    """
    return assemble(
        frame(
            f"""
  lda #>slide
  sta $85
  lda $80
  lsr a
  sta $86
  lda #0
  bcc even
  lda #{groups}
even: sta $87
{setup}
  ldx #{groups}
group: txa
  clc
  adc $87
  eor #$ff
  adc #97
  sta $84
{before}
  lda #2
  sta WSYNC
  jmp ($84)
{SLIDE}
{effect}
  sta WSYNC
  sta WSYNC
  dex
  beq done
  jmp group
done: nop
""",
            blank=36,
            tail=25,
        )
    )


_SHIFT = "asl a\n asl a\n asl a\n asl a"
_SWEPT = {
    # register: the value before, and how the value written follows from the frame's number / 2
    "PF0": ("$00", "eor #$ff"),
    "PF1": ("$00", "eor #$ff"),
    "PF2": ("$00", "eor #$ff"),
    "COLUP0": ("$0e", _SHIFT),
    "COLUP1": ("$0e", _SHIFT),
    "COLUPF": ("$0e", _SHIFT),
    "COLUBK": ("$0e", _SHIFT),
    "CTRLPF": ("$00", "nop"),
    "CTRLPF-reflected": ("$01", "nop"),
    "CTRLPF-score": ("$02", _SHIFT),
    "CTRLPF-priority": ("$05", "ora #$30"),
    "REFP0": ("$00", "asl a\n asl a\n asl a"),
    "REFP1": ("$08", "asl a\n asl a\n asl a"),
    "NUSIZ0": ("$00", "nop"),
    "NUSIZ0-double": ("$05", "nop"),
    "NUSIZ0-quad": ("$07", "nop"),
    "NUSIZ1": ("$06", "nop"),
    "NUSIZ1-missile": ("$37", _SHIFT),
    "GRP0": ("$00", "eor #$ff"),
    "GRP1": ("$81", "eor #$ff"),
    "ENAM0": ("$00", "nop"),
    "ENAM1": ("$02", "nop"),
    "ENABL": ("$00", "nop"),
    "VDELP0": ("$00", "nop"),
    "VDELP1": ("$01", "nop"),
    "VDELBL": ("$00", "nop"),
    "RESMP0": ("$00", "nop"),
    "RESMP1": ("$02", "nop"),
    "VBLANK": ("$00", "nop"),
    "HMP0": ("$00", _SHIFT),
}


def _register_sweeps() -> Iterator[tuple[str, Probe]]:
    for name, (value, change) in _SWEPT.items():
        register = name.split("-")[0]
        setup = f"{SCENE}\n lda $86\n {change}\n tay"
        before = f" lda #{value}\n sta {register}"
        rom = sweep(f" sty {register}", setup, before)
        yield f"write {name}", Probe(rom, (NOOP,) * 8)


def _position_sweeps() -> Iterator[tuple[str, Probe]]:
    copies = f"{SCENE}\n lda $86\n and #7\n ora #$10\n sta NUSIZ0\n sta NUSIZ1"
    for register, motion in (("RESP0", "HMP0"), ("RESP1", "HMP1"), ("RESM0", "HMM0")):
        for pixels in (0, 1, 2):
            setup = f"{copies}\n lda #{pixels << 4}\n sta {motion}"
            before = f" sta WSYNC\n .sleep 48\n sta {register}\n sta WSYNC\n sta HMOVE"
            rom = sweep(f" sta {register}", setup, before, groups=36)
            yield f"{register} left {pixels}", Probe(rom, (NOOP,) * 16)
    ball = sweep(" sta RESBL", SCENE, " sta WSYNC\n .sleep 50\n sta RESBL")
    yield "RESBL", Probe(ball, (NOOP,) * 2)
    thrice = " sta RESP0\n .sleep 5\n sta RESP0\n nop\n sta RESP0"
    rom = sweep(thrice, copies, " sta WSYNC\n .sleep 50\n sta RESP0")
    yield "RESP0 three times", Probe(rom, (NOOP,) * 16)
    setup = f"{SCENE}\n lda $86\n {_SHIFT}\n sta HMP0\n sta HMM0\n eor #$ff\n sta HMBL"
    before = " sta WSYNC\n .sleep 30\n sta RESP0\n sta RESM0\n sta RESBL"
    for name, after in (("", ""), (" HMCLR", " sta HMCLR"), (" HMP0", " .sleep 6\n sta HMP0")):
        rom = sweep(f" sta HMOVE\n{after}", setup, before)
        yield f"HMOVE{name}", Probe(rom, (NOOP,) * 32)


# --- values that a program reads -----------------------------------------------------------------


def measurements(snippets: list[str], setup: str = "") -> bytes:
    """Return a program that stores the A that each snippet leaves, at $90 and after it."""
    stores = "".join(f"\n{code}\n sta {RESULTS + k}" for k, code in enumerate(snippets))
    return assemble(frame(f"{setup}{stores}", blank=3, tail=3))


_TIMERS = ("TIM1T", "TIM8T", "TIM64T", "T1024T")


def _timer() -> Iterator[tuple[str, Probe]]:
    for timer in _TIMERS:
        for value in (0, 1, 2, 5):
            start = f" lda #{value}\n sta {timer}\n"
            waits = (*range(2, 24), *range(60, 72), *range(122, 132), 200, 261, 301)
            once = [f"{start} .sleep {k}\n lda INTIM" for k in waits]
            yield f"{timer} {value}", Probe(measurements(once))
            pairs = [(i, k) for i in (2, 9, 20, 70, 140) for k in (2, 5, 9, 13, 70, 300)]
            twice = [f"{start} .sleep {i}\n lda INTIM\n .sleep {k}\n lda INTIM" for i, k in pairs]
            yield f"{timer} {value} twice", Probe(measurements(twice))
            flag = [
                f"{start} .sleep {i}\n lda INTIM\n .sleep {k}\n lda INSTAT" for i, k in pairs
            ] + [f"{start} .sleep {k}\n lda INSTAT" for k in (2, 9, 20, 70, 600)]
            yield f"{timer} {value} flag", Probe(measurements(flag))
    mirrors = ((0x296, 0x284), (0x29E, 0x286), (0x396, 0x784), (0x29C, 0x284), (0x28E, 0x28C))
    code = [f" lda #200\n sta {w}\n .sleep 40\n lda {r}" for w, r in mirrors]
    code += [f" lda #0\n sta TIM8T\n .sleep 20\n {op}\n .sleep 20\n lda INTIM" for op in _TOUCHES]
    yield "timer mirrors and dummy reads", Probe(measurements(code))


_TOUCHES = ("ldx #$10\n lda $02f4,x", "ldx #0\n sta $0284,x", "inc INTIM", "ldx #$84\n lda $200,x")


def _bus() -> Iterator[tuple[str, Probe]]:
    code = []
    for register in (0x02, 0x08, 0x0C, 0x0F):
        code += [f" lda {register}", f" lda {register | 0x30}", f" ldx #5\n lda {register + 27},x"]
        code += [f" lda.w {register | 0x2E00}", f" ldx #$20\n lda {0x2DE0 | register},x"]
        for form, index in (("($f8),y", "ldy"), ("($f8,x)", "ldx")):
            pointer = f" lda #{register}\n sta $f8\n lda #$25\n sta $f9\n {index} #0\n"
            code.append(f"{pointer} lda {form}")
    code += [" ldx #$0d\n txs\n pla\n ldx #$ff\n txs"]
    code += [" ldx #$0d\n txs\n pla\n pla\n ldx #$ff\n txs"]
    yield "unused bits of a read", Probe(measurements(code, " sta CXCLR\n"))
    ports = [" lda #$ff\n sta SWACNT\n lda #$a5\n sta SWCHA\n lda SWCHA", " lda SWACNT"]
    ports += [" lda #$ff\n sta SWBCNT\n lda #$3c\n sta SWCHB\n lda SWCHB", " lda SWBCNT"]
    ports += [" lda $3b8", " lda $28a", " lda INPT4", " lda INPT5"]
    yield "ports", Probe(measurements(ports), tuple(range(18)))
    latch = [" lda #$40\n sta VBLANK\n lda INPT4"] * 2 + [" lda #0\n sta VBLANK\n lda INPT4"]
    yield "latched fire buttons", Probe(measurements(latch), (NOOP, FIRE, NOOP, UP, FIRE))
    latch = [" lda INPT4", " lda #$40\n sta VBLANK\n lda INPT4"]
    yield "latch stays over frames", Probe(_unblanked(latch), (NOOP, FIRE, NOOP, UP, FIRE))
    jump = " lda #$a9\n sta $e0\n lda #{}\n sta $e1\n lda #$60\n sta $e2\n jsr {}"
    code = [jump.format(n, at) for n, at in ((1, "$e0"), (2, "$1e0"), (3, "$20e0"), (4, "$0ce0"))]
    yield "code in RAM", Probe(measurements(code))
    mirrors = [f" lda #{n}\n sta $f0\n lda.w {at}" for n, at in ((1, 0x1F0), (2, 0x2CF0))]
    yield "RAM mirrors", Probe(measurements(mirrors))


def _unblanked(snippets: list[str]) -> bytes:
    """Like ``measurements``, in a frame that writes nothing to VBLANK itself."""
    return _synced(
        "".join(f"\n{code}\n sta {RESULTS + k}" for k, code in enumerate(snippets))
        + "\n ldx #200\nlines: sta WSYNC\n dex\n bne lines"
    )


# --- the frame -----------------------------------------------------------------------------------


def _synced(body: str) -> bytes:
    """Return a program with vertical sync and no more: it writes no VBLANK."""
    return assemble(
        f"""{HEADER}
top: lda #2
  sta WSYNC
  sta VSYNC
  sta WSYNC
  sta WSYNC
  sta WSYNC
  lda #0
  sta VSYNC
  inc $80
{body}
  jmp top
"""
    )


def _lost(body: str) -> bytes:
    """Return a program that makes frames until FIRE, then counts how often ``body`` runs."""
    return _synced(
        f"""  ldx #250
lines: sta WSYNC
  dex
  bne lines
  bit INPT4
  bpl lost
  jmp top
lost: lda #0
again: {body}
  inc $81
  bne again
  inc $82
  bne again
  inc $83
  jmp again
"""
    )


def _frames() -> Iterator[tuple[str, Probe]]:
    bodies = {
        "WSYNC": "sta WSYNC",
        "WSYNC late": "sta WSYNC\n .sleep 60",
        "COLUBK": "sta COLUBK",
        "AUDV0": "sta AUDV0",
        "VSYNC off": "sta VSYNC",
        "TIA reads": "bit INPT4",
        "RIOT": "bit SWCHA",
        "RAM": "sta $90",
        "nothing": "nop",
    }
    for name, body in bodies.items():
        yield f"no VSYNC, {name}", Probe(_lost(body), (NOOP, FIRE, FIRE, FIRE, FIRE))
    for cycles in (77, 78, 90, 145, 300):
        body = f" sta WSYNC\n lda #2\n sta VSYNC\n lda #0\n .sleep {cycles - 5}\n sta VSYNC"
        lines = "\n inc $80\n ldx #200\nlines: sta WSYNC\n dex\n bne lines\n jmp loop"
        yield f"VSYNC of {cycles}", Probe(assemble(f"{HEADER}\nloop: {body}{lines}"))
    for line in (5, 32, 33, 34, 240, 242, 243):
        for vblank in (0, 2):
            yield f"collisions on line {line}, VBLANK {vblank}", Probe(_collide(line, vblank))


def _collide(line: int, vblank: int) -> bytes:
    """Return a program that looks for collisions on one line."""
    reads = "".join(f" lda {register}\n sta {0xA0 + register}\n" for register in range(8))
    return _synced(
        f"""{SCENE}
  lda #{vblank}
  sta VBLANK
  ldx #{line}
above: sta WSYNC
  dex
  bne above
  sta CXCLR
  sta WSYNC
{reads}
  ldx #{249 - line}
below: sta WSYNC
  dex
  bne below
"""
    )


_FIRST_ROW = {
    "CTRLPF": ((20, 50, 60), " lda #1\n .sleep {}\n sta CTRLPF"),
    "RESP0": ((60, 71, 72, 73, 74), " nop\n .sleep {}\n sta RESP0"),
    "HMOVE": ((6, 16, 40, 71, 72), " nop\n .sleep {}\n sta HMOVE"),
}
"""What is written, and after how many cycles of a line."""


def _first_row() -> Iterator[tuple[str, Probe]]:
    for name, (waits, code) in _FIRST_ROW.items():
        for line in (32, 33, 34):
            for cycles in waits:
                rom = _near_first_row(line, code.format(cycles - 4))
                yield f"{name} near the first row, {line}, {cycles}", Probe(rom)


def _near_first_row(line: int, code: str) -> bytes:
    """Return a program that writes to the TIA on a line, 34 being the first one shown."""
    return _synced(
        f"""{SCENE}
  lda #0
  sta CTRLPF
  lda #$70
  sta HMP0
  ldx #{line - 3}
above: sta WSYNC
  dex
  bne above
{code}
  ldx #200
below: sta WSYNC
  dex
  bne below
"""
    )


# --- whole scenes --------------------------------------------------------------------------------

_NAMES = (
    "NUSIZ0 NUSIZ1 COLUP0 COLUP1 COLUPF COLUBK CTRLPF REFP0 REFP1 PF0 PF1 PF2 RESP0 RESP1 RESM0 "
    "RESM1 RESBL GRP0 GRP1 ENAM0 ENAM1 ENABL HMP0 HMP1 HMM0 HMM1 HMBL VDELP0 VDELP1 VDELBL "
    "RESMP0 RESMP1 HMOVE HMCLR CXCLR VBLANK"
)
_WRITTEN = _NAMES.split()


def _scenes() -> Iterator[tuple[str, Probe]]:
    rows = " ldx #0\nrow: sta WSYNC\n stx CTRLPF\n sta WSYNC\n inx\n cpx #64\n bne row"
    for at in (20, 35, 38):
        body = SCENE.replace(".sleep 35", f".sleep {at}")
        yield f"every CTRLPF, {at}", Probe(assemble(frame(f"{body}\n{rows}", blank=36)))
    for seed in range(12):
        yield f"random writes {seed}", Probe(_random_writes(seed))


def _random_writes(seed: int) -> bytes:
    """Return a frame of random writes to the TIA at random cycles, then all collisions."""
    draw = random.Random(seed)
    lines = ["  sta VBLANK", f"  ldx #{draw.choice((28, 34, 40))}"]
    lines += ["above: sta WSYNC", "  dex", "  bne above"]
    for _ in range(450):
        if draw.random() < 0.12:
            lines.append("  sta WSYNC")
            continue
        register = draw.choice(_WRITTEN)
        number = draw.randrange(256)
        if register.startswith(("ENA", "GRP")):
            number |= 2
        elif register == "VBLANK":
            number &= 0x42 if draw.random() < 0.2 else 0x40
        wait = draw.choice((0, 0, 0, 2, 3, 4, 5, 7, 11, 16, 22))
        lines += [f"  .sleep {wait}", f"  lda #{number}", f"  sta {register}"]
    lines += [f"  lda {register}\n  sta {0xA0 + register}" for register in range(8)]
    return _synced("\n".join(lines))
