"""What limits training, see claims/limits.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import limits


@pytest.mark.timeout(600)
def test_parts_of_a_step(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(limits.measure, (effort,), rounds=1)
    show(report)
    assert all(0 < figure.value < 1 for figure in report.figures)
