"""Arguments of kernels, as declarations have them. See ``spec``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastpong.arrays import Array
from fastpong.kernels import checks
from fastpong.kernels.call import ANY as ANY
from fastpong.kernels.call import F32 as F32
from fastpong.kernels.call import F64 as F64
from fastpong.kernels.call import FLAGS as FLAGS
from fastpong.kernels.call import FLOAT as FLOAT
from fastpong.kernels.call import I8 as I8
from fastpong.kernels.call import I32 as I32
from fastpong.kernels.call import I64 as I64
from fastpong.kernels.call import REAL as REAL
from fastpong.kernels.call import U8 as U8
from fastpong.kernels.call import U16 as U16
from fastpong.kernels.call import Call as Call
from fastpong.kernels.call import DType as DType
from fastpong.kernels.call import Dtypes as Dtypes
from fastpong.kernels.call import Values as Values
from fastpong.kernels.foreign import as_flags, is_array, plain
from fastpong.kernels.numbers import AboveZero as AboveZero
from fastpong.kernels.numbers import Choice as Choice
from fastpong.kernels.numbers import Flag as Flag
from fastpong.kernels.numbers import Number as Number
from fastpong.kernels.numbers import One as One
from fastpong.kernels.numbers import Size as Size

Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
Shaped = Callable[[Array], Array]
Rule = Callable[[Call, Array], None]


class ArrayItem:
    """Arrays of one name.

    dtypes : FLOAT, REAL, FLAGS, or those allowed
    dims   : numbers, names of sizes, or multiples and sums of the two: "2M", "T+1". ("T", "*N"):
             N may be missing, and is 1 then. ("*N",): a number will do, and stands for all N
    then   : a rule for its values, and for those of the arguments before it
    draw   : draws an example, normal numbers by default
    shaped : reshapes it for the raw kernel
    """

    takes = True
    kept = False  # in the caller's memory, never a copy

    def __init__(
        self, name: str, dtypes: Dtypes | DType, dims: Sequence[int | str],
        then: Rule | None = None, draw: Draw | None = None, shaped: Shaped | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.dtypes = dtypes if isinstance(dtypes, tuple) else (dtypes,)
        self.dims = tuple(dims)
        self.then, self.draw, self.shaped = then, draw, shaped
        self.shared = self.dtypes is FLOAT or self.dtypes is REAL
        self.parsed = tuple(_parse(dim) for dim in dims)
        self.any_shape = self.dims == ANY
        self.starred = isinstance(self.dims[-1], str) and self.dims[-1].startswith("*")
        self.row = self.starred and len(self.dims) == 1

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape that these sizes give."""
        return tuple(
            plus if name is None else times * sizes[name] + plus
            for name, times, plus in self.parsed
        )

    def same(self, call: Call, value: object) -> Array:
        """Check type, dtype and shape, return a plain array."""
        array = self._typed(call, plain(self.name, value, self.kept))
        array = self._ranked(call, array)
        shape, sizes = array.shape, call.sizes
        if self.any_shape:
            self._same_shape(call, shape)
        elif len(shape) != len(self.parsed):
            raise self._wrong_shape(call, shape)
        else:
            for (name, times, plus), size in zip(self.parsed, shape, strict=True):
                known = 0 if name is None else sizes.get(name, (size - plus) // times)
                if times * known + plus != size or known < 0:
                    raise self._wrong_shape(call, shape)
                if name is not None and name not in sizes:
                    sizes[name], call.source[name] = known, self.name
        call.arrays[self.name] = array
        return array

    def _typed(self, call: Call, array: Array) -> Array:
        """Check the dtype, convert what may be."""
        if self.dtypes is REAL and array.dtype.kind in "biu":
            call.float = call.float or F64
            return array.astype(call.float)
        if self.dtypes is FLAGS:
            array = as_flags(self.name, array)
        if not self.shared and array.dtype not in self.dtypes:
            raise self._wrong_dtype(self.dtypes, array.dtype)
        if self.shared and array.dtype is not call.float:
            self._share(call, array.dtype)
        return array

    def _ranked(self, call: Call, array: Array) -> Array:
        """Return it with as many axes as the raw kernel's."""
        short = self.starred and array.ndim == len(self.dims) - 1 > 0
        tall = self.dims == ("T",) and array.ndim == 2 and array.shape[1] == 1
        if not call.arrays:
            call.short, call.tall = short, tall
        if short:
            return array.reshape(*array.shape, 1)
        row: Array = array[0] if self.row and array.shape[:-1] == (1,) else array
        return array[:, 0] if tall else row

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
            f"{self.name}: expected dtype {wanted}, got {got}; convert it first, as by .astype() "
            "of NumPy or .to() of PyTorch"
        )

    def _wrong_shape(self, call: Call, got: tuple[int, ...]) -> ValueError:
        sizes, sources = call.sizes, call.source
        parts = [
            str(dim) if name is None or name not in sizes else f"{dim}={times * sizes[name] + plus}"
            for dim, (name, times, plus) in zip(self.dims, self.parsed, strict=True)
        ]
        wanted = _written(parts)
        if self.starred:  # the last axis may be missing
            wanted = f"{_written(parts[:-1])} or {_written(parts)}".replace("*", "")
        by = sorted(
            {f"{name} is of {sources[name]}" for name, _, _ in self.parsed if name in sources}
        )
        hint = f" ({', '.join(by)})" if by else ""
        if got[1 : len(self.dims) + 1] == self.dims:
            hint = f", a batch of {got[0]}; pass them one by one"
        return ValueError(f"{self.name}: expected shape {wanted}, got {got}{hint}")

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
            return drawn.astype(kind) if self.shared else drawn
        dtype = kind if self.shared else self.dtypes[0]
        return rng.standard_normal(shape).astype(dtype)


def _written(shape: Sequence[str]) -> str:
    return f"({', '.join(shape)}{',' if len(shape) == 1 else ''})"


def _parse(dim: int | str) -> tuple[str | None, int, int]:
    """Split a dimension such as "2M" or "T+1".

    Returns its name, the factor and the number to add.
    """
    if isinstance(dim, int):
        return None, 0, dim
    factor, name, plus = re.fullmatch(r"\*?(\d*)([^+]+)(?:\+(\d+))?", dim).groups()  # type: ignore[union-attr]
    return name, int(factor or 1), int(plus or 0)


class In(ArrayItem):
    """An input.

    It may be read-only. It is copied unless it is C-contiguous and aligned.

    optional : None is allowed, and is what the raw kernel gets then
    """

    def __init__(
        self, name: str, dtypes: Dtypes | DType, dims: Sequence[int | str],
        then: Rule | None = None, draw: Draw | None = None, shaped: Shaped | None = None,
        optional: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(name, dtypes, dims, then, draw, shaped)
        self.optional = optional

    def check(self, call: Call, value: object) -> Any:
        """Return it, or a C-contiguous aligned copy."""
        if value is None and self.optional:
            return None
        if self.row:
            value = self._whole_row(call, value)
        array = self.same(call, value)
        flags = array.flags
        if not (flags.c_contiguous and flags.aligned):
            array = call.arrays[self.name] = np.require(array, requirements=("C", "A"))
        return self.finish(call, array)

    def _whole_row(self, call: Call, value: object) -> object:
        """Return N numbers where there is one for all, in the float dtype of the call."""
        columns = call.sizes.get(self.parsed[0][0] or "", 1)
        if is_array(value):
            array = plain(self.name, value)
            if array.ndim and not (array.size == columns == 1 and array.ndim < 3):
                return value
            if array.dtype.kind == "f":  # of any precision, and it may be NaN, as all arrays may
                return np.full(columns, array.item(), call.float or F64)
            value = array.item()
        if self.dtypes is FLAGS and isinstance(value, (bool, np.bool_)):
            value = int(value)
        call.float = call.float or F64
        return np.full(columns, checks.real(self.name, value), call.float)


class Bound(ArrayItem):
    """An input that is read again later.

    A copy would not follow the caller.
    """

    kept = True

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

    kept = True
    aliases: tuple[str, ...] = ()

    def check(self, call: Call, value: object) -> Array:
        """Return it, itself."""
        array = self.same(call, value)
        if not array.flags.carray:
            fault = "that is not" if array.flags.writeable else "that is read-only"
            raise ValueError(
                f"{self.name}: expected a writeable, C-contiguous array to write into, got one "
                f"{fault}; pass a fresh array"
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
        return np.full(self.shape(sizes), 7, kind if self.shared else self.dtypes[0])

    def check(self, call: Call, value: object) -> Array:
        """Return it, itself or a fresh one."""
        if value is not None:
            raw = super().check(call, value)
            call.outputs.append(value)
            if self.added:
                call.cleared.append(call.arrays[self.name])
            return raw
        if self.default is not None:
            for name, size in self.default.items():
                call.sizes.setdefault(name, size)
        dtype = call.float if self.shared and call.float is not None else self.dtypes[0]
        make = np.zeros if self.added else np.empty
        first = next(iter(call.arrays.values()), None)
        shape = first.shape if self.any_shape and first is not None else self.shape(call.sizes)
        array: Array = make(shape, dtype)
        call.arrays[self.name] = array
        call.outputs.append(self._as_given(call, array))
        return self.finish(call, array)

    def _as_given(self, call: Call, array: Array) -> Array:
        """Return it shaped as the call's first array is."""
        if self.starred and call.short and array.ndim > 1:
            return array[..., 0]
        return array.reshape(-1, 1) if call.tall and self.dims == ("T",) else array


class Scratch(ArrayItem):
    """Room for a kernel to work in."""

    takes = False

    def check(self, call: Call, value: object) -> Array:
        """Return fresh room, integers as zeros."""
        if self.shared:
            return np.empty(self.shape(call.sizes), call.float)
        return np.zeros(self.shape(call.sizes), self.dtypes[0])


Item = In | Bound | InPlace | Scratch | Number | One | AboveZero | Flag | Choice | Size
