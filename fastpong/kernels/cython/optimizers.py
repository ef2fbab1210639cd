"""Optimizers: compiled in other modules, where Cython code can cimport the cores."""

from fastpong._kernels import adam_update as adam_update
from fastpong._kernels import rmsprop_update as rmsprop_update
from fastpong.kernels.cython.cells import cells_adam as cells_adam
