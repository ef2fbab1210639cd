"""The first reference agent: REINFORCE with one hidden layer.

Its inputs are difference frames.

    h = ReLU(W1 x),   p = sigmoid(W2 . h),   RIGHT with probability p, else LEFT
    A = standardize(discounted returns, reset at every point)
    gradient = sum_t (y_t - p_t) A_t d logit_t,   summed over a batch of episodes
    RMSProp ascent

Source: A. Karpathy, "Deep Reinforcement Learning: Pong from Pixels" (2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from fastpong.acting.episode import BindStep, Step
from fastpong.acting.trajectory import Trajectory
from fastpong.agents.episodic import (
    CHUNK,
    EpisodicLearner,
    EpisodicSpec,
    SparseFrame,
    by_name,
)
from fastpong.agents.karpathy.settings import KarpathySettings
from fastpong.agents.protocol import PlannedStage
from fastpong.arrays import Array, Arrays
from fastpong.envs.draws import INIT
from fastpong.kernels import PIXELS, Backend
from fastpong.learning.finite import finite_norm

KERNELS = (
    "policy_step", "sparse_policy_forward", "sparse_policy_backward", "discount_rewards",
    "standardize", "rmsprop_update",
)  # fmt: skip


class Karpathy(EpisodicSpec):
    """See ``Spec``.

    Parameters: w1 (6400, H), pixel-major, and w2 (H,).
    """

    Settings = KarpathySettings

    def __init__(self, settings: KarpathySettings, kernels: Backend, dtype: DTypeLike) -> None:
        super().__init__(settings, kernels, dtype)
        self.settings = settings
        kernels.prepare(dtype, *KERNELS)
        self.shapes = {"w1": (PIXELS, settings.hidden), "w2": (settings.hidden,)}

    def initial_parameters(self, seed: int) -> dict[str, Array]:
        """Draw N(0, 1) / sqrt(fan-in).

        In float64 and rounded, so that dtypes begin alike.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(INIT,)))
        return {
            name: (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(self.dtype)
            for name, shape in self.shapes.items()
        }

    def bind_step(self, parameters: Arrays, table: Array, greedy: bool) -> BindStep:
        """Return a function that binds buffers to ``policy_step``."""

        def bind(
            screens: Array, indptr: Array, indices: Array, signs: Array, actions: Array
        ) -> Step:
            return self.kernels.policy_step(
                screens, table, parameters["w1"], parameters["w2"], indptr, indices, signs, actions
            )

        return bind

    def probabilities(self, frame: SparseFrame, parameters: Arrays) -> Array:
        """Return the probabilities of LEFT and RIGHT."""
        w1, w2 = parameters["w1"], parameters["w2"]
        _, right = self.kernels.sparse_policy_forward(*frame, w1, w2)
        return np.array([1 - right[0], right[0]])

    def epsilon(self, greedy: bool) -> float | None:
        """Return the share of random actions. Greedy: RIGHT where p > 1/2."""
        return 0.0 if greedy else None

    def learner(
        self, stage: PlannedStage, parameters: dict[str, Array], threads: int
    ) -> KarpathyLearner:
        """Return a learner. It uses one thread."""
        return KarpathyLearner(self, stage, parameters)


@dataclass(frozen=True, eq=False)
class State:
    """Hold the batch's gradient and RMSProp's cache by name."""

    gradient: dict[str, Array]
    cache: dict[str, Array]


class KarpathyLearner(EpisodicLearner):
    """Climb the summed gradients of episodes by RMSProp."""

    def __init__(self, spec: Karpathy, stage: PlannedStage, parameters: dict[str, Array]) -> None:
        self.spec, self.parameters = spec, parameters
        self.reset = stage.variant.game.point_ends_return
        hidden, dtype = spec.settings.hidden, spec.dtype
        self._state = State(
            *(
                {name: np.zeros(shape, dtype) for name, shape in spec.shapes.items()}
                for _ in range(2)
            )
        )
        self._hidden = np.empty((CHUNK, hidden), dtype)
        self._probability = np.empty(CHUNK, dtype)

    def state(self) -> dict[str, Array]:
        """Return gradients and caches by name."""
        return by_name("gradient", self._state.gradient) | by_name("cache", self._state.cache)

    def add(self, result: Trajectory, parameters: Arrays) -> dict[str, float]:
        """Add an episode's gradient to the batch's.

        It is taken at the parameters that played the episode.
        """
        k, gradient = self.spec.kernels, self._state.gradient
        # T numbers: float64 costs nothing here and keeps the advantages exact.
        returns = k.discount_rewards(
            result.rewards.astype(np.float64), self.spec.settings.gamma, reset_on_reward=self.reset
        )
        advantage = k.standardize(returns, out=returns, sequential=True)
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
                *frames, hidden, dlogit.astype(self.spec.dtype), parameters["w2"],
                out=(gradient["w1"], gradient["w2"]), accumulate=True,
            )  # fmt: skip
            right += float(probability.sum(dtype=np.float64))
        return {"probability_right": right / max(1, result.length)}

    def update(self) -> dict[str, float]:
        """Climb the batch's gradient by RMSProp and clear it.

        Raises ArithmeticError, with nothing changed, for a gradient that is not finite.
        """
        settings, state = self.spec.settings, self._state
        norm = finite_norm(state.gradient.values(), settings.learning_rate)
        for name, parameter in self.parameters.items():
            gradient = state.gradient[name]
            self.spec.kernels.rmsprop_update(
                parameter, gradient, state.cache[name],
                settings.learning_rate, settings.rmsprop_decay, settings.rmsprop_eps,
            )  # fmt: skip
            gradient.fill(0)
        return {"gradient_norm": norm}
