"""The raw kernels of a backend: a module a family, imported when first used."""

from __future__ import annotations

import importlib
from functools import cached_property
from types import ModuleType

MODULES = {
    "cython": "fastpong.kernels.cython",
    "numba": "fastpong.kernels.numba",
    "numpy": "fastpong.oracle",
}


class Raw:
    """The families of one backend: unchecked, for callers that have checked their arguments."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _family(self, name: str) -> ModuleType:
        return importlib.import_module(f"{MODULES[self.name]}.{name}")

    @cached_property
    def frames(self) -> ModuleType:
        """Return the family of frames."""
        return self._family("frames")

    @cached_property
    def linear(self) -> ModuleType:
        """Return the family of linear layers."""
        return self._family("linear")

    @cached_property
    def conv(self) -> ModuleType:
        """Return the family of convolutions."""
        return self._family("conv")

    @cached_property
    def cells(self) -> ModuleType:
        """Return the family of cells."""
        return self._family("cells")

    @cached_property
    def returns(self) -> ModuleType:
        """Return the family of returns."""
        return self._family("returns")

    @cached_property
    def losses(self) -> ModuleType:
        """Return the family of losses."""
        return self._family("losses")

    @cached_property
    def optimizers(self) -> ModuleType:
        """Return the family of optimizers."""
        return self._family("optimizers")

    @cached_property
    def updates(self) -> ModuleType:
        """Return the family of updates."""
        return self._family("updates")
