"""Claim k, see claims/console.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import console


@pytest.mark.timeout(600)
def test_console(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(console.measure, (effort,), rounds=1)
    show(report)
    assert len(report.figures) == 6
