"""Runs a declared kernel on the raw kernels of a backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fastpong.arrays import Array
from fastpong.kernels.spec import Kernel

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
        self._kernels: dict[str, Callable[..., Any]] = {}

    def family(self, name: str) -> ModuleType:
        """Return the module of a family."""
        return importlib.import_module(f"{self._package}.{name}")

    @property
    def cells(self) -> ModuleType:
        """Return the family of cells."""
        return self.family("cells")

    def __getitem__(self, kernel: Kernel) -> Callable[..., Any]:
        found = self._kernels.get(kernel.name)
        if found is None:
            found = vars(self.family(kernel.family))[kernel.raw or kernel.name]
            self._kernels[kernel.name] = found
        return found


class Runner:
    """Checks a kernel's arguments, allocates and runs it."""

    name: str
    raw: Raw

    def _run(self, kernel: Kernel, *values: object, added: bool = False) -> tuple[Array, ...]:
        """Run a kernel and return its outputs.

        added : outputs that the kernel adds to keep what is in them
        """
        call = kernel.check(*values)
        if not added:
            for array in call.cleared:
                array.fill(0)
        self.raw[kernel](*call.arguments)
        return tuple(call.outputs)

    def _run_one(self, kernel: Kernel, *values: object) -> Array:
        """Run a kernel of one output and return that."""
        call = kernel.check(*values)
        self.raw[kernel](*call.arguments)
        return call.outputs[0]

    def _bind(self, kernel: Kernel, *values: object) -> Step:
        """Bind a step to its buffers."""
        step: Step = self.raw[kernel](*kernel.check(*values).arguments)
        return step
