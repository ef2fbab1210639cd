"""Write LLVM's assembly for translated code: values, blocks and where they join."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

TYPES = {"a": "i8", "x": "i8", "y": "i8", "sp": "i8", "n": "i8", "z": "i8", "c": "i1", "v": "i8"}
"""The CPU's registers as values. V is bit 7 of v, which costs nothing until it is asked for."""


EVEN = (1, 1)
RARE = (1, 2000)
OFTEN = (2000, 1)
"""Odds of a branch that is hardly ever taken, or nearly always."""


@dataclass(frozen=True)
class State:
    """The values that hold the CPU's registers at some place. The cycle is base + offset."""

    a: str
    x: str
    y: str
    sp: str
    n: str
    z: str
    c: str
    v: str
    base: str
    offset: int = field(default=0, kw_only=True)


@dataclass
class Block:
    """A block of instructions, with the states in which others come to it."""

    label: str
    lines: list[str] = field(default_factory=list)
    incoming: list[tuple[str, State]] = field(default_factory=list)
    pcs: list[str] = field(default_factory=list)


class Writer:
    """Write a function ``run(console, board)``, block by block."""

    def __init__(self, facts: dict[str, int]) -> None:
        self.facts = facts
        self.blocks: list[Block] = []
        self.pointers: dict[str, str] = {}
        self.odds: dict[tuple[int, int], int] = {}
        self.count = 0
        self.block = Block("entry")
        self.state = State(*([""] * 9))

    def value(self, text: str) -> str:
        """Write an instruction and return its value."""
        self.count += 1
        name = f"%t{self.count}"
        self.block.lines.append(f"{name} = {text}")
        return name

    def line(self, text: str) -> None:
        """Write an instruction without a value."""
        self.block.lines.append(text)

    def new_label(self) -> str:
        """Return a label that is not used."""
        self.count += 1
        return f"b{self.count}"

    def begin(self, block: Block) -> None:
        """Go on in a block."""
        self.block = block
        self.blocks.append(block)

    def set(self, **values: str) -> None:
        """Change registers, or the cycle by its base."""
        self.state = replace(self.state, **values)  # type: ignore[arg-type]

    # --- cycles ------------------------------------------------------------------------------

    def spend(self, cycles: int) -> None:
        """Let a constant number of cycles pass."""
        self.state = replace(self.state, offset=self.state.offset + cycles)

    def cycle(self) -> str:
        """Return the cycle."""
        if self.state.offset:
            now = self.value(f"add nsw i32 {self.state.base}, {self.state.offset}")
            self.state = replace(self.state, base=now, offset=0)
        return self.state.base

    # --- memory ------------------------------------------------------------------------------

    def at(self, name: str, index: int = 0) -> str:
        """Return the pointer to a field of the console, or to a byte of one."""
        pointer = f"%p.{name}.{index}"
        if pointer not in self.pointers:
            offset = self.facts[f"console.{name}"] + index
            self.pointers[pointer] = f"getelementptr inbounds i8, ptr %console, i64 {offset}"
        return pointer

    def load(self, name: str, index: int = 0, kind: str = "i8") -> str:
        """Load a field of the console."""
        return self.value(f"load {kind}, ptr {self.at(name, index)}, align 1")

    def store(self, value: str, name: str, index: int = 0, kind: str = "i8") -> None:
        """Store a field of the console."""
        self.line(f"store {kind} {value}, ptr {self.at(name, index)}, align 1")

    def ram(self, address: str) -> str:
        """Return the pointer to the RAM's byte at an address, i8."""
        low = self.value(f"and i8 {address}, 127")
        index = self.value(f"zext i8 {low} to i64")
        return self.value(f"getelementptr inbounds i8, ptr {self.at('ram')}, i64 {index}")

    def load_at(self, pointer: str, kind: str = "i8") -> str:
        """Load from a pointer."""
        return self.value(f"load {kind}, ptr {pointer}, align 1")

    def call(self, service: str, kind: str, *arguments: str) -> str:
        """Call a function of the Program's services. Returns its value unless it has none."""
        offset = self.facts[f"service.{service}"]
        pointer = self.value(f"getelementptr inbounds i8, ptr %program, i64 {offset}")
        function = self.value(f"load ptr, ptr {pointer}, align 8")
        text = f"call {kind} {function}({', '.join(arguments)})"
        if kind == "void":
            self.line(text)
            return ""
        return self.value(text)

    # --- control -----------------------------------------------------------------------------

    def fork(self, condition: str, odds: tuple[int, int] = EVEN) -> tuple[Block, Block]:
        """Branch. Returns the blocks for true and false, neither of which is begun.

        odds : how often it is true and how often false
        """
        yes, no = Block(self.new_label()), Block(self.new_label())
        prof = self.prof(odds)
        self.line(f"br i1 {condition}, label %{yes.label}, label %{no.label}, {prof}")
        return yes, no

    def prof(self, odds: tuple[int, int]) -> str:
        """Return a branch's note of its odds."""
        return f"!prof !{self.odds.setdefault(odds, len(self.odds))}"

    def go(self, block: Block, pc: str = "") -> None:
        """Go to a block that others go to as well."""
        self.cycle()
        block.incoming.append((self.block.label, self.state))
        block.pcs.append(pc)
        self.line(f"br label %{block.label}")

    def join(self, block: Block, pc: bool = False) -> str:
        """Begin a block that others go to. Returns its program counter if it has one."""
        self.begin(block)
        self.state = State(*(f"%{block.label}.{name}" for name in (*TYPES, "base")))
        return f"%{block.label}.pc" if pc else ""

    def pick(self, kind: str, *values: tuple[str, Block]) -> str:
        """Return the value that belongs to the block that was left."""
        pairs = ", ".join(f"[ {value}, %{block.label} ]" for value, block in values)
        return self.value(f"phi {kind} {pairs}")

    def either(self, condition: str, true: Callable[[], str], false: Callable[[], str]) -> str:
        """Return one of two bytes, each written where it is needed."""
        self.cycle()
        yes, no = self.fork(condition)
        end = Block(self.new_label())
        values = []
        for block, write in ((yes, true), (no, false)):
            with self.aside(block):
                value = write()
                values.append((value, self.block))
                self.line(f"br label %{end.label}")
        self.begin(end)
        return self.pick("i8", *values)

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

    # --- text --------------------------------------------------------------------------------

    def text(self, prologue: list[str]) -> str:
        """Return the function. ``prologue`` begins it, without a terminator."""
        out = [
            'define i32 @run(ptr noalias %console, ptr noalias %board) nounwind "no-builtins" {',
            "entry:",
        ]
        out += prologue
        out += [f"{name} = {text}" for name, text in self.pointers.items()]
        for block in self.blocks:
            if block.label != "entry":
                out.append(f"{block.label}:")
            out += _phis(block)
            out += block.lines
        out.append("}")
        for (yes, no), number in self.odds.items():
            out.append(f'!{number} = !{{!"branch_weights", i32 {yes}, i32 {no}}}')
        return "\n".join([*out, ""])


def _phis(block: Block) -> list[str]:
    if not block.incoming:
        return []
    lines = []
    for name, kind in (*TYPES.items(), ("base", "i32")):
        pairs = ", ".join(
            f"[ {getattr(state, name)}, %{label} ]" for label, state in block.incoming
        )
        lines.append(f"%{block.label}.{name} = phi {kind} {pairs}")
    if block.pcs[0]:
        pairs = ", ".join(
            f"[ {pc}, %{label} ]" for pc, (label, _) in zip(block.pcs, block.incoming, strict=True)
        )
        lines.append(f"%{block.label}.pc = phi i16 {pairs}")
    return lines
