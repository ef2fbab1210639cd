"""The Keras reference's loop, see claims/keras.py."""

from __future__ import annotations

from typing import Any

import pytest
from claims import keras
from programs import keras_reference


@pytest.mark.timeout(600)
def test_training_against_the_keras_loop(benchmark: Any, effort: Any, show: Any) -> None:
    if not keras_reference.available():
        pytest.skip("Keras and PyTorch are not installed")
    report = benchmark.pedantic(keras.measure, (effort,), rounds=1)
    show(report)
    assert all(figure.value > 0 for figure in report.figures)
