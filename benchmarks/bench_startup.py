"""Claim e, see claims/startup.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import startup


@pytest.mark.timeout(300)
def test_start(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(startup.measure, (effort,), rounds=1)
    show(report)
    assert len(report.figures) == 3
