"""Claim b, see claims/reference.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import reference


@pytest.mark.timeout(600)
def test_training_against_the_references_loop(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(reference.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
