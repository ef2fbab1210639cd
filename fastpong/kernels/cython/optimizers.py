"""Optimizers: compiled in ``fastpong._kernels``, where other Cython code can cimport the cores."""

from fastpong._kernels import adam_update as adam_update
from fastpong._kernels import rmsprop_update as rmsprop_update
