"""Translate what instructions write: addressing.h and tia.h in LLVM's assembly."""

from __future__ import annotations

from fastpong.console.translate import operations
from fastpong.console.translate.reach import Instruction, place
from fastpong.console.translate.reads import ReadWriter
from fastpong.console.translate.writer import OFTEN, RARE, Block


class MemoryWriter(ReadWriter):
    """Write accesses to memory.

    A program writes to the TIA a thousand times a frame, which changes something ninety times. So
    that is asked here, and the console's own functions do the rest. WSYNC is translated as well.
    """

    def write_operand(self, it: Instruction, value: str) -> None:
        """Write a value where an instruction says."""
        mode = it.row.mode
        if mode in ("zp", "abs"):
            self._store_fixed(it, value)
            return
        if mode in ("zpx", "zpy"):
            address = self.value(f"add i8 {it.low}, {self._index(mode)}")
            self.store_zero_page(it, address, value)
            return
        if mode != "izy" and self._is_table(it):
            return
        address, _ = self._indexed(it)
        low = self.value(f"trunc i16 {address} to i8")
        self.cycle()
        yes, no = self.fork(self._is_ram(address))
        end = Block(self.new_label())
        self.begin(yes)
        self.line(f"store i8 {value}, ptr {self.ram(low)}, align 1")
        self.go(end)
        self.begin(no)
        self._write(it, self.value(f"zext i16 {address} to i32"), value, end)
        self.join(end)

    def _store_fixed(self, it: Instruction, value: str) -> None:
        address = it.address
        where = place(address)
        if where == "ram":
            self.store(value, "ram", address & 0x7F)
        elif where == "riot":
            self.call(
                "riot_write",
                "void",
                f"ptr {self.at('riot')}",
                f"i32 {it.low}",
                f"i8 zeroext {value}",
                f"i32 {self.cycle()}",
            )
        elif where == "tia":
            self._write_tia(it, it.low & 63, value)

    def store_zero_page(self, it: Instruction, address: str, value: str) -> None:
        """Write to RAM or the TIA. Registers that are rewritten with their value cost little."""
        self.cycle()
        end = Block(self.new_label())
        yes, no = self.fork(self.value(f"icmp slt i8 {address}, 0"))
        self.begin(yes)
        self.line(f"store i8 {value}, ptr {self.ram(address)}, align 1")
        self.go(end)
        self.begin(no)
        reg = self.value(f"zext i8 {self.value(f'and i8 {address}, 63')} to i64")
        stable = self.value(f"lshr i64 {self.facts['STABLE_REGISTERS']}, {reg}")
        written = self.value(f"getelementptr inbounds i8, ptr {self.at('tia.written')}, i64 {reg}")
        same = self.value(f"icmp eq i8 {self.load_at(written)}, {value}")
        same = self.value(f"and i1 {self.value(f'trunc i64 {stable} to i1')}, {same}")
        yes, no = self.fork(same)
        self.begin(yes)
        self.go(end)
        self.begin(no)
        self._write(it, self.value(f"zext i8 {address} to i32"), value, end)
        self.join(end)

    def _write(self, it: Instruction, address: str, value: str, end: Block) -> None:
        """Write to an address, i32, and do what the interpreter does when that halts the CPU."""
        state = self.state
        self.call(
            "write",
            "void",
            "ptr %console",
            "ptr %board",
            f"i32 {address}",
            f"i8 zeroext {value}",
            f"i32 {self.cycle()}",
        )
        halt = self.load("halt", kind="i32")
        ended = self.value(f"zext i8 {self.load('frame_ended')} to i32")
        any_ = self.value(f"icmp ne i32 {self.value(f'or i32 {halt}, {ended}')}, 0")
        yes, no = self.fork(any_, RARE)
        with self.aside(yes):
            self.set(base=self.value(f"add i32 {self.cycle()}, {halt}"))
            self.store("0", "halt", kind="i32")
            over = self.value(f"icmp ne i32 {ended}, 0")
            self.leave_if(over, str(self.code.address(it.next)), "1")
            self.go(end)
        self.begin(no)
        self.go(end)
        self.state = state

    def _write_tia(self, it: Instruction, reg: int, value: str) -> None:
        facts = self.facts
        if reg == facts["WSYNC"]:
            self._wait(it)
        elif facts["STABLE_REGISTERS"] >> reg & 1:
            written = self.load("tia.written", reg)
            self._unless(self.value(f"icmp eq i8 {written}, {value}"), reg, value, stable=True)
        elif reg in (facts["GRP0"], facts["GRP1"]):
            which = reg - facts["GRP0"]
            same = self._same("tia.grp", which, value)
            other = self._same("tia.grp_old", 1 - which, self.load("tia.grp", 1 - which))
            same = self.value(f"and i1 {same}, {other}")
            if which:
                ball = self._same("tia.enabl_old", 0, self.load("tia.enabl"))
                same = self.value(f"and i1 {same}, {ball}")
            self._unless(same, reg, value, stable=False)
        elif not facts["SILENT_REGISTERS"] >> reg & 1 and reg <= facts["CXCLR"]:
            self._write_slow(reg, value)
            if reg == facts["VSYNC"]:
                ended = self.value(f"icmp ne i8 {self.load('frame_ended')}, 0")
                self.leave_if(ended, str(self.code.address(it.next)), "1")

    def _same(self, name: str, index: int, value: str) -> str:
        return self.value(f"icmp eq i8 {self.load(name, index)}, {value}")

    def _unless(self, same: str, reg: int, value: str, stable: bool) -> None:
        """Write to a register unless that changes nothing."""
        yes, no = self.fork(self.value(f"xor i1 {same}, true"), RARE)
        with self.aside(yes):
            if stable:
                self.store(value, "tia.written", reg)
            self._write_slow(reg, value)
            self.line(f"br label %{no.label}")
        self.begin(no)

    def _write_slow(self, reg: int, value: str) -> None:
        self.call(
            "tia_write",
            "void",
            "ptr %console",
            "ptr %board",
            f"i32 {reg}",
            f"i8 zeroext {value}",
            f"i32 {self.cycle()}",
        )

    def _wait(self, it: Instruction) -> None:
        """Write WSYNC: wait for the line's end, unless it has just come.

        Most programs write it once a line, so that a predicted branch takes the sum out of the
        chain of cycles. 0.1 us a frame.
        """
        length = self.facts["CYCLES_PER_LINE"]
        now, start = self.cycle(), self.load("tia.cpu_line", kind="i32")
        passed = self.value(f"sub i32 {now}, {start}")
        since = self.value(f"sub i32 {passed}, {length + 1}")
        usual, other = self.fork(self.value(f"icmp ult i32 {since}, {length - 1}"), OFTEN)
        end = Block(self.new_label())
        self.begin(usual)
        self.store(self.value(f"add i32 {start}, {length}"), "tia.cpu_line", kind="i32")
        next_line = self.value(f"add i32 {start}, {2 * length}")
        self.line(f"br label %{end.label}")
        self.begin(other)
        lines = self.value(f"udiv i32 {passed}, {length}")
        line = self.value(f"add i32 {start}, {self.value(f'mul i32 {lines}, {length}')}")
        self.store(line, "tia.cpu_line", kind="i32")
        begun = self.value(f"icmp eq i32 {now}, {line}")
        ended = self.value(f"add i32 {line}, {length}")
        waited = self.value(f"select i1 {begun}, i32 {now}, i32 {ended}")
        self.line(f"br label %{end.label}")
        self.begin(end)
        self.set(base=self.pick("i32", (next_line, usual), (waited, other)))

    # --- changes ---------------------------------------------------------------------------------

    def modify(self, it: Instruction) -> None:
        """Write an instruction that changes memory."""
        row = it.row
        change = operations.CHANGES[row.name]
        if row.mode in ("zp", "abs"):
            self.spend(row.cycles)
            value = change(self, self.load("ram", it.low & 0x7F))
            self.store(value, "ram", it.low & 0x7F)
            return
        if row.mode == "zpx":
            address = self.value(f"add i8 {it.low}, {self.state.x}")
            elsewhere = self.value(f"icmp sge i8 {address}, 0")
        else:
            word, _ = self._indexed(it)
            address = self.value(f"trunc i16 {word} to i8")
            elsewhere = self.value(f"xor i1 {self._is_ram(word)}, true")
        self.leave_if(elsewhere, str(self.code.address(it.at)))
        self.spend(row.cycles)
        pointer = self.ram(address)
        value = change(self, self.load_at(pointer))
        self.line(f"store i8 {value}, ptr {pointer}, align 1")
