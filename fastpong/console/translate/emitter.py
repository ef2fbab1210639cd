"""Translate a cartridge's code: one function that runs from any entry."""

from __future__ import annotations

from fastpong.console.translate import operations
from fastpong.console.translate.reach import Code, Instruction, place, successors
from fastpong.console.translate.writer import RARE, TYPES, Block, State
from fastpong.console.translate.writes import MemoryWriter


class Emitter(MemoryWriter):
    """Write the function of a cartridge.

    The console is the interpreter's at every instruction, so the interpreter can go on anywhere:
    ``leave`` stores the registers and returns. Decimal mode, the stack outside of RAM and other
    rare things leave at the instruction itself.

    A frame that lasts too long is run again by ``console_frame``, so the registers do not matter
    once it does. Translated code looks at the clock wherever it may go backward.
    """

    def __init__(self, code: Code, facts: dict[str, int]) -> None:
        super().__init__(code, facts)
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
        self.state = State(*(*loaded.values(), self.load("cpu.cycle", kind="i32")))
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
            operations.READS[row.name](self, self.read_operand(it))
        elif row.kind == "w":
            self.spend(row.cycles)
            self.write_operand(it, operations.WRITES[row.name](self))
        else:
            self.modify(it)
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
        self.store_zero_page(it, pointer, value)

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
