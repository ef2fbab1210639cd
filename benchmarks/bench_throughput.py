"""Claim a, see claims/throughput.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import throughput


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
def test_training_against_bare_emulators(
    benchmark: Any, effort: Any, show: Any, workers: int
) -> None:
    report = benchmark.pedantic(throughput.measure, (effort, (workers,)), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
