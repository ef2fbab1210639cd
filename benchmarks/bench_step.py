"""Claim c, see claims/step.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import step


@pytest.mark.timeout(300)
def test_step_besides_the_emulator(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(step.measure, (effort,), rounds=1)
    show(report)
    assert len(report.figures) == 2
