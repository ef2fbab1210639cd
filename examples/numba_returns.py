"""Call a kernel from a function that Numba compiles.

    python examples/numba_returns.py

``fastpong.kernels.numba`` holds the kernels as Numba functions, family by family. They check
nothing: shapes and dtypes are those of the raw kernels, (T, N) for returns.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from fastpong.kernels.numba.statistics import standardize

Floats = npt.NDArray[np.float64]


@numba.njit(nogil=True)
def ranked(scores: Floats) -> Floats:
    """Return standardized ranks of scores, (T,), as evolution strategies shape rewards."""
    ranks, out = np.empty(len(scores)), np.empty(len(scores))
    ranks[np.argsort(scores)] = np.arange(len(scores))
    standardize(ranks, out, True, 0, 0.0, False)  # center, ddof, epsilon, sequential
    return out


if __name__ == "__main__":
    print(ranked(np.array([3.0, -1.0, 10.0, 0.5])))
