"""Translate a cartridge's code: one function that runs from any entry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastpong.console.translate import operations
from fastpong.console.translate.reach import Code, Instruction, place, successors
from fastpong.console.translate.writer import RARE, TYPES, Block, State, Writer


class Emitter(Writer):
    """Write the function of a cartridge.

    The console is the interpreter's at every instruction, so the interpreter can go on anywhere:
    ``leave`` stores the registers and returns. Decimal mode, the stack outside of RAM and other
    rare things leave at the instruction itself.

    A frame that lasts too long is run again by ``console_frame``, so the registers do not matter
    once it does. Translated code looks at the clock wherever it may go backward.
    """

    def __init__(self, code: Code, facts: dict[str, int]) -> None:
        super().__init__(facts)
        self.code = code
        heads = (code.joins | self._targets()) & code.instructions.keys()
        self.heads = {at: Block(f"at{at:03x}") for at in sorted(heads)}
        self.dispatch = Block("dispatch")
        self.late = Block("late")

    def _targets(self) -> set[int]:
        jumps = [it for it in self.code.instructions.values() if it.row.kind in "bc"]
        targets = {it.target for it in jumps if it.row.kind == "b"}
        for it in jumps:
            if it.row.name in ("jmp", "jsr", "brk"):
                targets |= successors(self.code, it)
        return targets

    def emit(self) -> str:
        """Return LLVM's assembly of the function ``run``."""
        prologue = self._enter()
        for at in self.heads:
            self._run(at)
        self._dispatch()
        self.begin(self.late)
        self.store(str(self.facts["MAX_CYCLES"]), "cpu.cycle", kind="i32")
        self.line("ret i32 1")
        return self.text(prologue)

    # --- entering and leaving -----------------------------------------------------------------

    def _enter(self) -> list[str]:
        facts = self.facts
        self.begin(Block("entry"))
        loaded = {name: self.load(f"cpu.{name}") for name in TYPES}
        loaded["c"] = self.value(f"trunc i8 {loaded['c']} to i1")
        loaded["v"] = self.value(f"shl i8 {loaded['v']}, 7")
        self.state = State(**loaded, base=self.load("cpu.cycle", kind="i32"))
        pc = self.load("cpu.pc", kind="i16")
        yes, no = self.fork(self.value(f"icmp ne i8 {self.load('cpu.d')}, 0"), RARE)
        self.begin(yes)
        self.line("ret i32 0")  # nothing has changed
        self.begin(no)
        self.go(self.dispatch, pc)
        return [
            "%program.at = getelementptr inbounds i8, ptr %board, i64 "
            + str(facts["board.program"]),
            "%program = load ptr, ptr %program.at, align 8",
            f"%rom = getelementptr inbounds i8, ptr %program, i64 {facts['program.rom']}",
        ]

    def _dispatch(self) -> None:
        pc = self.join(self.dispatch, pc=True)
        unknown = Block(self.new_label())
        entries = sorted(self.code.entries)
        cases = " ".join(
            f"i16 {self.code.address(at)}, label %{self.heads[at].label}" for at in entries
        )
        for at in entries:
            self.heads[at].incoming.append((self.block.label, self.state))
            self.heads[at].pcs.append("")
        self.line(f"switch i16 {pc}, label %{unknown.label} [ {cases} ]")
        self.begin(unknown)
        self.leave(pc, "0")

    def leave(self, pc: str, over: str) -> None:
        """Store the registers and return whether the frame is over, i32."""
        state = self.state
        for name, kind in TYPES.items():
            value = getattr(state, name)
            if name == "c":
                value = self.value(f"zext {kind} {value} to i8")
            if name == "v":
                value = self.value(f"lshr i8 {value}, 7")
            self.store(value, f"cpu.{name}")
        self.store(self.cycle(), "cpu.cycle", kind="i32")
        self.store(pc, "cpu.pc", kind="i16")
        self.line(f"ret i32 {over}")

    @contextmanager
    def aside(self, block: Block) -> Iterator[None]:
        """Write a block without changing the state of what follows."""
        state = self.state
        self.begin(block)
        yield
        self.state = state

    def leave_if(self, condition: str, pc: str, over: str = "0") -> None:
        """Leave in an unlikely case."""
        yes, no = self.fork(condition, RARE)
        with self.aside(yes):
            self.leave(pc, over)
        self.begin(no)

    def look(self) -> None:
        """Stop if the frame lasts too long."""
        late = self.value(f"icmp sge i32 {self.cycle()}, {self.facts['MAX_CYCLES']}")
        on = Block(self.new_label())
        self.line(f"br i1 {late}, label %{self.late.label}, label %{on.label}, {self.prof(RARE)}")
        self.begin(on)

    # --- going on ------------------------------------------------------------------------------

    def _run(self, at: int) -> None:
        """Write the instructions from a head up to the next one."""
        self.join(self.heads[at])
        while True:
            it = self.code.instructions[at]
            if not self._instruction(it):
                return
            if it.next in self.heads or it.next not in self.code.instructions:
                self._next(it)
                return
            at = it.next

    def _next(self, it: Instruction) -> None:
        pc = str(self.code.address(it.next))
        if it.next not in self.code.instructions:
            self.leave(pc, "0")
            return
        self.go(self.heads[it.next])

    def _jump(self, at: int, target: int) -> None:
        """Go where a branch or a jump goes."""
        pc = str(self.code.address(target))
        if target not in self.code.instructions:
            self.leave(pc, "0")
            return
        if target <= at:
            self.look()
        self.go(self.heads[target])

    def _jump_far(self, it: Instruction) -> None:
        if not self.code.is_far(it.word):
            self._jump(it.at, it.word & 0xFFF)
        else:
            self.leave(str(it.word), "0")

    # --- instructions ---------------------------------------------------------------------------

    def _instruction(self, it: Instruction) -> bool:
        """Write an instruction. Returns whether it goes on to the next."""
        row = it.row
        if row.kind == "b":
            self._branch(it)
            return True
        if row.kind == "c":
            return self._control(it)
        if row.kind == "i":
            self.spend(row.cycles)
            operations.IMPLIED[row.name](self)
        elif row.kind == "r":
            self._idle(it)
            self.spend(row.cycles)
            operations.READS[row.name](self, self._fetch(it))
        elif row.kind == "w":
            self.spend(row.cycles)
            self._store(it, operations.WRITES[row.name](self))
        else:
            self._modify(it)
        return True

    def _branch(self, it: Instruction) -> None:
        self.spend(2)
        yes, no = self.fork(operations.condition(self, it.row.name), self.code.odds(it.at))
        with self.aside(yes):
            self.spend(it.taken_cycles)
            self._jump(it.at, it.target)
        self.begin(no)

    def _idle(self, it: Instruction) -> None:
        """Skip LDA INTIM, BNE to itself, up to the last rounds."""
        rom = self.code.rom[it.at + 3 : it.at + 5]
        loads = it.row.name in ("lda", "ldx", "ldy") and it.row.mode == "abs"
        timer = loads and place(it.word) == "riot" and it.low & 5 == 4
        if not timer or rom != b"\xd0\xfb" or it.next not in self.code.instructions:
            return
        length = 4 + 2 + self.code.instructions[it.next].taken_cycles
        now = self.cycle()
        rounds = self.call(
            "idle_rounds", "i32", f"ptr {self.at('riot')}", f"i32 {now}", f"i32 {length}"
        )
        self.set(base=self.value(f"add i32 {now}, {self.value(f'mul i32 {rounds}, {length}')}"))

    # --- reads -----------------------------------------------------------------------------------

    def _fetch(self, it: Instruction) -> str:
        """Return the value that an instruction reads, i8."""
        mode = it.row.mode
        if mode == "imm":
            return str(it.low)
        if mode in ("zp", "abs"):
            return self._fetch_fixed(it)
        if mode in ("zpx", "zpy"):
            address = self.value(f"add i8 {it.low}, {self._index(mode)}")
            return self._either(
                self.value(f"icmp slt i8 {address}, 0"),
                lambda: self.load_at(self.ram(address)),
                lambda: self._read(self.value(f"zext i8 {address} to i32"), str(it.low)),
            )
        address, bus = self._indexed(it)
        self._count_crossing(it, address, bus)
        fixed = mode != "izy"
        if fixed and it.word & 0x1000 and it.word + 255 < 0x10000 and (it.word + 255) & 0x1000:
            return self._table(address)
        if fixed and not it.word & 0x1000:
            return self._read_indexed(address, bus)
        in_rom = self.value(f"icmp ne i16 {self.value(f'and i16 {address}, 4096')}, 0")
        return self._either(
            in_rom,
            lambda: self._table(address),
            lambda: self._read_indexed(address, bus),
        )

    def _read_indexed(self, address: str, bus: str) -> str:
        low = self.value(f"trunc i16 {address} to i8")
        return self._either(
            self._is_ram(address),
            lambda: self.load_at(self.ram(low)),
            lambda: self._read(self.value(f"zext i16 {address} to i32"), bus),
        )

    def _fetch_fixed(self, it: Instruction) -> str:
        zero_page = it.row.mode == "zp"
        address = it.low if zero_page else it.word
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
        return self._read_tia(it.low & 15, it.low if zero_page else it.high)

    def _read_tia(self, reg: int, bus: int) -> str:
        facts = self.facts
        if facts["INPT0"] <= reg <= facts["INPT3"]:
            charge = self.load("tia.charge", 4 * (reg - facts["INPT0"]), "i32")
            passed = self.value(f"sub i32 {self.cycle()}, {self.load('tia.released', kind='i32')}")
            full = self.value(f"icmp sgt i32 {passed}, {charge}")
            free = self.value(f"icmp sge i8 {self.load('tia.vblank')}, 0")
            both = self.value(f"and i1 {full}, {free}")
            low = bus & 0x3F
            return self.value(f"select i1 {both}, i8 {low | 0x80}, i8 {low}")
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

    def _either(self, condition: str, likely, unlikely) -> str:
        """Return one of two values, each written when it is needed."""
        self.cycle()
        yes, no = self.fork(condition)
        end = Block(self.new_label())
        values = []
        for block, write in ((yes, likely), (no, unlikely)):
            with self.aside(block):
                value = write()
                values.append((value, self.block))
                self.line(f"br label %{end.label}")
        self.begin(end)
        return self.pick("i8", *values)

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

    # --- writes ----------------------------------------------------------------------------------

    def _store(self, it: Instruction, value: str) -> None:
        mode = it.row.mode
        if mode in ("zp", "abs"):
            self._store_fixed(it, value)
            return
        if mode in ("zpx", "zpy"):
            address = self.value(f"add i8 {it.low}, {self._index(mode)}")
            self._store_zero_page(it, address, value)
            return
        if mode != "izy" and it.word & 0x1000 and it.word + 255 < 0x10000:
            if (it.word + 255) & 0x1000:
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
        address = it.low if it.row.mode == "zp" else it.word
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

    def _store_zero_page(self, it: Instruction, address: str, value: str) -> None:
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
        """Write WSYNC: wait for the line's end, unless it has just come."""
        length = self.facts["CYCLES_PER_LINE"]
        start = self.load("tia.cpu_line", kind="i32")
        passed = self.value(f"sub i32 {self.cycle()}, {start}")
        lines = self.value(f"udiv i32 {passed}, {length}")
        start = self.value(f"add i32 {start}, {self.value(f'mul i32 {lines}, {length}')}")
        self.store(start, "tia.cpu_line", kind="i32")
        ended = self.value(f"add i32 {start}, {length}")
        begun = self.value(f"icmp eq i32 {self.cycle()}, {start}")
        before = self.cycle()
        self.set(base=self.value(f"select i1 {begun}, i32 {before}, i32 {ended}"))

    # --- changes ---------------------------------------------------------------------------------

    def _modify(self, it: Instruction) -> None:
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

    # --- stack and jumps --------------------------------------------------------------------------

    def _control(self, it: Instruction) -> bool:
        name = it.row.name
        if name in ("pha", "php"):
            self.spend(it.row.cycles)
            self._push(it, self.state.a if name == "pha" else operations.pack_flags(self))
            return True
        if name in ("pla", "plp"):
            self._pull(it)
            return True
        if name == "jmp":
            self.spend(it.row.cycles)
            self._jump_far(it)
        elif name == "jsr":
            self._call(it)
        elif name == "brk":
            self._break(it)
        elif name == "rti":
            self._return_from_break(it)
        else:
            self._return(it)
        return False

    def _push(self, it: Instruction, value: str) -> None:
        pointer = self.state.sp
        self.set(sp=self.value(f"add i8 {pointer}, -1"))
        self._store_zero_page(it, pointer, value)

    def _pull(self, it: Instruction) -> None:
        here = str(self.code.address(it.at))
        pointer = self.value(f"add i8 {self.state.sp}, 1")
        self.leave_if(self.value(f"icmp sge i8 {pointer}, 0"), here)
        value = self.load_at(self.ram(pointer))
        if it.row.name == "plp":
            decimal = self.value(f"icmp ne i8 {self.value(f'and i8 {value}, 8')}, 0")
            self.leave_if(decimal, here)
        self.set(sp=pointer)
        self.spend(it.row.cycles)
        if it.row.name == "plp":
            operations.unpack_flags(self, value)
        else:
            self.set(a=value)
            operations.set_nz(self, value)

    def _call(self, it: Instruction) -> None:
        first = self.state.sp
        second = self.value(f"add i8 {first}, -1")
        both = self.value(f"and i8 {first}, {second}")
        here = self.code.address(it.at)
        self.leave_if(self.value(f"icmp sge i8 {both}, 0"), str(here))
        self.spend(it.row.cycles)
        self.line(f"store i8 {here + 2 >> 8}, ptr {self.ram(first)}, align 1")
        self.line(f"store i8 {here + 2 & 255}, ptr {self.ram(second)}, align 1")
        self.set(sp=self.value(f"add i8 {first}, -2"))
        self._jump_far(it)

    def _break(self, it: Instruction) -> None:
        """Write BRK. Games use it as a short call."""
        places = [self.state.sp, *(self.value(f"add i8 {self.state.sp}, {-n}") for n in (1, 2))]
        all_ = self.value(f"and i8 {self.value(f'and i8 {places[0]}, {places[1]}')}, {places[2]}")
        here = self.code.address(it.at)
        self.leave_if(self.value(f"icmp sge i8 {all_}, 0"), str(here))
        self.spend(it.row.cycles)
        flags = operations.pack_flags(self)
        for value, at in zip((here + 2 >> 8 & 255, here + 2 & 255, flags), places, strict=True):
            self.line(f"store i8 {value}, ptr {self.ram(at)}, align 1")
        self.store("1", "cpu.i")
        self.set(sp=self.value(f"add i8 {self.state.sp}, -3"))
        vector = self.code.vector
        if self.code.is_far(vector):
            self.leave(str(vector), "0")
        else:
            self._jump(it.at, vector & 0xFFF)

    def _return_from_break(self, it: Instruction) -> None:
        here = str(self.code.address(it.at))
        places = [self.value(f"add i8 {self.state.sp}, {n}") for n in (1, 2, 3)]
        all_ = self.value(f"and i8 {self.value(f'and i8 {places[0]}, {places[1]}')}, {places[2]}")
        self.leave_if(self.value(f"icmp sge i8 {all_}, 0"), here)
        flags = self.load_at(self.ram(places[0]))
        decimal = self.value(f"icmp ne i8 {self.value(f'and i8 {flags}, 8')}, 0")
        self.leave_if(decimal, here)
        target = self.load_at(self.ram(places[1]), "i16")
        self.set(sp=places[2])
        self.spend(it.row.cycles)
        operations.unpack_flags(self, flags)
        self.look()
        self.go(self.dispatch, target)

    def _return(self, it: Instruction) -> None:
        """Write RTS or JMP through a pointer in RAM."""
        here = str(self.code.address(it.at))
        if it.row.name == "jmi":
            if it.word & 0x1000 and it.low != 0xFF:
                at = it.word & 0xFFF
                target = str(self.code.rom[at] | self.code.rom[at + 1] << 8)
            elif place(it.word) == "ram" and it.low != 0xFF:
                target = self.load("ram", it.low & 0x7F, "i16")
            else:
                self.leave(here, "0")
                return
        else:
            first = self.value(f"add i8 {self.state.sp}, 1")
            second = self.value(f"add i8 {self.state.sp}, 2")
            both = self.value(f"and i8 {first}, {second}")
            self.leave_if(self.value(f"icmp sge i8 {both}, 0"), here)
            pulled = self.load_at(self.ram(first), "i16")
            target = self.value(f"add i16 {pulled}, 1")
            self.set(sp=second)
        self.spend(it.row.cycles)
        self.look()
        self.go(self.dispatch, target)
