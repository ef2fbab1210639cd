"""Users' functions that Numba compiles, calling our Numba kernels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from declared import raw_arguments
from kernel_cases import CASES, declaration
from tolerances import assert_same

from fastpong import kernels
from fastpong.kernels.numba.returns import discount_rewards

KERNELS = sorted({case.partition(", ")[0] for case in CASES})


@pytest.mark.parametrize("name", KERNELS)
def test_compiled_functions_call_every_kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers that LLVM does not optimize, for half of the time. The next test has others."""
    monkeypatch.setattr(numba.config, "OPT", type(numba.config.OPT)(0))
    kernel = declaration(name)
    raw = kernels.get_backend("numba").raw[kernel]

    @numba.njit  # type: ignore[untyped-decorator]
    def theirs(arguments: Any) -> Any:
        return raw(*arguments)

    mine, outputs = raw_arguments(kernel, "float32")
    other, wanted = raw_arguments(kernel, "float32")
    assert theirs(mine) == raw(*other)
    for key, output in outputs.items():
        assert_same(output, wanted[key])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("writeable", [True, False])
def test_arrays_may_be_read_only_or_not(dtype: str, writeable: bool) -> None:
    @numba.njit  # type: ignore[untyped-decorator]
    def last_return(rewards: Any, out: Any) -> float:
        discount_rewards(rewards, 0.5, out, False)
        return float(out[0, 0])

    rewards = np.array([[0], [0], [1]], dtype)
    rewards.flags.writeable = writeable
    assert last_return(rewards, np.zeros((3, 1), dtype)) == 0.25


PROGRAM = """
import numba, numpy as np
from fastpong.kernels.numba.returns import discount_rewards

@numba.njit(cache=True)
def last_return(rewards, out):
    discount_rewards(rewards, 0.5, out, False)
    return out[0, 0]

got = last_return(np.array([[0.0], [0], [1]]), np.zeros((3, 1)))
print(got, sum(last_return.stats.cache_hits.values()))
"""


def test_what_is_compiled_is_kept(tmp_path: Path) -> None:
    program = tmp_path / "user.py"
    program.write_text(PROGRAM)
    for hits in (0, 1):
        done = subprocess.run(
            [sys.executable, program], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert done.stdout.split() == ["0.25", str(hits)]
