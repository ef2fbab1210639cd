"""Run the reference's model in Keras itself and keep what comes out, small enough to commit.

    KERAS_BACKEND=torch python tests/support/keras_golden.py

Weights and episodes are drawn from NumPy's frozen ``RandomState``, so that a seed stands for them.
Kept for the reference's network ("row") and for the one that was meant ("image"): the
probabilities before every update, the loss of every update, and of the weights after 20 updates
the sum, the norm and a sample. Each update is the reference's: probabilities predicted, soft
targets, one ``train_on_batch`` over the episode.

Keras computes in float64 for these data, and once in float32 as the reference does. There targets
lie within 1e-3 of the probabilities, whose difference is what is learned from: rounding leaves
three or four digits of it, and Adam makes steps of full size of what is left. After 20 updates
Keras's own two runs differ by 4e-4 of the largest weight (of an image by 8e-2).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).parent.parent / "golden" / "keras.npz"
UPDATES, STEPS, SAMPLE = 20, 120, 200
LEARNING_RATE, GAMMA = 0.001, 0.99
MODES = ("row", "image")
RUNS = (("row", "float64"), ("row", "float32"), ("image", "float64"))
NAMES = ("kernel", "bias", "w1", "b1", "w2", "b2", "w3", "b3")


@dataclass
class Episode:
    """Sparse frames, actions (T,) below 6 and rewards (T,)."""

    indptr: Any
    indices: Any
    signs: Any
    actions: Any
    rewards: Any

    def dense(self) -> Any:
        """Return the frames as (T, 6400) float32."""
        x = np.zeros((len(self.actions), 6400), np.float32)
        row = np.repeat(np.arange(len(x)), np.diff(self.indptr))
        x[row, self.indices] = self.signs
        return x


def shapes(mode: str) -> dict[str, tuple[int, ...]]:
    channels, flat = (80, 864) if mode == "row" else (1, 27 * 27 * 32)
    sizes = [(6, 6, channels, 32), (32,), (flat, 64), (64,), (64, 32), (32,), (32, 6), (6,)]
    return dict(zip(NAMES, sizes, strict=True))


def initial_weights(mode: str) -> dict[str, Any]:
    """Return float32 weights spread as the reference's; biases are drawn too, to be seen."""
    random, weights = np.random.RandomState(1), {}
    for name, shape in shapes(mode).items():
        limit = np.sqrt(6 / np.prod(shape[:-1])) if len(shape) > 1 else 0.02
        weights[name] = random.uniform(-limit, limit, shape).astype(np.float32)
    return weights


def episodes() -> list[Episode]:
    """Return episodes of two paddles and a ball, every action, a point about every 20 steps."""
    random = np.random.RandomState(2)
    return [_episode(random) for _ in range(UPDATES)]


def _episode(random: Any) -> Episode:
    places = np.cumsum(random.randint(-3, 4, (STEPS, 4)), axis=0) + np.array([30, 40, 35, 40])
    frames = np.zeros((STEPS, 80, 80), np.int8)
    for frame, (left, right, row, column) in zip(frames, places % 72, strict=True):
        frame[left : left + 8, 8:10] = 1
        frame[right : right + 8, 70:72] = 1
        frame[row : row + 2, column] = 1
    difference = np.diff(frames.reshape(STEPS, -1), axis=0, prepend=frames[:1].reshape(1, -1))
    step, pixel = np.nonzero(difference)
    rewards = np.where(random.rand(STEPS) < 0.05, random.choice([-1, 1], STEPS), 0)
    rewards[-1] = -1
    return Episode(
        np.searchsorted(step, np.arange(STEPS + 1)).astype(np.int64),
        pixel.astype(np.uint16),
        difference[step, pixel],
        random.randint(0, 6, STEPS).astype(np.uint8),
        rewards.astype(np.float32),
    )


def build_model(mode: str, dtype: str = "float32") -> Any:
    """Return the reference's model, compiled; it is unnamed, as there."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.config.set_floatx(dtype)
    he = {"activation": "relu", "kernel_initializer": "he_uniform"}
    layers = [
        keras.Input((6400,)),
        keras.layers.Reshape((1, 80, 80) if mode == "row" else (80, 80, 1)),
        keras.layers.Conv2D(32, (6, 6), strides=(3, 3), padding="same", **he),
        keras.layers.Flatten(),
        keras.layers.Dense(64, **he),
        keras.layers.Dense(32, **he),
        keras.layers.Dense(6, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.Adam(learning_rate=LEARNING_RATE)
    model.compile(loss="categorical_crossentropy", optimizer=optimizer)
    return model


def targets(probability: Any, episode: Episode) -> Any:
    """Return the targets of an episode as the reference computes them, in Keras's dtype."""
    returns, later = np.zeros(len(episode.rewards)), 0.0
    for t in reversed(range(len(returns))):
        later = float(episode.rewards[t]) + (0.0 if episode.rewards[t] else GAMMA * later)
        returns[t] = later
    advantage = returns / np.std(returns - np.mean(returns))
    gradients = np.eye(6, dtype=probability.dtype)[episode.actions] - probability
    gradients *= advantage[:, None]
    return probability + LEARNING_RATE * gradients


def digest(weights: dict[str, Any]) -> dict[str, Any]:
    """Return sum, norm and a sample of every array."""
    found: dict[str, Any] = {}
    for name, array in weights.items():
        flat = np.asarray(array, np.float64).ravel()
        chosen = np.random.RandomState(3).randint(0, flat.size, SAMPLE)
        found[f"{name}/sum_norm"] = np.array([flat.sum(), np.sqrt(flat @ flat)])
        found[f"{name}/sample"] = flat[chosen]
    return found


def run_keras(mode: str, dtype: str = "float32") -> dict[str, Any]:
    """Train Keras's model; return what is kept of it, and its weights under "weights/"."""
    model = build_model(mode, dtype)
    model.set_weights(list(initial_weights(mode).values()))
    probabilities, losses = [], []
    for episode in episodes():
        x = episode.dense().astype(dtype)
        probabilities.append(model.predict(x, batch_size=len(x), verbose=0))
        losses.append(model.train_on_batch(x, targets(probabilities[-1], episode)))
    weights = dict(zip(NAMES, model.get_weights(), strict=True))
    found = {
        "probability": np.array(probabilities, np.float32),
        "loss": np.array(losses, np.float64),
    }
    return found | digest(weights) | {f"weights/{name}": a for name, a in weights.items()}


def main() -> None:
    """Write the golden data."""
    kept = {
        f"{mode}/{dtype}/{name}": array
        for mode, dtype in RUNS
        for name, array in run_keras(mode, dtype).items()
        if not name.startswith("weights/")
    }
    np.savez_compressed(PATH, **kept)
    print(f"{PATH}: {PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
