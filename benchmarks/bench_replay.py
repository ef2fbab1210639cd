"""The sum tree and the replay buffer beside other packages', see claims/replay.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import replay


@pytest.mark.timeout(600)
def test_replay_beside_other_packages(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(replay.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
