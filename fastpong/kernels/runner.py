"""Runs a declared kernel on the raw kernels of a backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fastpong.arrays import Array
from fastpong.kernels.spec import Kernel

try:
    from fastpong.kernels.fit import Calls
except Exception:  # not compiled, or for another NumPy: the checks in Python do it all
    Calls = None

MODULES = {
    "cython": "fastpong.kernels.cython",
    "numba": "fastpong.kernels.numba",
    "numpy": "fastpong.oracle",
}
"""The packages of the backends: a module a family, the same names in all of them."""

Step = Callable[[int, float], int]


class Raw:
    """The raw kernels of one backend, unchecked.

    Modules are imported when first used.
    """

    def __init__(self, name: str) -> None:
        self._package = MODULES[name]
        self._kernels: dict[Kernel, Callable[..., Any]] = {}

    def family(self, name: str) -> ModuleType:
        """Return the module of a family."""
        return importlib.import_module(f"{self._package}.{name}")

    @property
    def cells(self) -> ModuleType:
        """Return the family of cells."""
        return self.family("cells")

    def __getitem__(self, kernel: Kernel) -> Callable[..., Any]:
        found = self._kernels.get(kernel)
        if found is None:
            found = vars(self.family(kernel.family))[kernel.raw or kernel.name]
            self._kernels[kernel] = found
        return found


class Checked:
    """Runs kernels after the checks in Python.

    They copy and convert what may be, and explain the rest.
    """

    def __init__(self, raw: Raw) -> None:
        self.raw = raw

    def run(self, kernel: Kernel, *values: object, added: bool = False) -> tuple[Array, ...]:
        """Run a kernel and return its outputs.

        added : outputs that the kernel adds to keep what is in them
        """
        call = kernel.check(*values)
        if not added:
            for array in call.cleared:
                array.fill(0)
        self.raw[kernel](*call.arguments)
        return tuple(call.outputs)

    def run_one(self, kernel: Kernel, *values: object) -> Array:
        """Run a kernel of one output and return that."""
        call = kernel.check(*values)
        self.raw[kernel](*call.arguments)
        output: Array = call.outputs[0]
        return output

    def run_raw(
        self, kernel: Kernel, *values: object, **sizes: int
    ) -> tuple[Any, tuple[Array, ...]]:
        """Run a kernel, return its own result and the outputs.

        sizes : those that follow from no array
        """
        call = kernel.check(*values, **sizes)
        return self.raw[kernel](*call.arguments), tuple(call.outputs)


class Runner:
    """Checks a kernel's arguments, allocates and runs it.

    The methods of ``Checked``, compiled where ``fit`` is. See docs/design/calls.md.
    """

    name: str
    raw: Raw
    _run: Callable[..., tuple[Array, ...]]
    _run_one: Callable[..., Array]
    _run_raw: Callable[..., tuple[Any, tuple[Array, ...]]]

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        checked = Checked(raw)
        calls = checked if Calls is None else Calls(checked)
        self._run, self._run_one, self._run_raw = calls.run, calls.run_one, calls.run_raw

    def _bind(self, kernel: Kernel, *values: object) -> Step:
        """Bind a step to its buffers."""
        step: Step = self.raw[kernel](*kernel.check(*values).arguments)
        return step
