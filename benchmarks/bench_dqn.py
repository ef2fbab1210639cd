"""The agent dqn, see claims/dqn.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import dqn


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_training_against_bare_emulators(against_bare: Any, workers: int) -> None:
    from programs.training import DQN_SETTINGS

    against_bare(DQN_SETTINGS, workers)


@pytest.mark.timeout(300)
def test_learning(benchmark: Any, effort: Any, show: Any) -> None:
    figures = benchmark.pedantic(dqn.learning, (effort,), rounds=1)
    show(dqn.Report("dqn", "", figures, []))
    assert all(figure.value > 0 for figure in figures)
