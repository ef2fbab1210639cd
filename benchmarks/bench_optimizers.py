"""Optimizers and statistics against their peers, see claims/optimizers.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import optimizers


@pytest.mark.timeout(300)
def test_optimizers_against_their_peers(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(optimizers.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
