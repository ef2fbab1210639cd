"""Frames: compiled in ``fastpong._kernels``, where other Cython code can cimport the cores."""

from fastpong._kernels import difference_frame as difference_frame
from fastpong._kernels import preprocess_frame as preprocess_frame
from fastpong._kernels import preprocess_frame_rgb as preprocess_frame_rgb
from fastpong._kernels import sparse_difference_frame as sparse_difference_frame
