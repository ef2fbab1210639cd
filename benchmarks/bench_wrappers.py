"""Wrappers against those of others, see claims/wrappers.py."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("cv2")

from claims import wrappers


@pytest.mark.timeout(600)
def test_steps_a_second(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(wrappers.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
