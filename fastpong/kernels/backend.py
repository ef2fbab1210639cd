"""A backend: all public kernels, run by Cython, by Numba or by the oracle."""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from pathlib import Path

from numpy.typing import DTypeLike

from fastpong.extras import in_short
from fastpong.kernels.atari import Atari
from fastpong.kernels.cells import Cells
from fastpong.kernels.conv import Conv
from fastpong.kernels.frames import Frames
from fastpong.kernels.linear import Linear
from fastpong.kernels.losses import Losses
from fastpong.kernels.optimizers import Optimizers
from fastpong.kernels.returns import Returns
from fastpong.kernels.runner import MODULES, Raw
from fastpong.kernels.statistics import Statistics
from fastpong.kernels.updates import Updates


class Backend(
    Frames, Atari, Linear, Conv, Cells, Returns, Statistics, Losses, Optimizers, Updates
):  # fmt: skip
    """One implementation of the kernels, behind common checks.

    name : "cython", "numba" or "numpy"
    raw  : the implementation itself, family by family, for callers that have checked
    """

    def __init__(self, name: str) -> None:
        super().__init__(Raw(name))
        self.name = name

    def prepare(self, dtype: DTypeLike, *names: str) -> None:
        """Compile some of Numba's kernels, for one dtype.

        Call it before worker processes start: they load the code then, and need not compile it
        each. Other backends have nothing to compile.
        """
        if self.name == "numba":
            from fastpong.kernels.numba.kernels import compile_kernels

            compile_kernels(dtype, names)


def get_backend(name: str | None = None) -> Backend:
    """Return the kernels of one backend.

    name : "cython", "numba" or "numpy". None is the default one

    Raises ValueError for another name, TypeError for what is none, and ImportError, saying what to
    do, where the backend cannot be loaded.
    """
    if not (name is None or isinstance(name, str)):
        raise TypeError(
            f"backend: expected one of {', '.join(MODULES)}, or None, got {type(name).__name__}"
        )
    return _get_backend(name)


@functools.cache
def _get_backend(name: str | None) -> Backend:
    if name is None:
        return _default_backend()
    if name not in MODULES:
        raise ValueError(f"backend: expected one of {', '.join(MODULES)}, got {name!r}")
    try:
        # _kernels may itself be what imports this: other Cython code imports it by its own name.
        importlib.import_module(
            "fastpong._kernels" if name == "cython" else f"{MODULES[name]}.frames"
        )
    except Exception as error:  # of another NumPy, too: ValueError, AttributeError, RuntimeError
        remedy = _remedy(error if name == "cython" else None)
        raise ImportError(
            f"backend {name!r} cannot be loaded: {in_short(error)}. For cython {remedy}. "
            f"For numba install numba; numpy always works"
        ) from error
    return Backend(name)


def _default_backend() -> Backend:
    name = os.environ.get("FASTPONG_BACKEND")
    if name:
        return get_backend(name)
    try:
        return get_backend("cython")
    except ImportError as error:
        warnings.warn(
            f"fastpong's Cython kernels are missing, Numba's are used. For a quicker start "
            f"{_remedy(error.__cause__)}.",
            RuntimeWarning,
            stacklevel=2,
        )
        os.environ["FASTPONG_BACKEND"] = "numba"  # said once: child processes need not say it again
        return get_backend("numba")


def _remedy(cause: BaseException | None = None) -> str:
    """Return the way to compiled kernels, by the place that fastpong was imported from.

    cause : the error of importing them
    """
    if isinstance(cause, Exception) and not isinstance(cause, ModuleNotFoundError):
        return f"reinstall fastpong for the NumPy that is installed ({in_short(cause)})"
    place = Path(__file__).resolve().parents[2]
    if (place / "setup.py").exists():
        return (
            f"leave {place}: it is the source, where nothing is compiled, and it hides the "
            f"installed package. Or compile it in place: pip install -e {place}"
        )
    return "install a C compiler and reinstall fastpong, which was built without one"
