"""The reference's loop, written from its mathematics: NumPy through gymnasium, dense, float64.

One process, one step after the other, as a straightforward program does it: an RGB observation
from gymnasium's Pong-v0, a dense difference frame, matrix products with (H, D) weights, an
update after every batch of episodes. As a helper process it plays and learns batches. Saving and
printing are left out, which flatters it a little.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from measure import serve
from numpy.typing import NDArray
from shared import tolerances

Array = NDArray[Any]

PIXELS, HIDDEN = 80 * 80, 200
GAMMA, LEARNING_RATE, DECAY, EPSILON = 0.99, 1e-4, 0.99, 1e-5
RIGHT, LEFT = 2, 3  # gymnasium's numbers


def make_env() -> Any:
    import ale_py
    import gymnasium

    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    gymnasium.register_envs(ale_py)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are newer variants
        return gymnasium.make("Pong-v0", obs_type="rgb")


def field_of(observation: Array) -> Array:
    """Return the playing field, 80 x 80 flattened: 0 background, 1 everything else."""
    red = observation[35:195:2, ::2, 0]
    return ((red != 0) & (red != 144) & (red != 109)).astype(np.float64).ravel()


@dataclass
class Episode:
    """What an episode leaves behind: a row per step."""

    frames: list[Array] = field(default_factory=list)
    hidden: list[Array] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


class Reference:
    """The agent, its weights as matrices (H, D) and (H,)."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.w1 = self.rng.standard_normal((HIDDEN, PIXELS)) / np.sqrt(PIXELS)
        self.w2 = self.rng.standard_normal(HIDDEN) / np.sqrt(HIDDEN)
        self.cache1, self.cache2 = np.zeros_like(self.w1), np.zeros_like(self.w2)

    def forward(self, x: Array) -> tuple[Array, float]:
        hidden = np.maximum(self.w1 @ x, 0.0)
        return hidden, float(1.0 / (1.0 + np.exp(-(self.w2 @ hidden))))

    def play(self, env: Any, seed: int | None = None) -> Episode:
        episode, over = Episode(), False
        observation, _ = env.reset(seed=seed)
        before = field_of(observation)
        while not over:
            now = field_of(observation)
            x, before = now - before, now
            hidden, probability = self.forward(x)
            right = self.rng.random() < probability
            observation, reward, terminated, truncated, _ = env.step(RIGHT if right else LEFT)
            over = terminated or truncated
            episode.frames.append(x)
            episode.hidden.append(hidden)
            episode.probability.append(probability)
            episode.right.append(float(right))
            episode.rewards.append(reward)
        return episode

    def gradient(self, episode: Episode) -> tuple[Array, Array]:
        advantage = standardized(returns_of(episode.rewards))
        dlogit = (np.array(episode.right) - np.array(episode.probability)) * advantage
        hidden = np.stack(episode.hidden)
        dhidden = np.outer(dlogit, self.w2)
        dhidden[hidden <= 0] = 0.0
        return dhidden.T @ np.stack(episode.frames), hidden.T @ dlogit

    def update(self, grad1: Array, grad2: Array) -> None:
        self.cache1 = DECAY * self.cache1 + (1 - DECAY) * grad1**2
        self.cache2 = DECAY * self.cache2 + (1 - DECAY) * grad2**2
        self.w1 += LEARNING_RATE * grad1 / (np.sqrt(self.cache1) + EPSILON)
        self.w2 += LEARNING_RATE * grad2 / (np.sqrt(self.cache2) + EPSILON)

    def batch(self, env: Any, episodes: int) -> int:
        """Play a batch and learn from it; return its steps."""
        grad1, grad2, steps = np.zeros_like(self.w1), np.zeros_like(self.w2), 0
        for _ in range(episodes):
            episode = self.play(env)
            first, second = self.gradient(episode)
            grad1 += first
            grad2 += second
            steps += len(episode.rewards)
        self.update(grad1, grad2)
        return steps


def returns_of(rewards: list[float]) -> Array:
    """Return the discounted returns, beginning anew at every point."""
    returns, running = np.zeros(len(rewards)), 0.0
    for t in range(len(rewards) - 1, -1, -1):
        running = rewards[t] if rewards[t] else GAMMA * running
        returns[t] = running
    return returns


def standardized(values: Array) -> Array:
    return (values - values.mean()) / values.std()


def check() -> None:
    """Raise AssertionError unless it is fastpong's mathematics, on a real episode of gymnasium's.

    Fields, probabilities, gradient and update are held to the oracle's. The mathematics apart,
    gymnasium's steps are as long as ours: two, three or four frames, 0.25 sticky.
    """
    from fastpong import kernels

    oracle = kernels.get_backend("numpy")
    env, agent = make_env(), Reference(0)
    settings = env.unwrapped.spec.kwargs
    assert (settings["frameskip"], settings["repeat_action_probability"]) == ((2, 5), 0.25)
    observation, _ = env.reset(seed=0)
    for _ in range(60):
        observation, *_ = env.step(RIGHT)
    tolerances.assert_close(
        field_of(observation), oracle.preprocess_frame(observation).astype(np.float64)
    )
    episode = agent.play(env, seed=0)
    w1 = np.ascontiguousarray(agent.w1.T)
    x = np.stack(episode.frames)
    assert not x[0].any()
    hidden, probability = oracle.policy_forward(x, w1, agent.w2)
    tolerances.assert_close(np.array(episode.probability), probability, tolerances.TRAINING)
    advantage = oracle.standardize(oracle.discount_rewards(np.array(episode.rewards), GAMMA))
    dlogit = (np.array(episode.right) - probability) * advantage
    grad1, grad2 = oracle.policy_backward(x, hidden, dlogit, agent.w2)
    first, second = agent.gradient(episode)
    tolerances.assert_close(first.T, grad1, tolerances.TRAINING)
    tolerances.assert_close(second, grad2, tolerances.TRAINING)
    oracle.rmsprop_update(w1, grad1, np.zeros_like(w1), LEARNING_RATE, DECAY, EPSILON)
    agent.update(first, second)
    tolerances.assert_close(agent.w1.T, w1, tolerances.TRAINING)


def main() -> None:
    env, agent = make_env(), Reference(0)

    def answer(episodes: int) -> dict[str, float]:
        start = time.perf_counter()
        steps = agent.batch(env, episodes)
        return {"steps": steps, "seconds": time.perf_counter() - start}

    serve(answer)
