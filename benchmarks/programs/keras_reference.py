"""The Keras reference's loop: `predict` for every step, `train_on_batch` for every episode.

The model is that of the golden data, Keras's own, on its PyTorch backend; the environment is
gymnasium's Pong-v0. As a helper process it plays and learns; it needs Keras.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from measure import serve
from programs.reference import field_of, make_env
from shared import load

os.environ.setdefault("KERAS_BACKEND", "torch")


def available() -> bool:
    """Return whether Keras and PyTorch can be imported."""
    try:
        import keras
        import torch
    except ImportError:
        return False
    return bool(keras and torch)


class KerasReference:
    """The agent; ``episode`` plays and learns from one."""

    def __init__(self, seed: int) -> None:
        golden = load("keras_golden")
        self.targets, self.record = golden.targets, golden.Episode
        self.rng, self.env = np.random.default_rng(seed), make_env()
        self.model = golden.build_model("row")
        self.model.set_weights(list(golden.initial_weights("row").values()))

    def episode(self, most_steps: int) -> int:
        """Play an episode, at most so many steps, and learn from it; return its steps."""
        states, probabilities, actions, rewards = [], [], [], []
        observation, over = self.env.reset()[0], False
        before = field_of(observation)
        while not over and len(rewards) < most_steps:
            now = field_of(observation)
            states.append((now - before).astype(np.float32))
            before = now
            p = self.model.predict(states[-1][None], batch_size=1, verbose=0).ravel()
            action = int(self.rng.choice(6, p=p.astype(float) / p.sum(dtype=float)))
            observation, reward, terminated, truncated, _ = self.env.step(action)
            over = terminated or truncated
            probabilities.append(p)
            actions.append(action)
            rewards.append(reward)
        self.learn(np.stack(states), np.stack(probabilities), actions, rewards)
        return len(rewards)

    def learn(self, x: Any, probability: Any, actions: Any, rewards: Any) -> None:
        if not any(rewards):
            rewards[-1] = -1.0  # cut short before the first point: all advantages would be NaN
        none = np.zeros(0)
        episode = self.record(none, none, none, np.array(actions), np.array(rewards))
        self.model.train_on_batch(x, self.targets(probability, episode))


def main() -> None:
    agent = KerasReference(0)
    agent.episode(5)

    def answer(most_steps: int) -> dict[str, float]:
        start = time.perf_counter()
        steps = agent.episode(most_steps)
        return {"steps": steps, "seconds": time.perf_counter() - start}

    serve(answer)
