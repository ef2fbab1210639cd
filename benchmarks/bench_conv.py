"""The agent keras, see claims/conv.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import conv


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_training_against_bare_emulators(against_bare: Any, workers: int) -> None:
    from programs.training import KERAS_SETTINGS

    against_bare(KERAS_SETTINGS, workers, at_least={1: 5, 2: 4})


@pytest.mark.timeout(300)
def test_kernels_against_the_oracle(benchmark: Any, effort: Any) -> None:
    tables = benchmark.pedantic(conv.kernels, (effort,), rounds=1)
    assert all(len(table.rows) == 11 for table in tables)
