"""CPU time is read seldom where a reading takes long."""

from __future__ import annotations

import pytest

from fastpong.runtime import cputime
from fastpong.runtime.cputime import SHARE, CpuMeter


@pytest.mark.parametrize("cost", [0.0001, 0.007])
def test_readings_take_a_hundredth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, cost: float
) -> None:
    now, readings = 0.0, 0

    def read() -> float:
        nonlocal now, readings
        now += cost
        readings += 1
        return float(readings)

    monkeypatch.setattr(cputime, "cpu_seconds", read)
    meter = CpuMeter(lambda: now, lambda: now)
    assert meter.seconds() == 1.0
    while now < 10:
        assert meter.seconds() == readings
        now += 0.00005
    assert 0.9 * SHARE * now < readings * cost < SHARE * now + cost
