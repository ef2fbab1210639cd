"""Modules that the tests own and the benchmarks use, too."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

SUPPORT = Path(__file__).resolve().parent.parent / "tests" / "support"


def load(name: str) -> ModuleType:
    """Load a module of tests/support by its file.

    The scripts here run without pytest, which alone has that directory on its path.
    """
    if name not in sys.modules:
        spec = spec_from_file_location(name, SUPPORT / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = module_from_spec(spec)  # dataclasses look themselves up there
        spec.loader.exec_module(module)
    return sys.modules[name]


tolerances = load("tolerances")
"""The one table of tolerances, and its comparisons."""
