"""All kernels by their public names, for what compiles them ahead."""

from __future__ import annotations

from collections.abc import Iterable

from numpy.typing import DTypeLike

from fastpong.kernels.numba import (
    atari,
    cells,
    conv,
    frames,
    linear,
    losses,
    optimizers,
    replay,
    returns,
    statistics,
)
from fastpong.kernels.numba.cache import Kernel

KERNELS: dict[str, Kernel] = {
    name: one
    for family in (
        frames,
        atari,
        linear,
        conv,
        cells,
        returns,
        statistics,
        losses,
        optimizers,
        replay,
    )
    for name, one in vars(family).items()
    if isinstance(one, Kernel)
}


def compile_kernels(dtype: DTypeLike, names: Iterable[str]) -> None:
    """Compile, or load, these kernels for ``dtype``."""
    for name in names:
        KERNELS[name].compile(dtype)
