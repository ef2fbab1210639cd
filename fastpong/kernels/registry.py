"""All declarations, by name: checks, tests and benchmarks follow from them.

A declaration stands beside its public function, in the module of its family. See ``spec`` for its
terms, ``parts`` for what several have in common.
"""

from __future__ import annotations

from fastpong.kernels import (
    atari,
    cells,
    conv,
    frames,
    linear,
    losses,
    optimizers,
    returns,
    statistics,
)
from fastpong.kernels.spec import Kernel

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for family in (frames, atari, linear, conv, cells, returns, statistics, losses, optimizers)
    for kernel in vars(family).values()
    if isinstance(kernel, Kernel)
}
