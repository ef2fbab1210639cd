"""Returns and advantages beside those of other packages, see claims/returns.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import returns


@pytest.mark.timeout(300)
def test_returns_against_other_packages(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(returns.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
