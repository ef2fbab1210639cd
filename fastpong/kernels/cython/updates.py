"""Updates: compiled with the cells network, whose cores they inline."""

from fastpong.kernels.cython.cells import GROUP as GROUP
from fastpong.kernels.cython.cells import PpoUpdate as PpoUpdate
