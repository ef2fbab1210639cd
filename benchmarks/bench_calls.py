"""What public calls add to raw kernels, see claims/calls.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import calls


@pytest.mark.timeout(300)
def test_public_calls_beside_raw_ones(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(calls.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value is not None for figure in report.figures)
