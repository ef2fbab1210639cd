# cython: language_level=3, boundscheck=False, wraparound=False
"""Discount and standardize the rewards of an episode in one call, without Python in between."""

from fastpong.kernels.cython.returns cimport c_discount_rewards
from fastpong.kernels.cython.statistics cimport c_standardize


def advantages(double[::1] rewards, double gamma, double[::1] out):
    """Write standardized returns of (T,) rewards into ``out``, which may be ``rewards``."""
    with nogil:
        c_discount_rewards(rewards, gamma, out, True)
        c_standardize(out, out, True)
