"""The Keras reference's agent against Keras: golden data, and Keras where it is installed."""

from __future__ import annotations

import os
from typing import Any

import keras_golden as golden
import numpy as np
import pytest
from kernel_cases import BACKENDS
from tolerances import KERAS, KERAS_FLOAT32, assert_close
from training_cases import stages_of

from fastpong.acting.trajectory import Trajectory
from fastpong.agents import make_plan
from fastpong.agents.keras.agent import shapes


@pytest.fixture(scope="module")
def kept() -> Any:
    with np.load(golden.PATH) as data:
        return dict(data)


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("torch")
    return pytest.importorskip("keras")


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    return request.param


def probabilities(kernels: Any, p: dict[str, Any], episode: Any) -> Any:
    frames = episode.indptr, episode.indices, episode.signs
    hidden = kernels.sparse_conv_forward(*frames, p["kernel"], p["bias"], p["w1"], p["b1"])
    hidden = kernels.dense_forward(hidden, p["w2"], p["b2"])
    return kernels.softmax(kernels.dense_forward(hidden, p["w3"], p["b3"], relu=False))


def run(mode: str, backend: str, dtype: str, updates: int = golden.UPDATES) -> dict[str, Any]:
    """Train as the golden data's maker trains Keras; return what it returns."""
    stages = stages_of("keras", env="Pong-v0", image_conv=mode == "image")
    stage: Any = make_plan("Pong-v0", stages, backend, dtype).stages[0]
    weights = {name: a.astype(dtype) for name, a in golden.initial_weights(mode).items()}
    learner = stage.spec.learner(stage, weights, 1)
    before, losses = [], []
    for e in golden.episodes()[:updates]:
        before.append(probabilities(stage.spec.kernels, weights, e))
        episode = Trajectory(
            e.indptr, e.indices, e.signs, e.actions, e.rewards, frames=0, truncated=False
        )
        losses.append(learner.add(episode, weights)["loss"])
        learner.update()
    found = {"probability": np.array(before), "loss": np.array(losses)}
    return found | golden.digest(weights)


def test_the_parameters_are_the_summarys() -> None:
    assert shapes(False) == golden.shapes("row") and shapes(True) == golden.shapes("image")
    counts = [int(np.prod(shape)) for shape in shapes(False).values()]
    layers = [counts[k] + counts[k + 1] for k in range(0, 8, 2)]
    assert layers == [92192, 55360, 2080, 198] and sum(counts) == 149830
    assert sum(int(np.prod(shape)) for shape in shapes(True).values()) == 1496518


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", golden.MODES)
def test_twenty_updates_are_those_of_keras(kept: Any, backend: str, mode: str, dtype: str) -> None:
    found = run(mode, backend, dtype)
    np.testing.assert_allclose(
        found["probability"], kept[f"{mode}/float64/probability"], rtol=0, atol=KERAS
    )
    np.testing.assert_allclose(found["loss"], kept[f"{mode}/float64/loss"], rtol=KERAS)
    for name in golden.NAMES:
        for part in ("sample", "sum_norm"):
            want = kept[f"{mode}/float64/{name}/{part}"]
            assert_close(found[f"{name}/{part}"], want, KERAS)


def test_twenty_updates_are_near_those_of_keras_in_float32(kept: Any, backend: str) -> None:
    found = run("row", backend, "float32")
    want = kept["row/float32/probability"]
    np.testing.assert_allclose(found["probability"][0], want[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["probability"], want, rtol=0, atol=5e-6)
    np.testing.assert_allclose(found["loss"], kept["row/float32/loss"], rtol=KERAS)
    for name in golden.NAMES:
        want = kept[f"row/float32/{name}/sample"]
        np.testing.assert_allclose(
            found[f"{name}/sample"], want, rtol=KERAS_FLOAT32, atol=0.01 * 0.002
        )


def test_the_oracle_alone_trains_as_keras(kept: Any) -> None:
    found = run("row", "numpy", "float64", updates=3)
    np.testing.assert_allclose(
        found["probability"], kept["row/float64/probability"][:3], rtol=0, atol=KERAS
    )
    np.testing.assert_allclose(found["loss"], kept["row/float64/loss"][:3], rtol=KERAS)


@pytest.mark.keras
@pytest.mark.parametrize("mode, dtype", golden.RUNS)
def test_keras_gives_the_golden_data(keras: Any, kept: Any, mode: str, dtype: str) -> None:
    for name, array in golden.run_keras(mode, dtype).items():
        if not name.startswith("weights/"):
            close = KERAS if dtype == "float64" else KERAS_FLOAT32
            assert_close(array.astype(np.float64), kept[f"{mode}/{dtype}/{name}"], close)
