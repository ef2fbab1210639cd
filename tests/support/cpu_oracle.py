"""A deliberately naive 6507: the oracle of the console's CPU.

One function a mnemonic, flags as booleans. Every memory access goes through two callables, and
``cycles`` counts the running instruction's cycles too when its operand is read or written.

Sources: MOS MCS6500 programming manual (opcodes, cycles), "NMOS 6510 Unintended Opcodes" (the
undocumented ones). Where ale-py differs, ale-py is followed, as measured:

- Decimal ADC and SBC compute with numbers. N and Z come from the decimal result. V compares the
  result's sign with both operands'. SBC's C is that of a binary subtraction. Bruce
  Clark's "Decimal Mode" describes the real chip.
- LAX with a zero-page operand takes 4 cycles instead of 3.
- ANE and LXA, unstable on hardware, use the constant 0xEE. SHA, SHX, SHY and TAS take the high
  byte of the final address.
"""

from __future__ import annotations

from collections.abc import Callable

from assembler import DECODED

Read = Callable[[int], int]
Write = Callable[[int, int], None]

ADDRESS_MASK = 0x1FFF
"""The 6507 has 13 address lines."""

STORES = {"sta", "stx", "sty", "sax", "sha", "shx", "shy", "tas"}
CHANGES = {"asl", "lsr", "rol", "ror", "inc", "dec", "slo", "rla", "sre", "rra", "dcp", "isc"}
BRANCHES = {
    "bpl": ("n", False), "bmi": ("n", True), "bvc": ("v", False), "bvs": ("v", True),
    "bcc": ("c", False), "bcs": ("c", True), "bne": ("z", False), "beq": ("z", True),
}  # fmt: skip
READ_CYCLES = {
    "imp": 2, "acc": 2, "imm": 2, "rel": 2, "zp": 3, "zpx": 4, "zpy": 4,
    "abs": 4, "abx": 4, "aby": 4, "izx": 6, "izy": 5,
}  # fmt: skip
OWN_CYCLES = {
    "brk": 7, "jsr": 6, "rts": 6, "rti": 6, "pha": 3, "php": 3, "pla": 4, "plp": 4,
}  # fmt: skip


class Jammed(Exception):
    """Raised when an opcode stops the CPU for good."""


def _from_decimal(byte: int) -> int:
    """Return the number whose digits are the two halves of a byte, from 0 to 165."""
    return 10 * (byte >> 4) + (byte & 15)


def _to_decimal(number: int) -> int:
    """Return a byte whose halves are a number's last two digits."""
    return number // 10 % 10 << 4 | number % 10


class Cpu6507:
    """Runs one instruction at a time.

    ``memory`` is a bytearray of 8192 that is read and written directly, or None with a ``read``
    and a ``write`` of its own.
    """

    def __init__(
        self,
        memory: bytearray | None = None,
        read: Read | None = None,
        write: Write | None = None,
    ) -> None:
        if memory is not None:
            read, write = memory.__getitem__, memory.__setitem__
        if read is None or write is None:
            raise ValueError("expected a memory, or a read and a write; got neither")
        self._read, self._write = read, write
        self.a = self.x = self.y = 0
        self.sp = 0xFF
        self.n = self.v = self.d = self.i = self.z = self.c = False
        self.cycles = 0
        self.pc = self.read(0xFFFC) | self.read(0xFFFD) << 8

    def read(self, address: int) -> int:
        """Read a byte from the bus."""
        return self._read(address & ADDRESS_MASK)

    def write(self, address: int, value: int) -> None:
        """Write a byte to the bus."""
        self._write(address & ADDRESS_MASK, value & 0xFF)

    @property
    def p(self) -> int:
        """Return the status byte as PHP pushes it."""
        bits = (self.c, self.z, self.i, self.d, True, True, self.v, self.n)
        return sum(bit << k for k, bit in enumerate(bits))

    @p.setter
    def p(self, value: int) -> None:
        self.c, self.z, self.i, self.d, _, _, self.v, self.n = (
            bool(value >> k & 1) for k in range(8)
        )

    def step(self) -> int:
        """Run one instruction and return its cycles."""
        before = self.cycles
        name, mode = DECODED[self._fetch()]
        if name == "jam":
            raise Jammed(f"at {self.pc - 1:04X}")
        address, crossed = self._address(mode)
        self.cycles += self._base_cycles(name, mode)
        if crossed and name not in STORES | CHANGES:
            self.cycles += 1
        self._run(name, mode, address)
        return self.cycles - before

    def _base_cycles(self, name: str, mode: str) -> int:
        if name in OWN_CYCLES:
            return OWN_CYCLES[name]
        if (name, mode) == ("lax", "zp"):
            return 4
        if name == "jmp":
            return 3 if mode == "abs" else 5
        cycles = READ_CYCLES[mode]
        indexed = mode in ("abx", "aby", "izy")
        if name in CHANGES and mode != "acc":
            return cycles + 2 + indexed
        return cycles + (name in STORES and indexed)

    def _run(self, name: str, mode: str, address: int) -> None:
        if name in BRANCHES:
            flag, wanted = BRANCHES[name]
            self._branch(address, getattr(self, flag) == wanted)
        elif name in CHANGES:
            value = self.a if mode == "acc" else self.read(address)
            result = getattr(self, f"_{name}")(value) & 0xFF
            if mode == "acc":
                self.a = result
            else:
                self.write(address, result)
        elif name in STORES:
            self.write(address, getattr(self, f"_{name}")(address))
        elif mode in ("imp", "acc"):
            getattr(self, f"_{name}")()
        elif name in ("jmp", "jsr"):
            getattr(self, f"_{name}")(address)
        else:
            getattr(self, f"_{name}")(self.read(address))

    # --- addressing ------------------------------------------------------------------------------

    def _fetch(self) -> int:
        byte = self.read(self.pc)
        self.pc = (self.pc + 1) & 0xFFFF
        return byte

    def _word(self) -> int:
        low = self._fetch()
        return low | self._fetch() << 8

    def _pointer(self, at: int) -> int:
        """Read a pointer whose two bytes lie in one page."""
        return self.read(at) | self.read(at & 0xFF00 | at + 1 & 0xFF) << 8

    def _address(self, mode: str) -> tuple[int, bool]:
        """Return the operand's address and whether indexing crossed a page."""
        if mode in ("imp", "acc"):
            return 0, False
        if mode == "imm":
            self.pc = (self.pc + 1) & 0xFFFF
            return (self.pc - 1) & 0xFFFF, False
        if mode == "rel":
            distance = self._fetch()
            return (self.pc + distance - (distance >> 7 << 8)) & 0xFFFF, False
        if mode in ("zp", "zpx", "zpy"):
            return self._fetch() + {"zp": 0, "zpx": self.x, "zpy": self.y}[mode] & 0xFF, False
        if mode == "izx":
            return self._pointer(self._fetch() + self.x & 0xFF), False
        if mode == "ind":
            return self._pointer(self._word()), False
        base = self._pointer(self._fetch()) if mode == "izy" else self._word()
        index = {"abs": 0, "abx": self.x}.get(mode, self.y)
        address = base + index & 0xFFFF
        return address, address >> 8 != base >> 8

    # --- helpers ---------------------------------------------------------------------------------

    def _nz(self, value: int) -> int:
        value &= 0xFF
        self.n, self.z = value > 127, value == 0
        return value

    def _push(self, value: int) -> None:
        self.write(self.sp, value)
        self.sp = self.sp - 1 & 0xFF

    def _pull(self) -> int:
        self.sp = self.sp + 1 & 0xFF
        return self.read(self.sp)

    def _branch(self, target: int, taken: bool) -> None:
        if taken:
            self.cycles += 1 + (target >> 8 != self.pc >> 8)
            self.pc = target

    def _compare(self, register: int, value: int) -> None:
        self.c = register >= value
        self._nz(register - value)

    # --- arithmetic ------------------------------------------------------------------------------

    def _adc(self, value: int) -> None:
        if self.d:
            total = _from_decimal(self.a) + _from_decimal(value) + self.c
            self._finish_decimal(value, total)
            self.c = total > 99
            return
        total = self.a + value + self.c
        self._set_overflow(self.a, value, total)
        self.c = total > 0xFF
        self.a = self._nz(total)

    def _sbc(self, value: int) -> None:
        borrow = not self.c
        total = self.a - value - borrow
        self.c = total >= 0
        if self.d:
            digits = _from_decimal(self.a) - _from_decimal(value) - borrow
            self._finish_decimal(value, digits if digits >= 0 else digits + 100)
            return
        self._set_overflow(self.a, value ^ 0xFF, total)
        self.a = self._nz(total)

    def _finish_decimal(self, value: int, total: int) -> None:
        # Invalid digits can leave a negative total. ale-py answers with its other table then.
        result = _to_decimal(total & 0xFF) if total >= 0 else _from_decimal(total & 0xFF)
        old, self.a = self.a, self._nz(result)
        self.v = old >> 7 != self.a >> 7 != value >> 7

    def _set_overflow(self, left: int, right: int, total: int) -> None:
        """Set V if two numbers of one sign have a sum of the other."""
        self.v = left >> 7 == right >> 7 != total >> 7 & 1

    # --- loads, stores, transfers ----------------------------------------------------------------

    def _lda(self, value: int) -> None:
        self.a = self._nz(value)

    def _ldx(self, value: int) -> None:
        self.x = self._nz(value)

    def _ldy(self, value: int) -> None:
        self.y = self._nz(value)

    def _lax(self, value: int) -> None:
        self.a = self.x = self._nz(value)

    def _sta(self, _: int) -> int:
        return self.a

    def _stx(self, _: int) -> int:
        return self.x

    def _sty(self, _: int) -> int:
        return self.y

    def _sax(self, _: int) -> int:
        return self.a & self.x

    def _tax(self) -> None:
        self._ldx(self.a)

    def _tay(self) -> None:
        self._ldy(self.a)

    def _txa(self) -> None:
        self._lda(self.x)

    def _tya(self) -> None:
        self._lda(self.y)

    def _tsx(self) -> None:
        self._ldx(self.sp)

    def _txs(self) -> None:
        self.sp = self.x

    def _pha(self) -> None:
        self._push(self.a)

    def _php(self) -> None:
        self._push(self.p)

    def _pla(self) -> None:
        self._lda(self._pull())

    def _plp(self) -> None:
        self.p = self._pull()

    # --- logic and comparison --------------------------------------------------------------------

    def _and(self, value: int) -> None:
        self._lda(self.a & value)

    def _ora(self, value: int) -> None:
        self._lda(self.a | value)

    def _eor(self, value: int) -> None:
        self._lda(self.a ^ value)

    def _bit(self, value: int) -> None:
        self.n, self.v = value > 127, bool(value & 64)
        self.z = self.a & value == 0

    def _cmp(self, value: int) -> None:
        self._compare(self.a, value)

    def _cpx(self, value: int) -> None:
        self._compare(self.x, value)

    def _cpy(self, value: int) -> None:
        self._compare(self.y, value)

    # --- read, change, write ---------------------------------------------------------------------

    def _asl(self, value: int) -> int:
        self.c = value > 127
        return self._nz(value * 2)

    def _lsr(self, value: int) -> int:
        self.c = value % 2 == 1
        return self._nz(value // 2)

    def _rol(self, value: int) -> int:
        carry, self.c = self.c, value > 127
        return self._nz(value * 2 + carry)

    def _ror(self, value: int) -> int:
        carry, self.c = self.c, value % 2 == 1
        return self._nz(value // 2 + 128 * carry)

    def _inc(self, value: int) -> int:
        return self._nz(value + 1)

    def _dec(self, value: int) -> int:
        return self._nz(value - 1)

    def _slo(self, value: int) -> int:
        value = self._asl(value)
        self._ora(value)
        return value

    def _rla(self, value: int) -> int:
        value = self._rol(value)
        self._and(value)
        return value

    def _sre(self, value: int) -> int:
        value = self._lsr(value)
        self._eor(value)
        return value

    def _rra(self, value: int) -> int:
        value = self._ror(value)
        self._adc(value)
        return value

    def _dcp(self, value: int) -> int:
        value = self._dec(value)
        self._cmp(value)
        return value

    def _isc(self, value: int) -> int:
        value = self._inc(value)
        self._sbc(value)
        return value

    # --- counting, flags, jumps ------------------------------------------------------------------

    def _inx(self) -> None:
        self._ldx(self.x + 1)

    def _iny(self) -> None:
        self._ldy(self.y + 1)

    def _dex(self) -> None:
        self._ldx(self.x - 1)

    def _dey(self) -> None:
        self._ldy(self.y - 1)

    def _clc(self) -> None:
        self.c = False

    def _sec(self) -> None:
        self.c = True

    def _cli(self) -> None:
        self.i = False

    def _sei(self) -> None:
        self.i = True

    def _clv(self) -> None:
        self.v = False

    def _cld(self) -> None:
        self.d = False

    def _sed(self) -> None:
        self.d = True

    def _nop(self, _: int = 0) -> None:
        pass

    def _jmp(self, address: int) -> None:
        self.pc = address

    def _jsr(self, address: int) -> None:
        back = self.pc - 1 & 0xFFFF
        self._push(back >> 8)
        self._push(back & 0xFF)
        self.pc = address

    def _rts(self) -> None:
        low = self._pull()
        self.pc = (low | self._pull() << 8) + 1 & 0xFFFF

    def _rti(self) -> None:
        self.p = self._pull()
        low = self._pull()
        self.pc = low | self._pull() << 8

    def _brk(self) -> None:
        back = self.pc + 1 & 0xFFFF
        self._push(back >> 8)
        self._push(back & 0xFF)
        self._push(self.p)
        self.i = True
        self.pc = self._pointer(0xFFFE)

    # --- undocumented, immediate -----------------------------------------------------------------

    def _anc(self, value: int) -> None:
        self._and(value)
        self.c = self.n

    def _alr(self, value: int) -> None:
        self.a = self._lsr(self.a & value)

    def _arr(self, value: int) -> None:
        both = self.a & value
        self.a = self._nz(both // 2 + 128 * self.c)
        if not self.d:
            self.c = bool(self.a & 64)
            self.v = self.c != bool(self.a & 32)
            return
        self.v = bool((both ^ self.a) & 64)
        if (both & 15) + (both & 1) > 5:
            self.a = self.a & 0xF0 | self.a + 6 & 15
        self.c = (both >> 4) + (both >> 4 & 1) > 5
        if self.c:
            self.a = self.a + 0x60 & 0xFF

    def _axs(self, value: int) -> None:
        both = self.a & self.x
        self._compare(both, value)
        self.x = both - value & 0xFF

    # --- unstable on hardware --------------------------------------------------------------------

    def _ane(self, value: int) -> None:
        self._lda(self.x & value & (self.a | 0xEE))

    def _lxa(self, value: int) -> None:
        self._lax((self.a | 0xEE) & value)

    def _las(self, value: int) -> None:
        self.sp = value & self.sp
        self._lax(self.sp)

    def _sha(self, address: int) -> int:
        return self.a & self.x & (address >> 8) + 1

    def _shx(self, address: int) -> int:
        return self.x & (address >> 8) + 1

    def _shy(self, address: int) -> int:
        return self.y & (address >> 8) + 1

    def _tas(self, address: int) -> int:
        self.sp = self.a & self.x
        return self.sp & (address >> 8) + 1
