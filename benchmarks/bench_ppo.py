"""The agent ppo, see claims/ppo.py."""

from __future__ import annotations

from typing import Any

import pytest
from cases import ppo_calls
from claims import ppo


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_training_against_bare_emulators(against_bare: Any, workers: int) -> None:
    from programs.training import PPO_SETTINGS

    against_bare(PPO_SETTINGS, workers, at_least={1: 5, 2: 4})


@pytest.mark.timeout(300)
def test_learning_against_its_arithmetic(benchmark: Any, effort: Any, show: Any) -> None:
    figures = benchmark.pedantic(ppo.learning, (effort,), rounds=1)
    show(ppo.Report("ppo", "", figures, []))
    assert all(figure.value > 0 for figure in figures)


@pytest.mark.timeout(300)
def test_kernels_against_the_oracle(benchmark: Any, effort: Any) -> None:
    tables = benchmark.pedantic(ppo.tables, (effort,), rounds=1)
    assert all(len(table.rows) == ppo_calls.KERNELS for table in tables)
