"""The second reference agent: REINFORCE with a convolution.

It plays all six actions.

    h = ReLU(flatten(ReLU(conv(x))) W1 + b1),   h' = ReLU(h W2 + b2),   p = softmax(h' W3 + b3)
    A = discounted returns, reset at every point, over their standard deviation
    loss = mean of the cross-entropy of p and Y = p + step A (onehot(action) - p), Y held fixed
    Adam

As in the reference the convolution takes a frame as one row of 80 columns with 80 channels.
``image_conv`` gives it an image. Parameters are named in order and shaped as Keras shapes them.
Source: rlcode/reinforcement-learning, 3-atari/2-pong (2017), its facts and formulas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

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
from fastpong.agents.keras.settings import KerasSettings
from fastpong.agents.protocol import PlannedStage
from fastpong.arrays import Array, Arrays
from fastpong.envs.draws import INIT
from fastpong.envs.games import GameSpec
from fastpong.kernels import NETWORK, Backend
from fastpong.learning.finite import finite_norm

FILTERS, UNITS, ACTIONS = 32, (64, 32), 6
KERNELS = (
    "conv_step", "sparse_conv_forward", "sparse_conv_backward", "dense_forward", "dense_backward",
    "softmax", "cross_entropy_gradient", "discount_rewards", "standardize", "adam_update",
)  # fmt: skip


def shapes(image_conv: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters.

    They have 149,830 numbers, with ``image_conv`` 1,496,518.
    """
    channels, positions = (1, 27 * 27) if image_conv else (80, 27)
    first, second = UNITS
    sizes = [(positions * FILTERS, first), (first, second), (second, ACTIONS)]
    found: dict[str, tuple[int, ...]] = {"kernel": (6, 6, channels, FILTERS), "bias": (FILTERS,)}
    for k, (inputs, outputs) in enumerate(sizes, 1):
        found |= {f"w{k}": (inputs, outputs), f"b{k}": (outputs,)}
    return found


class KerasConv(EpisodicSpec):
    """See ``Spec``. Parameters as ``shapes`` says."""

    Settings = KerasSettings
    defaults: ClassVar[Mapping[str, object]] = {"save_every": 10}

    def __init__(self, settings: KerasSettings, kernels: Backend, dtype: DTypeLike) -> None:
        super().__init__(settings, kernels, dtype)
        self.settings = settings
        self.shapes = shapes(settings.image_conv)
        kernels.prepare(dtype, *KERNELS)

    def initial_parameters(self, seed: int) -> dict[str, Array]:
        """Draw the kernels, and set the biases to zero.

        In float64 and rounded, so that dtypes begin alike. Uniform within sqrt(6 / fan-in) (He),
        the last layer's within sqrt(6 / (fan-in + fan-out)) (Glorot), which is Keras's default and
        left at that in the reference.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(INIT,)))
        parameters = {}
        for name, shape in self.shapes.items():
            fan = int(np.prod(shape[:-1])) + (shape[-1] if name == "w3" else 0)
            limit = np.sqrt(6 / fan) if len(shape) > 1 else 0.0
            parameters[name] = (limit * rng.uniform(-1, 1, shape)).astype(self.dtype)
        return parameters

    def bind_step(self, parameters: Arrays, table: Array, greedy: bool) -> BindStep:
        """Return a function that binds buffers to ``conv_step``.

        Greedy: the likeliest action.
        """
        network = tuple(parameters[name] for name in NETWORK)

        def bind(
            screens: Array, indptr: Array, indices: Array, signs: Array, actions: Array
        ) -> Step:
            return self.kernels.conv_step(
                screens, table, network, indptr, indices, signs, actions, greedy
            )

        return bind

    def probabilities(self, frame: SparseFrame, parameters: Arrays) -> Array:
        """Return the probabilities of the six actions."""
        *_, probability = self.forward(frame, parameters)
        found: Array = probability[0]
        return found

    def forward(
        self,
        frames: tuple[Array, Array, Array],
        parameters: Arrays,
        out: tuple[Array | None, Array | None, Array | None] = (None, None, None),
    ) -> tuple[Array, Array, Array]:
        """Return the layers h (T, 64), h' (T, 32) and p (T, 6) of T sparse frames."""
        k, p = self.kernels, parameters
        h1 = k.sparse_conv_forward(*frames, p["kernel"], p["bias"], p["w1"], p["b1"], out=out[0])
        h2 = k.dense_forward(h1, p["w2"], p["b2"], out=out[1])
        logits = k.dense_forward(h2, p["w3"], p["b3"], relu=False, out=out[2])
        return h1, h2, k.softmax(logits, out=logits)

    def moves(self, game: GameSpec) -> tuple[int, ...]:
        """Return all actions of the game."""
        return game.actions

    def learner(
        self, stage: PlannedStage, parameters: dict[str, Array], threads: int
    ) -> KerasLearner:
        """Return a learner. It uses one thread."""
        return KerasLearner(self, stage, parameters)


@dataclass(frozen=True, eq=False)
class State:
    """Hold the batch's gradient and Adam's moments by name.

    steps   : (1,), steps in the gradient
    updates : (1,), updates made
    """

    gradient: dict[str, Array]
    mean: dict[str, Array]
    square: dict[str, Array]
    steps: Array = field(default_factory=lambda: np.zeros(1, np.int64))
    updates: Array = field(default_factory=lambda: np.zeros(1, np.int64))


def _zeros(spec: KerasConv) -> dict[str, Array]:
    return {name: np.zeros(shape, spec.dtype) for name, shape in spec.shapes.items()}


class KerasLearner(EpisodicLearner):
    """Descend the mean gradient of episodes by Adam."""

    def __init__(self, spec: KerasConv, stage: PlannedStage, parameters: dict[str, Array]) -> None:
        self.spec, self.parameters = spec, parameters
        self.reset = stage.variant.game.point_ends_return
        self._state = State(_zeros(spec), _zeros(spec), _zeros(spec))
        first, second = UNITS
        sizes = {"h1": first, "h2": second, "p": ACTIONS, "dh1": first, "dh2": second}
        self._layers = {name: np.empty((CHUNK, size), spec.dtype) for name, size in sizes.items()}

    def state(self) -> dict[str, Array]:
        """Return gradients, moments and counters by name."""
        state = self._state
        kinds = {"gradient": state.gradient, "mean": state.mean, "square": state.square}
        named = {k: v for kind, arrays in kinds.items() for k, v in by_name(kind, arrays).items()}
        return named | {"steps": state.steps, "updates": state.updates}

    def add(self, result: Trajectory, parameters: Arrays) -> dict[str, float]:
        """Add an episode's gradient to the batch's.

        It is taken at the parameters that played the episode.
        """
        # T numbers: float64 costs nothing here and keeps the advantages exact.
        rewards = result.rewards.astype(np.float64)
        returns = self.spec.kernels.discount_rewards(
            rewards, self.spec.settings.gamma, out=rewards, reset_on_reward=self.reset
        )
        advantage = self.spec.kernels.standardize(returns, center=False, sequential=True).astype(
            self.spec.dtype
        )
        loss = entropy = 0.0
        for start in range(0, result.length, CHUNK):
            steps = slice(start, min(start + CHUNK, result.length))
            frames = (result.indptr[start : steps.stop + 1], result.indices, result.signs)
            probability, losses = self._learn(
                frames, result.actions[steps], advantage[steps], parameters
            )
            loss += float(losses.sum(dtype=np.float64))
            entropy -= float((probability * np.log(np.maximum(probability, 1e-30))).sum())
        self._state.steps[0] += result.length
        return {"loss": loss / result.length, "entropy": entropy / result.length}

    def _learn(
        self,
        frames: tuple[Array, Array, Array],
        actions: Array,
        advantage: Array,
        parameters: Arrays,
    ) -> tuple[Array, Array]:
        """Add some steps' gradient.

        Returns their probabilities and losses.
        """
        k, p, g = self.spec.kernels, parameters, self._state.gradient
        h1, h2, probability, dh1, dh2 = (a[: len(actions)] for a in self._layers.values())
        self.spec.forward(frames, p, (h1, h2, probability))
        dlogit, losses = k.cross_entropy_gradient(
            probability, actions, advantage, self.spec.settings.target_step
        )
        k.dense_backward(h2, p["w3"], dlogit, out=(g["w3"], g["b3"], dh2), accumulate=True)
        k.dense_backward(h1, p["w2"], dh2, out=(g["w2"], g["b2"], dh1), accumulate=True)
        k.sparse_conv_backward(
            *frames, p["kernel"], p["bias"], p["w1"], dh1,
            out=(g["kernel"], g["bias"], g["w1"], g["b1"]), accumulate=True,
        )  # fmt: skip
        return probability, losses

    def update(self) -> dict[str, float]:
        """Descend the batch's mean loss and clear its gradient.

        Raises ArithmeticError, with nothing changed, for a gradient that is not finite.
        """
        settings, state = self.spec.settings, self._state
        steps = max(1, int(state.steps[0]))
        norm = finite_norm(state.gradient.values(), settings.learning_rate) / steps
        state.updates[0] += 1
        for name, parameter in self.parameters.items():
            gradient = state.gradient[name]
            gradient /= steps
            self.spec.kernels.adam_update(
                parameter, gradient, state.mean[name], state.square[name],
                int(state.updates[0]), settings.learning_rate, settings.adam_beta1,
                settings.adam_beta2, settings.adam_eps,
            )  # fmt: skip
            gradient.fill(0)
        state.steps.fill(0)
        return {"gradient_norm": norm}
