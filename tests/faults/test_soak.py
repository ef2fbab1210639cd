"""A training watched for seconds: ``python benchmarks/faults.py soak`` watches for half an hour."""

from __future__ import annotations

from pathlib import Path

from reliability.soak import soak
from reliability.trainings import Training


def test_a_training_keeps_its_size(tmp_path: Path) -> None:
    found = soak(Training("karpathy", "console"), 6.0, tmp_path)
    assert found.faults == []
    assert found.episodes > 12 and found.evaluations > 0
