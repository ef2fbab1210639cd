"""Claim c, see step_cost.py, worker_step.py and trainer_step.py."""

from __future__ import annotations

from typing import Any

import pytest
import step_cost


@pytest.mark.timeout(300)
def test_step_besides_the_emulator(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(step_cost.measure, (effort,), rounds=1)
    show(report)
    assert len(report.figures) == 2
