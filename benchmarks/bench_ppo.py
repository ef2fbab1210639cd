"""The actor-critic agent, see ppo_speed.py."""

from __future__ import annotations

from typing import Any

import ppo_calls
import ppo_speed
import pytest


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_training_against_bare_emulators(against_bare: Any, workers: int) -> None:
    from training import PPO_SETTINGS

    against_bare(PPO_SETTINGS, workers, at_least=0.85)


@pytest.mark.timeout(300)
def test_learning_against_its_arithmetic(benchmark: Any, effort: Any, show: Any) -> None:
    figures = benchmark.pedantic(ppo_speed.learning, (effort,), rounds=1)
    show(ppo_speed.Report("ppo", "", figures, []))
    assert all(figure.value > 0 for figure in figures)


@pytest.mark.timeout(300)
def test_kernels_against_the_oracle(benchmark: Any, effort: Any) -> None:
    tables = benchmark.pedantic(ppo_speed.tables, (effort,), rounds=1)
    assert all(len(table.rows) == ppo_calls.KERNELS for table in tables)
