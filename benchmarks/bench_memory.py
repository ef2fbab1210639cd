"""Claim f, see claims/memory.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import memory


@pytest.mark.timeout(300)
def test_memory_of_a_worker(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(memory.measure, (effort,), rounds=1)
    show(report)
    assert report.figures[0].value > 0
