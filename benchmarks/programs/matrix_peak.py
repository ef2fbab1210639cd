"""A process that says how many multiply-adds a second BLAS makes of a core; see claims/ppo.py.

The nearest thing to a machine's peak that is portable: NumPy's own float32 matrix product, on one
thread, of matrices that stay in the cache. It may use fused multiply-adds; our kernels do without.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import time

import numpy as np
from measure import serve

SIZE = 384


def multiply_adds(seconds: float) -> float:
    """Return multiply-adds a second, over about so many seconds."""
    a, b, c = np.ones((3, SIZE, SIZE), np.float32)
    calls, start = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - start < seconds:
        np.matmul(a, b, out=c)
        calls += 1
    rate = calls * SIZE**3 / (time.perf_counter() - start)
    assert c[0, 0] == SIZE
    return rate


def main() -> None:
    serve(multiply_adds)
