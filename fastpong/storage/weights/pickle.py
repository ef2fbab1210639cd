"""Foreign weights: the pickled model of the reference program, read without unpickling it.

The reference program keeps ``{"W1": (H, 6400), "W2": (H,)}`` in a pickle, written by Python 2 or 3
with any protocol and by any NumPy. A pickle is a program for a small stack machine. Its REDUCE
and BUILD call Python functions. ``PickleReader`` runs the machine but has no function to call: it
knows the global names in pickled arrays, records the arguments of their calls, and refuses
everything else. Only when the program has ended are the recorded bytes of the
two arrays turned into arrays.

Rejected: a ``pickle.Unpickler`` with a guarded ``find_class``. Even that one can be made to hash
a tuple nested for 2^300 steps (a dictionary's key), to allocate 32 GB (a memo index) or to set
attributes of the admitted functions (BUILD), and so needs a second reader to guard it.
"""

from __future__ import annotations

import codecs
import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastpong.geometry import PONG

Doubles: TypeAlias = NDArray[np.float64]
Value: TypeAlias = Any
"""A value on the machine's stack. The input is hostile: it may be anything."""

PIXELS = PONG.pixels
#: Text pickles (protocol 0) take up to four bytes per byte: room for some 600 hidden units there.
MAX_FILE_BYTES = 128 << 20
#: The real ones take about a hundred.
MAX_OPCODES = 1000

_RECONSTRUCT, _FROMBUFFER, _NDARRAY = "rebuild an array", "array from a buffer", "array type"
_DTYPE, _ENCODE = "dtype", "encode text"
#: Everything that may be named: NumPy 1 and 2, and how Python 3 writes bytes for protocols 0-2.
_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROMBUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROMBUFFER,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DTYPE,
    ("_codecs", "encode"): _ENCODE,
}
_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_NUMERIC = re.compile(r"f[248]|[iu][1248]")


class ForeignError(Exception):
    """Report a file other than the reference's model."""


def read_reference_pickle(path: str | Path) -> dict[str, Doubles]:
    """Read the reference program's ``save.p``.

    Returns ``{"W1": (H, 6400) float64, "W2": (H,) float64}``, finite, writable.
    Raises ForeignError for anything else. Nothing of the file is executed.
    """
    data = _read(Path(path))
    try:
        return _weights(PickleReader(data).load())
    except ForeignError as error:
        raise ForeignError(f"{path}: {error}") from error


@dataclass(frozen=True)
class _Global:
    """Hold an admitted name on the machine's stack.

    It cannot be called.
    """

    role: str


@dataclass
class _Text:
    """Hold bytes written as text, one character per byte.

    They are encoded only when needed.
    """

    text: str


@dataclass
class _Dtype:
    """Hold a numeric dtype: its code and byte order.

    For example ``f8`` and ``<`` or ``>``.
    """

    code: str
    order: str = "<"


@dataclass
class _Array:
    """Hold the unchecked parts of an array."""

    shape: object = None
    dtype: object = None
    fortran: object = False
    raw: object = None


class _Mark:
    """Mark a group's start on the machine's stack."""


class PickleReader:
    """Run pickle programs of numeric arrays in dictionaries.

    Protocols 0-5, and nothing but such arrays. Strings come back as str, Python 2's byte strings
    too, with one character per byte.
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
                raise ForeignError(f"expected a name in a dictionary, got {_describe(key)}")
            target[key] = value

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
            self._push(_Array())
        elif role == _FROMBUFFER:
            raw, dtype, shape, order = arguments
            self._push(_Array(shape, dtype, order == "F", raw))
        elif role == _DTYPE and type(arguments[0]) is str and _NUMERIC.fullmatch(arguments[0]):
            self._push(_Dtype(arguments[0]))
        elif role == _ENCODE and type(arguments[0]) is str and arguments[1] == "latin1":
            self._push(_Text(arguments[0]))
        elif role == _DTYPE:
            raise ForeignError(f"expected numbers, got a dtype {_describe(arguments[0])}")
        else:
            raise ForeignError(f"expected an array's parts, got a call of {_describe(function)}")

    def _build(self) -> None:
        """Record the state of an array or a dtype."""
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, _Array) and target.raw is None:
            _, target.shape, target.dtype, target.fortran, target.raw = state
        elif isinstance(target, _Dtype) and state[1] in ("<", ">", "|"):
            if any(part is not None for part in state[2:5]):
                raise ForeignError("expected a dtype of plain numbers, got one with fields")
            target.order = state[1]
        else:
            raise ForeignError(f"expected an array's state, got one of {_describe(target)}")

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]


#: Operations that only put their argument on the stack.
_PUSH = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"),
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


def _read(path: Path) -> bytes:
    try:
        # Before opening: a pipe would block, and a device has no end.
        if not path.is_file():
            raise ForeignError(f"{path}: expected a file, found none; name the file save.p")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ForeignError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > MAX_FILE_BYTES:
        raise ForeignError(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got more")
    return data


def _weights(model: object) -> dict[str, Doubles]:
    """Check the model and make its arrays."""
    if not isinstance(model, dict) or model.keys() != {"W1", "W2"}:
        raise ForeignError(
            f"expected a dictionary of W1 and W2, got {_describe(model)}; "
            "give the file save.p of the reference program"
        )
    w1, w2 = (_array(name, model[name]) for name in ("W1", "W2"))
    if w1.ndim != 2 or w1.shape[1] != PIXELS or not len(w1) or w2.shape != w1.shape[:1]:
        raise ForeignError(
            f"expected W1 of shape (H, {PIXELS}) and W2 of shape (H,), H >= 1, "
            f"got {w1.shape} and {w2.shape}; only models for 80x80 pixels can be imported"
        )
    if not (np.isfinite(w1).all() and np.isfinite(w2).all()):
        raise ForeignError("expected finite weights, got NaN or infinity; take another file")
    return {"W1": w1, "W2": w2}


def _array(name: str, parts: object) -> Doubles:
    """Check an array's parts and make it."""
    if not isinstance(parts, _Array) or not isinstance(parts.dtype, _Dtype):
        raise ForeignError(f"{name}: expected an array of numbers, got {_describe(parts)}")
    shape, dtype = parts.shape, np.dtype(parts.dtype.order + parts.dtype.code)
    if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 2**31 for n in shape):
        raise ForeignError(f"{name}: expected a shape of whole numbers, got another")
    if not 1 <= len(shape) <= 2:
        raise ForeignError(f"{name}: expected one or two dimensions, got {len(shape)}")
    raw = _bytes(parts.raw)
    if raw is None or len(raw) != math.prod(shape) * dtype.itemsize:
        raise ForeignError(f"{name}: expected the bytes of an array of shape {shape}, got others")
    if type(parts.fortran) not in (bool, int):
        raise ForeignError(f"{name}: expected a memory order, got {_describe(parts.fortran)}")
    flat = np.frombuffer(raw, dtype).astype(np.float64)
    return np.ascontiguousarray(flat.reshape(shape, order="F" if parts.fortran else "C"))


def _bytes(raw: object) -> bytes | bytearray | None:
    """Return an array's bytes from any pickled form."""
    text = raw.text if isinstance(raw, _Text) else raw
    if isinstance(text, str):
        # Only characters up to 255 are bytes.
        return text.encode("latin-1") if text.isascii() or max(text) <= "\xff" else None
    return text if isinstance(text, (bytes, bytearray)) else None


def _describe(value: object) -> str:
    """Name a value without printing it.

    It may be nested without end.
    """
    if isinstance(value, dict):
        return f"a dictionary of {', '.join(sorted(value)[:5])[:200] or 'nothing'}"
    if isinstance(value, str):
        return repr(value[:80])
    if isinstance(value, _Global):
        return value.role
    return f"a {type(value).__name__.strip('_').lower()}"
