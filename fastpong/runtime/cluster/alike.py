"""Facts that must be equal on all machines, so that the same task gives the same bits.

Kernels give the same bits for every vector unit (docs/design/vector-units.md). The exponential and
the logarithm are not ours: the C library and NumPy choose a form by the processor, and the last bit
may differ. So they are tried instead of asked for.
"""

from __future__ import annotations

import hashlib
import math
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import numpy as np

import fastpong
from fastpong.console.cartridge import load_rom

Facts = Mapping[str, str]

FIRST = ("fastpong", "Python", "NumPy")
"""Facts to name first, for the others may differ because of them."""

_PACKAGE = Path(fastpong.__file__).parent
_TRIED = 2000


def facts(rom: str, backend: str, emulator: str) -> Facts:
    """Return this machine's facts by name.

    rom      : ale_py's name of the game
    backend  : of kernels
    emulator : "console" or "ale"
    """
    found = {
        "fastpong": f"{fastpong.__version__}, sources {_sources()}",
        "Python": "{}.{}".format(*sys.version_info),
        "NumPy": np.__version__,
        "machine": platform.machine(),
        f"ROM {rom}": load_rom(rom).sha256[:12],
        "rounding of exp and log": _rounding(),
    }
    if backend == "numba":
        found["Numba"] = metadata.version("numba")
        found["llvmlite"] = metadata.version("llvmlite")
    if emulator == "ale":
        found["ale-py"] = metadata.version("ale-py")
    return found


def difference(mine: Facts, theirs: Facts) -> str | None:
    """Describe the first fact that differs. None: all are equal."""
    names = [*FIRST, *(name for name in {**mine, **theirs} if name not in FIRST)]
    for name in names:
        if mine.get(name) != theirs.get(name):
            return f"{name}: {theirs.get(name, 'none')} there, {mine.get(name, 'none')} here"
    return None


def _sources() -> str:
    """Return a hash of the package's sources.

    It tells apart two states of a development version.
    """
    total = hashlib.sha256()
    kinds = {".py", ".pyx", ".pxd", ".h", ".safetensors"}
    paths = {path.relative_to(_PACKAGE).as_posix(): path for path in _PACKAGE.rglob("*")}
    for name in sorted(paths):
        if paths[name].suffix in kinds:
            total.update(name.encode() + b"\0" + paths[name].read_bytes())
    return total.hexdigest()[:12]


def _rounding() -> str:
    """Return a hash of many values of exp and log, of the C library and of NumPy."""
    x = np.linspace(-30, 30, _TRIED)
    own = [f(v) for v in x.tolist() for f in (math.exp, lambda v: math.log1p(math.exp(v)))]
    total = hashlib.sha256(np.array(own).tobytes())
    for dtype in (np.float64, np.float32):
        power = np.exp(x.astype(dtype))
        total.update(power.tobytes() + np.log(power).tobytes())
    return total.hexdigest()[:12]
