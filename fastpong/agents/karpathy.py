"""The first reference agent: REINFORCE with one hidden ReLU layer, on difference frames.

    h = ReLU(W1 x),   p = sigmoid(W2 . h),   RIGHT with probability p, else LEFT
    A = standardize(discounted returns, reset at every point)
    gradient = sum_t (y_t - p_t) A_t d logit_t,   summed over a batch of episodes
    RMSProp ascent

Source: A. Karpathy, "Deep Reinforcement Learning: Pong from Pixels" (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.acting.episode import Buffers, Step, play_episode
from fastpong.acting.trajectory import Trajectory
from fastpong.agents.episodic import EpisodeTasks
from fastpong.envs.draws import INIT, uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant
from fastpong.kernels import PIXELS, Backend
from fastpong.learning.finite import finite_norm
from fastpong.settings.fields import check, option

Array = NDArray[Any]

# Steps of an episode that are learned from at a time: the hidden layer of so many stays in the
# cache (200 float32 x 512 = 400 kB) and an episode of 50,000 steps needs no memory of its own.
CHUNK = 512

KERNELS = (
    "policy_step", "sparse_policy_forward", "sparse_policy_backward", "discount_rewards",
    "standardize", "rmsprop_update",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The reference's settings; ``lag`` is ours."""

    hidden: int = option(200, "hidden units", minimum=1)
    batch_size: int = option(10, "episodes to an update", minimum=1)
    lag: int = option(
        1,
        "updates by which the playing weights are older than the newest: 0 is strictly on-policy "
        "and waits for the longest episode of every batch, 1 hides that wait",
        minimum=0,
        maximum=16,
    )
    learning_rate: float = option(1e-4, "RMSProp's step size", above=0)
    gamma: float = option(0.99, "discount of rewards, per step", minimum=0, maximum=1)
    decay: float = option(0.99, "RMSProp's decay of squared gradients", minimum=0, maximum=1)
    epsilon: float = option(1e-5, "added to RMSProp's root", minimum=1e-30)

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        check(self)


class PolicyGradient(EpisodeTasks):
    """Karpathy's agent. Parameters: w1 (6400, H), pixel-major, and w2 (H,); see ``Agent``."""

    Hyperparameters = Settings

    def __init__(self, hyper: Settings, kernels: Backend, dtype: DTypeLike) -> None:
        self.hyper = hyper
        self.kernels = kernels
        self.dtype = np.dtype(dtype)
        self.shapes = {"w1": (PIXELS, hyper.hidden), "w2": (hyper.hidden,)}
        kernels.prepare(dtype, *KERNELS)
        self.batch_size = hyper.batch_size
        self.lag = hyper.lag
        self._hidden = np.empty((CHUNK, hyper.hidden), self.dtype)
        self._probability = np.empty(CHUNK, self.dtype)

    def initial_parameters(self, seed: int) -> dict[str, Array]:
        """Draw N(0, 1) / sqrt(fan-in), in float64 and rounded, so that dtypes begin alike."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(INIT,)))
        return {
            name: (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(self.dtype)
            for name, shape in self.shapes.items()
        }

    def initial_state(self) -> dict[str, Array]:
        """Return zero gradients and a zero RMSProp cache."""
        return {
            f"{kind}/{name}": np.zeros(shape, self.dtype)
            for kind in ("gradient", "cache")
            for name, shape in self.shapes.items()
        }

    def player(
        self, env: str, seed: int, stream: int, greedy: bool
    ) -> Callable[[int, Mapping[str, Array]], Trajectory]:
        """Return ``play(episode, parameters)``. ``greedy``: RIGHT where p > 1/2, no chance."""
        emulator = Emulator(find_variant(env))
        table = emulator.foreground_table()
        buffers = Buffers()

        def play(episode: int, parameters: Mapping[str, Array]) -> Trajectory:
            def bind(
                screens: Array, indptr: Array, indices: Array, signs: Array, actions: Array
            ) -> Step:
                step = self.kernels.policy_step(
                    screens, table, parameters["w1"], parameters["w2"],
                    indptr, indices, signs, actions,
                )  # fmt: skip
                return (lambda t, _: step(t, 0.5)) if greedy else step

            return play_episode(emulator, bind, uniforms(seed, stream, episode), buffers=buffers)

        return play

    def add(
        self, result: Trajectory, parameters: Mapping[str, Array], state: dict[str, Array]
    ) -> dict[str, float]:
        """Add an episode's gradient, at the parameters that played it, to the batch's."""
        k = self.kernels
        # T numbers: float64 costs nothing here and keeps the advantages exact.
        returns = k.discount_rewards(result.rewards.astype(np.float64), self.hyper.gamma)
        advantage = k.standardize(returns, out=returns)
        right = 0.0
        for start in range(0, result.length, CHUNK):
            steps = slice(start, min(start + CHUNK, result.length))
            frames = (result.indptr[start : steps.stop + 1], result.indices, result.signs)
            size = steps.stop - start
            hidden, probability = k.sparse_policy_forward(
                *frames, parameters["w1"], parameters["w2"],
                out=(self._hidden[:size], self._probability[:size]),
            )  # fmt: skip
            dlogit = (result.actions[steps] - probability) * advantage[steps]
            k.sparse_policy_backward(
                *frames, hidden, dlogit.astype(self.dtype), parameters["w2"],
                out=(state["gradient/w1"], state["gradient/w2"]), accumulate=True,
            )  # fmt: skip
            right += float(probability.sum(dtype=np.float64))
        return {"probability_right": right / max(1, result.length)}

    def update(self, parameters: dict[str, Array], state: dict[str, Array]) -> dict[str, float]:
        """Climb the batch's gradient by RMSProp and clear it.

        Raises ArithmeticError, with nothing changed, where the gradient is not finite.
        """
        hyper = self.hyper
        gradients = [state[f"gradient/{name}"] for name in parameters]
        norm = finite_norm(gradients, hyper.learning_rate)
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            self.kernels.rmsprop_update(
                parameter, gradient, state[f"cache/{name}"],
                hyper.learning_rate, hyper.decay, hyper.epsilon,
            )  # fmt: skip
            gradient.fill(0)
        return {"gradient_norm": norm}
