"""Returns: compiled in ``fastpong._kernels``, where other Cython code can cimport the cores."""

from fastpong._kernels import discount_rewards as discount_rewards
from fastpong._kernels import gae as gae
