"""A kernel's declaration: its name, its family, its arguments in the order of the raw kernel.

A declaration is read in three ways: ``Kernel.check`` checks, copies and allocates the arguments of
a call, ``Kernel.example`` draws valid ones, and tests and benchmarks ask for the names. All arrays
of one call share sizes ("T", "H", ...) and the float dtype: the first argument that names one sets
it, the later ones must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike

from fastpong.arrays import Array
from fastpong.kernels.arguments import (
    FLOAT,
    REAL,
    ArrayItem,
    Call,
    DType,
    InPlace,
    Item,
    Out,
    Scratch,
    Values,
)
from fastpong.kernels.foreign import dtype_of


@dataclass(frozen=True)
class Group:
    """Arguments that the raw kernel takes as one tuple.

    name : the public function takes them as one tuple, too, of this name
    """

    items: tuple[Item, ...]
    name: str = ""

    def check(self, call: Call, given: Iterator[object]) -> tuple[object, ...]:
        """Return the raw kernel's tuple from the caller's values."""
        if self.name:
            given = iter(self._parts(next(given)))
        return tuple([one.check(call, next(given) if one.takes else None) for one in self.items])

    def of(self, call: Call, value: object) -> tuple[object, ...]:
        """Return the raw kernel's tuple, from the caller's."""
        return self.check(call, iter((value,)))

    def _parts(self, value: object) -> tuple[object, ...]:
        names = [item.name for item in self.items if item.takes]
        if not isinstance(value, tuple) or len(value) != len(names):
            raise TypeError(
                f"{self.name}: expected a tuple ({', '.join(names)}), got {type(value).__name__}"
            )
        return value


@dataclass(frozen=True)
class Example:
    """Arguments of a call, by name."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    scalars: dict[str, object]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel, declared.

    name    : of the declaration, also of the raw kernel and of the public function, unless ``raw``
              or ``public`` says otherwise
    family  : the module that holds it, in every backend
    items   : the arguments of the raw kernel, in its order
    sizes   : of examples, by variant. Tests run all variants
    left_out: optional arguments that are None in an example, by variant
    given   : draws those example arrays that depend on each other
    exact   : all backends give the same bits
    """

    name: str
    family: str
    items: tuple[Item | Group, ...]
    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: {"": {}})
    given: Callable[[np.random.Generator, Mapping[str, int]], Values] | None = None
    exact: bool = False
    raw: str = ""
    public: str = ""
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def function(self) -> str:
        """Return the name of the public function."""
        return self.public or self.name

    @property
    def in_place(self) -> bool:
        """Return whether there is no ``out``."""
        return not any(isinstance(item, Out) for item in self.flat())

    def flat(self) -> Iterator[Item]:
        """Yield all items, those of groups too."""
        for item in self.items:
            if isinstance(item, Group):
                yield from item.items
            else:
                yield item

    def example(self, dtype: DTypeLike, variant: str = "", seed: int = 7) -> Example:
        """Draw the arguments of a valid call."""
        rng, kind, sizes = np.random.default_rng(seed), np.dtype(dtype), self.sizes[variant]
        left_out = self.left_out.get(variant, ())
        given = {} if self.given is None else self.given(rng, sizes)
        example = Example({}, {}, {})
        for item in self.flat():
            if isinstance(item, Scratch):
                continue
            if item.name in left_out:
                example.scalars[item.name] = None
            elif not isinstance(item, ArrayItem):
                example.scalars[item.name] = item.example
            elif item.name in given:
                example.inputs[item.name] = given[item.name]
            else:
                kept = example.outputs if isinstance(item, InPlace) else example.inputs
                kept[item.name] = item.example(rng, sizes, kind)
        return example

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the public function's tuples, by name."""
        return {
            group.name: tuple(item.name for item in group.items if item.takes)
            for group in self.items
            if isinstance(group, Group) and group.name
        }

    def check(self, *values: object, **sizes: int) -> Call:
        """Check the caller's arguments, in the raw kernel's order.

        sizes : those that follow from no array
        """
        call, given = Call(), iter(values)
        call.sizes.update(sizes)
        call.float = self._float_of(values)
        for item in self.items:
            if isinstance(item, Group):
                call.arguments.append(item.check(call, given))
            else:
                call.arguments.append(item.check(call, next(given) if item.takes else None))
        if call.written:
            _no_overlap(call)
        return call

    def _float_of(self, values: tuple[object, ...]) -> DType | None:
        """Return the call's float dtype, where integers are to be converted to it."""
        if not any(isinstance(item, ArrayItem) and item.dtypes is REAL for item in self.flat()):
            return None
        for item, value in self._pairs(values):
            # One number, for a whole row, may be of any dtype.
            found = dtype_of(value) if isinstance(item, ArrayItem) and item.shared else None
            if found is not None and found in FLOAT:
                return found
        return None

    def _pairs(self, values: tuple[object, ...]) -> Iterator[tuple[Item, object]]:
        """Yield the items that a caller gives, with the values."""
        given = iter(values)
        for item in self.items:
            if not isinstance(item, Group):
                if item.takes:
                    yield item, next(given)
                continue
            taken = [one for one in item.items if one.takes]
            parts = next(given) if item.name else [next(given) for _ in taken]
            if isinstance(parts, (tuple, list)):
                yield from zip(taken, parts, strict=False)


def _no_overlap(call: Call) -> None:
    """Refuse outputs that share memory with others."""
    arrays, earlier = call.arrays, set()
    for name, aliases in call.written:
        array = arrays[name]
        earlier.add(name)
        for other, value in arrays.items():
            if other in earlier or not np.may_share_memory(array, value):
                continue
            if other not in aliases:
                raise ValueError(f"{name}: shares memory with {other}; pass separate arrays")
            if not _same_memory(array, value):
                raise ValueError(
                    f"{name}: overlaps {other} without being it; pass a separate array"
                )


def _same_memory(one: Array, other: Array) -> bool:
    return one is other or (one.ctypes.data == other.ctypes.data and one.nbytes == other.nbytes)
