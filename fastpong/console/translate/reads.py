"""Translate what instructions read: addressing.h and tia.h in LLVM's assembly."""

from __future__ import annotations

from fastpong.console.translate.reach import Code, Instruction, place
from fastpong.console.translate.writer import Writer


class ReadWriter(Writer):
    """Write reads of memory.

    Constant addresses become loads. The chips' work is done by the console's own functions, but for
    paddles, which programs read on every line.
    """

    def __init__(self, code: Code, facts: dict[str, int]) -> None:
        super().__init__(facts)
        self.code = code

    def read_operand(self, it: Instruction) -> str:
        """Return the value that an instruction reads, i8."""
        mode = it.row.mode
        if mode == "imm":
            return str(it.low)
        if mode in ("zp", "abs"):
            return self._fetch_fixed(it)
        if mode in ("zpx", "zpy"):
            address = self.value(f"add i8 {it.low}, {self._index(mode)}")
            return self.either(
                self.value(f"icmp slt i8 {address}, 0"),
                lambda: self.load_at(self.ram(address)),
                lambda: self._read(self.value(f"zext i8 {address} to i32"), str(it.low)),
            )
        address, bus = self._indexed(it)
        self._count_crossing(it, address, bus)
        fixed = mode != "izy"
        if fixed and self._is_table(it):
            return self._table(address)
        if fixed and place(it.word) == "tia":
            return self._read_paddles(it, address)
        if fixed and not it.word & 0x1000:
            return self._read_indexed(address, bus)
        in_rom = self.value(f"icmp ne i16 {self.value(f'and i16 {address}, 4096')}, 0")
        return self.either(
            in_rom,
            lambda: self._table(address),
            lambda: self._read_indexed(address, bus),
        )

    def _read_paddles(self, it: Instruction, address: str) -> str:
        """Read by INPT0,Y and the like, which programs do on every line."""
        lines = self.value(f"and i16 {address}, {0x108C}")
        which = self.value(f"zext i16 {self.value(f'and i16 {address}, 3')} to i64")
        return self.either(
            self.value(f"icmp eq i16 {lines}, {self.facts['INPT0']}"),
            lambda: self._read_paddle(
                self.value(f"getelementptr inbounds i32, ptr {self.at('tia.charge')}, i64 {which}"),
                it.high,
            ),
            lambda: self._read_indexed(address, str(it.high)),
        )

    def _read_indexed(self, address: str, bus: str) -> str:
        low = self.value(f"trunc i16 {address} to i8")
        return self.either(
            self._is_ram(address),
            lambda: self.load_at(self.ram(low)),
            lambda: self._read(self.value(f"zext i16 {address} to i32"), bus),
        )

    def _fetch_fixed(self, it: Instruction) -> str:
        address = it.address
        where = place(address)
        if where == "rom":
            return str(self.code.rom[address & 0xFFF])
        if where == "ram":
            return self.load("ram", address & 0x7F)
        if where == "riot":
            return self.call(
                "riot_read",
                "i8",
                f"ptr {self.at('riot')}",
                f"i32 {it.low}",
                f"i32 {self.cycle()}",
            )
        return self._read_tia(it.low & 15, it.low if it.row.mode == "zp" else it.high)

    def _read_paddle(self, charge: str, bus: int) -> str:
        passed = self.value(f"sub i32 {self.cycle()}, {self.load('tia.released', kind='i32')}")
        full = self.value(f"icmp sgt i32 {passed}, {self.load_at(charge, 'i32')}")
        free = self.value(f"icmp sge i8 {self.load('tia.vblank')}, 0")
        both = self.value(f"and i1 {full}, {free}")
        low = bus & 0x3F
        return self.value(f"select i1 {both}, i8 {low | 0x80}, i8 {low}")

    def _read_tia(self, reg: int, bus: int) -> str:
        facts = self.facts
        if facts["INPT0"] <= reg <= facts["INPT3"]:
            return self._read_paddle(self.at("tia.charge", 4 * (reg - facts["INPT0"])), bus)
        return self.call(
            "tia_read",
            "i8",
            "ptr %console",
            "ptr %board",
            f"i32 {reg}",
            f"i8 zeroext {bus}",
            f"i32 {self.cycle()}",
        )

    def _read(self, address: str, bus: str) -> str:
        return self.call(
            "read",
            "i8",
            "ptr %console",
            "ptr %board",
            f"i32 {address}",
            f"i8 zeroext {bus}",
            f"i32 {self.cycle()}",
        )

    def _index(self, mode: str) -> str:
        return self.state.x if mode in ("zpx", "abx") else self.state.y

    def _indexed(self, it: Instruction) -> tuple[str, str]:
        """Return an indexed address, i16, and what the bus holds, i8."""
        if it.row.mode == "izy":
            start = self.load("ram", it.low & 0x7F, "i16")
            high = self.load("ram", (it.low & 0x7F) + 1)
            index = self.value(f"zext i8 {self.state.y} to i16")
            return self.value(f"add i16 {start}, {index}"), high
        index = self.value(f"zext i8 {self._index(it.row.mode)} to i16")
        return self.value(f"add i16 {it.word}, {index}"), str(it.high)

    def _count_crossing(self, it: Instruction, address: str, bus: str) -> None:
        if it.row.mode != "izy" and not it.low:
            return
        page = self.value(f"trunc i16 {self.value(f'lshr i16 {address}, 8')} to i8")
        crossed = self.value(f"and i8 {self.value(f'xor i8 {page}, {bus}')}, 1")
        now = self.value(f"add nsw i32 {self.cycle()}, {self.value(f'zext i8 {crossed} to i32')}")
        self.set(base=now)

    def _table(self, address: str) -> str:
        low = self.value(f"and i16 {address}, 4095")
        index = self.value(f"zext i16 {low} to i64")
        pointer = self.value(f"getelementptr inbounds i8, ptr %rom, i64 {index}")
        return self.value(f"load i8, ptr {pointer}, align 1")

    def _is_ram(self, address: str) -> str:
        lines = self.value(f"and i16 {address}, {0x1280}")
        return self.value(f"icmp eq i16 {lines}, {0x80}")

    def _is_table(self, it: Instruction) -> bool:
        """Say whether an indexed address is in the cartridge, whatever the index is."""
        return bool(it.word & 0x1000 and it.word + 255 < 0x10000 and (it.word + 255) & 0x1000)
