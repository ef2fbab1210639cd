"""What each instruction does to the registers: operations.h, in LLVM's assembly.

Decimal mode is off in translated code.
"""

from __future__ import annotations

from collections.abc import Callable

from fastpong.console.translate.writer import Writer


def set_nz(w: Writer, value: str) -> None:
    """Set N and Z by a value."""
    w.set(n=value, z=value)


def _load(w: Writer, m: str, *registers: str) -> None:
    w.set(**dict.fromkeys(registers, m))
    set_nz(w, m)


def _logic(w: Writer, operation: str, m: str) -> None:
    _load(w, w.value(f"{operation} i8 {w.state.a}, {m}"), "a")


def _compare(w: Writer, register: str, m: str) -> str:
    difference = w.value(f"sub i8 {register}, {m}")
    w.set(c=w.value(f"icmp uge i8 {register}, {m}"))
    set_nz(w, difference)
    return difference


def _bit(w: Writer, m: str) -> None:
    zero = w.value(f"and i8 {w.state.a}, {m}")
    w.set(n=m, v=w.value(f"shl i8 {m}, 1"), z=zero)


def _adc(w: Writer, m: str) -> None:
    a = w.state.a
    wide, other = w.value(f"zext i8 {a} to i32"), w.value(f"zext i8 {m} to i32")
    carry = w.value(f"zext i1 {w.state.c} to i32")
    total = w.value(f"add i32 {w.value(f'add i32 {wide}, {other}')}, {carry}")
    result = w.value(f"trunc i32 {total} to i8")
    same = w.value(f"xor i8 {w.value(f'xor i8 {a}, {m}')}, -1")
    changed = w.value(f"xor i8 {a}, {result}")
    w.set(c=w.value(f"icmp ugt i32 {total}, 255"), v=w.value(f"and i8 {same}, {changed}"))
    _load(w, result, "a")


def _sbc(w: Writer, m: str) -> None:
    a = w.state.a
    wide, other = w.value(f"zext i8 {a} to i32"), w.value(f"zext i8 {m} to i32")
    borrow = w.value(f"zext i1 {w.value(f'xor i1 {w.state.c}, true')} to i32")
    total = w.value(f"sub i32 {w.value(f'sub i32 {wide}, {other}')}, {borrow}")
    result = w.value(f"trunc i32 {total} to i8")
    differs, changed = w.value(f"xor i8 {a}, {m}"), w.value(f"xor i8 {a}, {result}")
    w.set(c=w.value(f"icmp sge i32 {total}, 0"), v=w.value(f"and i8 {differs}, {changed}"))
    _load(w, result, "a")


def _anc(w: Writer, m: str) -> None:
    _logic(w, "and", m)
    w.set(c=w.value(f"icmp slt i8 {w.state.a}, 0"))


def _alr(w: Writer, m: str) -> None:
    w.set(a=_lsr(w, w.value(f"and i8 {w.state.a}, {m}")))


def _axs(w: Writer, m: str) -> None:
    w.set(x=_compare(w, w.value(f"and i8 {w.state.a}, {w.state.x}"), m))


READS: dict[str, Callable[[Writer, str], object]] = {
    "lda": lambda w, m: _load(w, m, "a"),
    "ldx": lambda w, m: _load(w, m, "x"),
    "ldy": lambda w, m: _load(w, m, "y"),
    "lax": lambda w, m: _load(w, m, "a", "x"),
    "and": lambda w, m: _logic(w, "and", m),
    "ora": lambda w, m: _logic(w, "or", m),
    "eor": lambda w, m: _logic(w, "xor", m),
    "cmp": lambda w, m: _compare(w, w.state.a, m),
    "cpx": lambda w, m: _compare(w, w.state.x, m),
    "cpy": lambda w, m: _compare(w, w.state.y, m),
    "bit": _bit,
    "adc": _adc,
    "sbc": _sbc,
    "nop": lambda w, m: None,
    "anc": _anc,
    "alr": _alr,
    "axs": _axs,
}
"""Instructions that read a value."""

WRITES: dict[str, Callable[[Writer], str]] = {
    "sta": lambda w: w.state.a,
    "stx": lambda w: w.state.x,
    "sty": lambda w: w.state.y,
    "sax": lambda w: w.value(f"and i8 {w.state.a}, {w.state.x}"),
}
"""Instructions that return a value to write."""


def _shifted(w: Writer, result: str, carry: str) -> str:
    w.set(c=carry)
    set_nz(w, result)
    return result


def _asl(w: Writer, m: str) -> str:
    return _shifted(w, w.value(f"shl i8 {m}, 1"), w.value(f"icmp slt i8 {m}, 0"))


def _lsr(w: Writer, m: str) -> str:
    return _shifted(w, w.value(f"lshr i8 {m}, 1"), w.value(f"trunc i8 {m} to i1"))


def _rol(w: Writer, m: str) -> str:
    carry = w.value(f"zext i1 {w.state.c} to i8")
    result = w.value(f"or i8 {w.value(f'shl i8 {m}, 1')}, {carry}")
    return _shifted(w, result, w.value(f"icmp slt i8 {m}, 0"))


def _ror(w: Writer, m: str) -> str:
    carry = w.value(f"shl i8 {w.value(f'zext i1 {w.state.c} to i8')}, 7")
    result = w.value(f"or i8 {w.value(f'lshr i8 {m}, 1')}, {carry}")
    return _shifted(w, result, w.value(f"trunc i8 {m} to i1"))


def _step(w: Writer, m: str, by: int) -> str:
    result = w.value(f"add i8 {m}, {by}")
    set_nz(w, result)
    return result


CHANGES: dict[str, Callable[[Writer, str], str]] = {
    "asl": _asl,
    "lsr": _lsr,
    "rol": _rol,
    "ror": _ror,
    "inc": lambda w, m: _step(w, m, 1),
    "dec": lambda w, m: _step(w, m, -1),
}
"""Instructions that change memory or, with the suffix _a, the accumulator."""


def _both(first: str, second: str) -> Callable[[Writer, str], str]:
    def run(w: Writer, m: str) -> str:
        result = CHANGES[first](w, m)
        READS[second](w, result)
        return result

    return run


for _name, _first, _second in (
    ("slo", "asl", "ora"),
    ("rla", "rol", "and"),
    ("sre", "lsr", "eor"),
    ("rra", "ror", "adc"),
    ("dcp", "dec", "cmp"),
    ("isc", "inc", "sbc"),
):
    CHANGES[_name] = _both(_first, _second)


def _copy(source: str, target: str) -> Callable[[Writer], None]:
    return lambda w: _load(w, getattr(w.state, source), target)


def _count(register: str, by: int) -> Callable[[Writer], None]:
    return lambda w: w.set(**{register: _step(w, getattr(w.state, register), by)})


def _accumulator(change: str) -> Callable[[Writer], None]:
    return lambda w: w.set(a=CHANGES[change](w, w.state.a))


IMPLIED: dict[str, Callable[[Writer], None]] = {
    **{f"{name}_a": _accumulator(name) for name in ("asl", "lsr", "rol", "ror")},
    "tax": _copy("a", "x"),
    "tay": _copy("a", "y"),
    "txa": _copy("x", "a"),
    "tya": _copy("y", "a"),
    "tsx": _copy("sp", "x"),
    "txs": lambda w: w.set(sp=w.state.x),
    "inx": _count("x", 1),
    "iny": _count("y", 1),
    "dex": _count("x", -1),
    "dey": _count("y", -1),
    "clc": lambda w: w.set(c="false"),
    "sec": lambda w: w.set(c="true"),
    "clv": lambda w: w.set(v="0"),
    "cld": lambda w: None,
    "cli": lambda w: w.store("0", "cpu.i"),
    "sei": lambda w: w.store("1", "cpu.i"),
    "nop0": lambda w: None,
}
"""Instructions on registers alone."""


def condition(w: Writer, branch: str) -> str:
    """Return whether a branch is taken, i1."""
    state = w.state
    texts = {
        "bpl": f"icmp sge i8 {state.n}, 0",
        "bmi": f"icmp slt i8 {state.n}, 0",
        "bvc": f"icmp sge i8 {state.v}, 0",
        "bvs": f"icmp slt i8 {state.v}, 0",
        "bcc": f"xor i1 {state.c}, true",
        "bcs": f"and i1 {state.c}, true",
        "bne": f"icmp ne i8 {state.z}, 0",
        "beq": f"icmp eq i8 {state.z}, 0",
    }
    return w.value(texts[branch])


def pack_flags(w: Writer) -> str:
    """Return the flags as PHP pushes them, in binary mode."""
    state = w.state
    n = w.value(f"and i8 {state.n}, 128")
    v = w.value(f"and i8 {w.value(f'lshr i8 {state.v}, 1')}, 64")
    z = w.value(f"zext i1 {w.value(f'icmp eq i8 {state.z}, 0')} to i8")
    c = w.value(f"zext i1 {state.c} to i8")
    i = w.value(f"shl i8 {w.load('cpu.i')}, 2")
    flags = w.value(f"or i8 {n}, {v}")
    for other in (i, w.value(f"shl i8 {z}, 1"), c, "48"):
        flags = w.value(f"or i8 {flags}, {other}")
    return flags


def unpack_flags(w: Writer, flags: str) -> None:
    """Set the flags as PLP pulls them, but for decimal mode."""
    w.store(w.value(f"and i8 {w.value(f'lshr i8 {flags}, 2')}, 1"), "cpu.i")
    zero = w.value(f"and i8 {w.value(f'lshr i8 {flags}, 1')}, 1")
    w.set(
        n=flags,
        v=w.value(f"shl i8 {flags}, 1"),
        z=w.value(f"xor i8 {zero}, 1"),
        c=w.value(f"trunc i8 {flags} to i1"),
    )
