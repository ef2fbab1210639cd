"""The pickle machine: runs a pickle's program, calls nothing.

A pickle is a program for a small stack machine. Its REDUCE and BUILD call Python functions.
``PickleReader`` runs the machine but has no function to call: it knows the global names in pickled
arrays, records the arguments of their calls, and refuses everything else.

Rejected: a ``pickle.Unpickler`` with a guarded ``find_class``. Even that one can be made to hash
a tuple nested for 2^300 steps (a dictionary's key), to allocate 32 GB (a memo index) or to set
attributes of the admitted functions (BUILD), and so needs a second reader to guard it.
"""

from __future__ import annotations

import codecs
import io
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""A value on the machine's stack. The input is hostile: it may be anything."""

#: The real ones take about a hundred.
MAX_OPCODES = 1000

_RECONSTRUCT, _FROMBUFFER, _NDARRAY = "rebuild an array", "array from a buffer", "array type"
_DTYPE, _ENCODE, _SCALAR = "dtype", "encode text", "number of an array's type"
#: Everything that may be named: NumPy 1 and 2, and how Python 3 writes bytes for protocols 0-2.
_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROMBUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROMBUFFER,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
    ("_codecs", "encode"): _ENCODE,
}
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_NUMERIC = re.compile(r"f[248]|[iu][1248]")


class ForeignError(Exception):
    """Report a file other than the reference's model."""


@dataclass(frozen=True)
class _Global:
    """Hold an admitted name on the machine's stack.

    It cannot be called.
    """

    role: str


@dataclass
class Text:
    """Hold bytes written as text, one character per byte.

    They are encoded only when needed.
    """

    text: str


@dataclass
class DtypeParts:
    """Hold a numeric dtype: its code and byte order.

    For example ``f8`` and ``<`` or ``>``.
    """

    code: str
    order: str = "<"


@dataclass
class ArrayParts:
    """Hold the unchecked parts of an array."""

    shape: object = None
    dtype: object = None
    fortran: object = False
    raw: object = None


class _Mark:
    """Mark a group's start on the machine's stack."""


class PickleReader:
    """Run pickle programs of numeric arrays in dictionaries.

    Protocols 0-5, and nothing but such arrays, numbers and lists of them. Strings come back as str,
    Python 2's byte strings too, with one character per byte.
    """

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self._stack: list[Value] = []
        self._memo: dict[int, Value] = {}

    def load(self) -> object:
        """Run the program and return its result.

        Raises ForeignError.
        """
        try:
            for _ in range(MAX_OPCODES):
                code = self._data.read(1).decode("latin-1")
                if code == ".":
                    return self._stack.pop()
                self._step(code)
        except ForeignError:
            raise
        # The input is hostile and every mistake in it, of whatever kind, means the same thing.
        except Exception as error:
            raise ForeignError(
                f"expected a pickle of arrays, got a broken one at byte {self._data.tell()} "
                f"({type(error).__name__}); copy the file again, in binary mode"
            ) from error
        raise ForeignError(f"expected at most {MAX_OPCODES} pickle operations, got more")

    def _step(self, code: str) -> None:
        if code not in _OPCODES:
            what = f"byte {code!r}" if code else "the end of the file"
            raise ForeignError(f"expected a pickle operation, got {what}; this is no whole pickle")
        opcode = _OPCODES[code]
        if code == "S":
            self._stack.append(self._python2_string())
            return
        if opcode.name not in _PUSH and opcode.name not in _ACTIONS:
            raise ForeignError(f"expected a pickle of arrays, got the operation {opcode.name}")
        argument = opcode.arg.reader(self._data) if opcode.arg else None
        if opcode.name in _PUSH:
            self._stack.append(argument)
        else:
            _ACTIONS[opcode.name](self, argument)

    def _python2_string(self) -> str:
        # pickletools reads the escapes of this operation, too, but then insists on ASCII.
        line = self._data.readline()
        if len(line) < 3 or line[:1] not in b"'\"" or line[-2:] != line[:1] + b"\n":
            raise ForeignError("expected a quoted string, got an unquoted one")
        return codecs.escape_decode(line[1:-2])[0].decode("latin-1")

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _group(self) -> list[Value]:
        """Pop everything above the topmost mark, and the mark."""
        start = max(i for i, value in enumerate(self._stack) if isinstance(value, _Mark))
        group = self._stack[start + 1 :]
        del self._stack[start:]
        return group

    def _tuple(self, count: int) -> None:
        items = [self._stack.pop() for _ in range(count)]
        self._stack.append(tuple(items[::-1]))

    def _set_items(self, items: list[Value]) -> None:
        target = self._stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str or type(target) is not dict:
                raise ForeignError(f"expected a name in a dictionary, got {describe(key)}")
            target[key] = value

    def _append(self, items: list[Value]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise ForeignError(f"expected a list, got {describe(target)}")
        target += items

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def _dictionary(self) -> None:
        items = self._group()
        self._stack.append({})
        self._set_items(items)

    def _global(self, module: object, name: object) -> None:
        role = _GLOBALS.get((module, name)) if type(module) is type(name) is str else None
        if role is None:
            raise ForeignError(
                f"expected a pickle of arrays, got one that names {str(module)[:80]!r} "
                f"{str(name)[:80]!r}; nothing of it was executed, do not trust the file"
            )
        self._stack.append(_Global(role))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._global(module, name)

    def _reduce(self) -> None:
        """Record the call of an admitted name."""
        arguments, function = self._stack.pop(), self._stack.pop()
        role = function.role if isinstance(function, _Global) else None
        if role == _RECONSTRUCT and arguments[0] == _Global(_NDARRAY):
            self._push(ArrayParts())
        elif role == _FROMBUFFER:
            raw, dtype, shape, order = arguments
            self._push(ArrayParts(shape, dtype, order == "F", raw))
        elif role == _DTYPE and type(arguments[0]) is str and _NUMERIC.fullmatch(arguments[0]):
            self._push(DtypeParts(arguments[0]))
        elif role == _SCALAR and isinstance(arguments[0], DtypeParts):
            self._push(None)  # a running mean beside the weights, which nobody asks for
        elif role == _ENCODE and type(arguments[0]) is str and arguments[1] == "latin1":
            self._push(Text(arguments[0]))
        elif role == _DTYPE:
            raise ForeignError(f"expected numbers, got a dtype {describe(arguments[0])}")
        else:
            raise ForeignError(f"expected an array's parts, got a call of {describe(function)}")

    def _build(self) -> None:
        """Record the state of an array or a dtype."""
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, ArrayParts) and target.raw is None:
            _, target.shape, target.dtype, target.fortran, target.raw = state
        elif isinstance(target, DtypeParts) and state[1] in ("<", ">", "|"):
            if any(part is not None for part in state[2:5]):
                raise ForeignError("expected a dtype of plain numbers, got one with fields")
            target.order = state[1]
        else:
            raise ForeignError(f"expected an array's state, got one of {describe(target)}")

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]


#: Operations that only put their argument on the stack.
_PUSH = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_ACTIONS: dict[str, Callable[[PickleReader, Value], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "NONE": lambda machine, _: machine._push(None),
    "NEWTRUE": lambda machine, _: machine._push(True),
    "NEWFALSE": lambda machine, _: machine._push(False),
    "MARK": lambda machine, _: machine._push(_Mark()),
    "EMPTY_TUPLE": lambda machine, _: machine._push(()),
    "TUPLE": lambda machine, _: machine._push(tuple(machine._group())),
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "EMPTY_DICT": lambda machine, _: machine._push({}),
    "DICT": lambda machine, _: machine._dictionary(),
    "EMPTY_LIST": lambda machine, _: machine._push([]),
    "LIST": lambda machine, _: machine._push(machine._group()),
    "APPEND": lambda machine, _: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._group()),
    "SETITEM": lambda machine, _: machine._set_item(),
    "SETITEMS": lambda machine, _: machine._set_items(machine._group()),
    "PUT": lambda machine, index: machine._put(index),
    "BINPUT": lambda machine, index: machine._put(index),
    "LONG_BINPUT": lambda machine, index: machine._put(index),
    "MEMOIZE": lambda machine, _: machine._put(len(machine._memo)),
    "GET": lambda machine, index: machine._push(machine._memo[index]),
    "BINGET": lambda machine, index: machine._push(machine._memo[index]),
    "LONG_BINGET": lambda machine, index: machine._push(machine._memo[index]),
    "GLOBAL": lambda machine, names: machine._global(*names.split(" ")),
    "STACK_GLOBAL": lambda machine, _: machine._stack_global(),
    "REDUCE": lambda machine, _: machine._reduce(),
    "BUILD": lambda machine, _: machine._build(),
}


#: Our own classes, by the words of an error message.
_NAMES: dict[type, str] = {ArrayParts: "array", DtypeParts: "dtype"}


def describe(value: object) -> str:
    """Name a value without printing it.

    It may be nested without end.
    """
    if isinstance(value, dict):
        return f"a dictionary of {', '.join(sorted(value)[:5])[:200] or 'nothing'}"
    if isinstance(value, str):
        return repr(value[:80])
    if isinstance(value, _Global):
        return value.role
    return f"a {_NAMES.get(type(value)) or type(value).__name__.strip('_').lower()}"
