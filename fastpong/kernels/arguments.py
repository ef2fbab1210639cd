"""Arguments of kernels, as declarations have them. See ``spec``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels import checks

DType = np.dtype[np.generic]
Dtypes = tuple[DType, ...]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
Shaped = Callable[[Array], Array]
Values = dict[str, Array]

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
U8, U16 = np.dtype(np.uint8), np.dtype(np.uint16)
I8, I32, I64 = np.dtype(np.int8), np.dtype(np.int32), np.dtype(np.int64)
FLOAT: Dtypes = (F32, F64)
"""One of these, the same for all arrays of a call that are declared so."""
MOST_PIXELS = 32767
"""Rows or columns of a picture that is resized."""
ANY: tuple[str, ...] = ("...",)
"""Dimensions of arrays that have any shape, all the same one."""


class Call:
    """A call under way, with its sizes and arrays."""

    __slots__ = ("arguments", "arrays", "cleared", "float", "outputs", "sizes", "written")

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.float: DType | None = None
        self.arrays: Values = {}
        self.written: list[tuple[str, tuple[str, ...]]] = []
        self.cleared: list[Array] = []
        self.outputs: list[Array] = []
        self.arguments: list[object] = []


Rule = Callable[[Call, Array], None]


class ArrayItem:
    """Arrays of one name.

    dtypes : FLOAT, or those allowed
    dims   : numbers, names of sizes, or multiples and sums of the two: "2M", "T+1"
    then   : a rule for its values, and for those of the arguments before it
    draw   : draws an example, normal numbers by default
    shaped : reshapes it for the raw kernel
    """

    takes = True

    def __init__(
        self, name: str, dtypes: Dtypes | DType, dims: Sequence[int | str],
        then: Rule | None = None, draw: Draw | None = None, shaped: Shaped | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.dtypes = dtypes if isinstance(dtypes, tuple) else (dtypes,)
        self.dims = tuple(dims)
        self.then, self.draw, self.shaped = then, draw, shaped
        self._shared = self.dtypes is FLOAT
        self._parsed = tuple(_parse(dim) for dim in dims)
        self._any = self.dims == ANY

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape that these sizes give."""
        return tuple(
            plus if name is None else times * sizes[name] + plus
            for name, times, plus in self._parsed
        )

    def same(self, call: Call, value: object) -> Array:
        """Check type, dtype and shape, return a plain array."""
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{self.name}: expected a NumPy array, got {type(value).__name__}")
        # A subclass such as np.matrix would bring operators of its own along.
        array: Array = value if value.__class__ is np.ndarray else np.asarray(value)
        dtype = array.dtype
        if self._shared:
            if dtype is not call.float:
                self._share(call, dtype)
        elif dtype not in self.dtypes:
            raise self._wrong_dtype(self.dtypes, dtype)
        shape, sizes = array.shape, call.sizes
        if self._any:
            self._same_shape(call, shape)
        elif len(shape) != len(self._parsed):
            raise self._wrong_shape(call, shape)
        else:
            for (name, times, plus), size in zip(self._parsed, shape, strict=True):
                known = 0 if name is None else sizes.setdefault(name, (size - plus) // times)
                if times * known + plus != size or known < 0:
                    raise self._wrong_shape(call, shape)
        call.arrays[self.name] = array
        return array

    def _share(self, call: Call, dtype: DType) -> None:
        allowed = FLOAT if call.float is None else (call.float,)
        if dtype not in allowed:
            raise self._wrong_dtype(allowed, dtype)
        call.float = dtype

    def _same_shape(self, call: Call, shape: tuple[int, ...]) -> None:
        first = next((a for a in call.arrays.values()), None)
        if first is not None and first.shape != shape:
            raise ValueError(f"{self.name}: expected shape {first.shape}, got {shape}")

    def _wrong_dtype(self, allowed: Dtypes, got: DType) -> TypeError:
        wanted = " or ".join(str(dtype) for dtype in allowed)
        return TypeError(
            f"{self.name}: expected dtype {wanted}, got {got}; convert it with .astype()"
        )

    def _wrong_shape(self, call: Call, got: tuple[int, ...]) -> ValueError:
        parts = [
            dim if name is None or name not in call.sizes
            else f"{dim}={times * call.sizes[name] + plus}"
            for dim, (name, times, plus) in zip(self.dims, self._parsed, strict=True)
        ]  # fmt: skip
        wanted = ", ".join(map(str, parts)) + ("," if len(parts) == 1 else "")
        return ValueError(f"{self.name}: expected shape ({wanted}), got {got}")

    def finish(self, call: Call, array: Array) -> Array:
        """Apply the rule, reshape."""
        if self.then is not None:
            self.then(call, array)
        return array if self.shaped is None else self.shaped(array)

    def example(self, rng: np.random.Generator, sizes: Mapping[str, int], kind: DType) -> Array:
        """Draw an array that is valid without rules."""
        shape = self.shape(sizes)
        if self.draw is not None:
            drawn = self.draw(rng, shape)
            return drawn.astype(kind) if self._shared else drawn
        dtype = kind if self._shared else self.dtypes[0]
        return rng.standard_normal(shape).astype(dtype)


def _parse(dim: int | str) -> tuple[str | None, int, int]:
    """Split a dimension such as "2M" or "T+1".

    Returns its name, the factor and the number to add.
    """
    if isinstance(dim, int):
        return None, 0, dim
    factor, name, plus = re.fullmatch(r"(\d*)([^+]+)(?:\+(\d+))?", dim).groups()  # type: ignore[union-attr]
    return name, int(factor or 1), int(plus or 0)


class In(ArrayItem):
    """An input.

    It may be read-only. It is copied unless it is C-contiguous and aligned.
    """

    def check(self, call: Call, value: object) -> Array:
        """Return it, or a C-contiguous aligned copy."""
        array = self.same(call, value)
        flags = array.flags
        if not (flags.c_contiguous and flags.aligned):
            array = call.arrays[self.name] = np.require(array, requirements=("C", "A"))
        return self.finish(call, array)


class Bound(ArrayItem):
    """An input that is read again later.

    A copy would not follow the caller.
    """

    def check(self, call: Call, value: object) -> Array:
        """Return it, itself."""
        array = self.same(call, value)
        if not (array.flags.c_contiguous and array.flags.aligned):
            raise ValueError(
                f"{self.name}: expected a C-contiguous array, since it is read again at each step, "
                f"got one that is not; pass np.ascontiguousarray({self.name})"
            )
        return self.finish(call, array)


class InPlace(ArrayItem):
    """An output that the caller gives.

    It may be an input too. It shares no memory with other arrays.
    """

    aliases: tuple[str, ...] = ()

    def check(self, call: Call, value: object) -> Array:
        """Return it, itself."""
        array = self.same(call, value)
        if not array.flags.carray:
            raise ValueError(
                f"{self.name}: expected a writeable, C-contiguous array to write into, got one "
                f"that is not; pass a fresh array"
            )
        call.written.append((self.name, self.aliases))
        return self.finish(call, array)


class Out(InPlace):
    """An output, allocated where it is None.

    aliases : inputs that it may be, as a whole
    added   : the kernel adds to it, so it is 0 before, unless the caller wants it added to
    default : sizes that no input has set
    """

    def __init__(
        self, name: str, dtypes: Dtypes | DType, dims: Sequence[int | str],
        then: Rule | None = None, shaped: Shaped | None = None, aliases: tuple[str, ...] = (),
        added: bool = False, default: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, dtypes, dims, then, None, shaped)
        self.aliases, self.added, self.default = aliases, added, default

    def example(self, rng: np.random.Generator, sizes: Mapping[str, int], kind: DType) -> Array:
        """Return room that is to be overwritten."""
        return np.full(self.shape(sizes), 7, kind if self._shared else self.dtypes[0])

    def check(self, call: Call, value: object) -> Array:
        """Return it, itself or a fresh one."""
        if value is not None:
            raw = super().check(call, value)
            call.outputs.append(call.arrays[self.name])
            if self.added:
                call.cleared.append(call.arrays[self.name])
            return raw
        if self.default is not None:
            for name, size in self.default.items():
                call.sizes.setdefault(name, size)
        dtype = call.float if self._shared and call.float is not None else self.dtypes[0]
        make = np.zeros if self.added else np.empty
        array: Array = make(self.shape(call.sizes), dtype)
        call.arrays[self.name] = array
        call.outputs.append(array)
        return self.finish(call, array)


class Scratch(ArrayItem):
    """Room for a kernel to work in."""

    takes = False

    def check(self, call: Call, value: object) -> Array:
        """Return fresh room, integers as zeros."""
        if self._shared:
            return np.empty(self.shape(call.sizes), call.float)
        return np.zeros(self.shape(call.sizes), self.dtypes[0])


@dataclass(frozen=True)
class Number:
    """A number.

    rule    : returns it as the raw kernel takes it, or raises. Its first argument is the name
    example : a valid one
    """

    name: str
    rule: Callable[[str, object], float]
    example: float
    takes: bool = True

    def check(self, call: Call, value: object) -> float:
        """Return it by the rule."""
        return self.rule(self.name, value)


@dataclass(frozen=True)
class One:
    """A number, alone or in an array of one.

    The raw kernel takes it as such an array.
    """

    name: str
    example: float
    takes: bool = True

    def check(self, call: Call, value: object) -> Array:
        """Return it in the float dtype of the call."""
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        return np.full(1, checks.real(self.name, value), call.float)


@dataclass(frozen=True)
class AboveZero:
    """A number > 0, also in the call's float dtype."""

    name: str
    example: float
    takes: bool = True

    def check(self, call: Call, value: object) -> float:
        """Return it as a float."""
        number = checks.not_negative(self.name, value)
        if not float(np.asarray(number, call.float)) > 0:
            raise ValueError(f"{self.name}: expected > 0 in {call.float}, got {value!r}")
        return number


@dataclass(frozen=True)
class Flag:
    """Anything that is true or false."""

    name: str
    example: bool
    takes: bool = True

    def check(self, call: Call, value: object) -> bool:
        """Return it as a bool."""
        return bool(value)


@dataclass(frozen=True)
class Choice:
    """One of some names.

    The raw kernel takes its position.
    """

    name: str
    names: tuple[str, ...]
    takes: bool = True

    @property
    def example(self) -> str:
        """Return the first name."""
        return self.names[0]

    def check(self, call: Call, value: object) -> int:
        """Return the position of a name."""
        if not isinstance(value, str) or value not in self.names:
            wanted = ", ".join(map(repr, self.names))
            error = ValueError if isinstance(value, str) else TypeError
            raise error(f"{self.name}: expected one of {wanted}, got {value!r}")
        return self.names.index(value)


@dataclass(frozen=True)
class Size:
    """Rows and columns to resize to, or one number for both.

    before  : the sizes of the rows and columns to resize
    after   : those that it sets
    example : a valid one
    """

    name: str
    before: tuple[str, str]
    after: tuple[str, str]
    example: tuple[int, int]
    takes: bool = True

    def check(self, call: Call, value: object) -> tuple[int, int]:
        """Return (rows, columns)."""
        pair = value if isinstance(value, tuple) else (value, value)
        if len(pair) != 2:
            raise ValueError(f"{self.name}: expected (rows, columns), got {value!r}")
        size = checks.count(self.name, pair[0]), checks.count(self.name, pair[1])
        before = call.sizes[self.before[0]], call.sizes[self.before[1]]
        if max(size) > MOST_PIXELS:
            raise ValueError(f"{self.name}: expected at most {MOST_PIXELS}, got {value!r}")
        if not all(before) or max(before) > MOST_PIXELS:
            raise ValueError(f"frame: expected 1 to {MOST_PIXELS} rows and columns, got {before}")
        call.sizes.update(zip(self.after, size, strict=True))
        return size


Item = In | Bound | InPlace | Scratch | Number | One | AboveZero | Flag | Choice | Size
