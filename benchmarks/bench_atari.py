"""Frames of Atari games against OpenCV's, see claims/atari.py."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("cv2")

from claims import atari


@pytest.mark.timeout(300)
def test_frames_against_opencvs(benchmark: Any, effort: Any, show: Any) -> None:
    report = benchmark.pedantic(atari.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
