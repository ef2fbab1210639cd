"""PPO end to end with ours and without, see claims/agents.py."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")
pytest.importorskip("cv2")

from claims import agents


@pytest.mark.timeout(600)
def test_steps_a_second(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(agents.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
