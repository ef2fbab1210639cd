"""The second reference agent: REINFORCE with a small convolutional network and all actions.

    h = ReLU(flatten(ReLU(conv(x))) W1 + b1),   h' = ReLU(h W2 + b2),   p = softmax(h' W3 + b3)
    A = discounted returns, reset at every point, over their standard deviation
    loss = mean of the cross-entropy of p and Y = p + step A (onehot(action) - p), Y held fixed
    Adam

As in the reference the convolution takes a frame as one row of 80 columns with 80 channels;
``image_conv`` gives it an image. Parameters are named in order and shaped as Keras shapes them.
Source: rlcode/reinforcement-learning, 3-atari/2-pong (2017), its facts and formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.acting.episode import Buffers, Step, play_episode
from fastpong.acting.trajectory import Trajectory
from fastpong.agents.episodic import EpisodeTasks
from fastpong.envs.draws import INIT, uniforms
from fastpong.envs.emulator import Emulator
from fastpong.envs.variants import find_variant
from fastpong.kernels import NETWORK, Backend
from fastpong.learning.finite import finite_norm
from fastpong.settings.fields import check, option

Array = NDArray[Any]

# Steps of an episode that are learned from at a time, as for the first agent.
CHUNK = 512
FILTERS, UNITS, ACTIONS = 32, (64, 32), 6

KERNELS = (
    "conv_step", "sparse_conv_forward", "sparse_conv_backward", "dense_forward", "dense_backward",
    "softmax", "cross_entropy_gradient", "discount_rewards", "standardize", "adam_update",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The reference's settings; ``lag`` and ``image_conv`` are ours."""

    batch_size: int = option(1, "episodes to an update", minimum=1)
    lag: int = option(
        0,
        "0, the reference's, is strictly on-policy: with an update after every episode, one "
        "worker plays while all others wait. 1 keeps two of them busy, with a batch of B "
        "episodes all of up to 2 B; gradients are taken at the weights that played, one update "
        "older than those they are applied to",
        minimum=0,
        maximum=16,
    )
    learning_rate: float = option(1e-3, "Adam's step size", above=0)
    target_step: float = option(
        1e-3,
        "how far targets stand from the probabilities, per unit of advantage; the reference "
        "takes its learning rate for this too",
        above=0,
    )
    gamma: float = option(0.99, "discount of rewards, per step", minimum=0, maximum=1)
    beta1: float = option(0.9, "Adam's decay of gradients", minimum=0, below=1)
    beta2: float = option(0.999, "Adam's decay of squared gradients", minimum=0, below=1)
    epsilon: float = option(1e-7, "added to Adam's root", minimum=1e-30)
    image_conv: bool = option(
        False,
        "convolve an 80x80 image of one channel, not one row of 80 columns with 80 channels "
        "as the reference does",
    )

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        check(self)


def shapes(image_conv: bool) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters: 149,830 numbers, of an image 1,496,518."""
    channels, positions = (1, 27 * 27) if image_conv else (80, 27)
    first, second = UNITS
    sizes = [(positions * FILTERS, first), (first, second), (second, ACTIONS)]
    found: dict[str, tuple[int, ...]] = {"kernel": (6, 6, channels, FILTERS), "bias": (FILTERS,)}
    for k, (inputs, outputs) in enumerate(sizes, 1):
        found |= {f"w{k}": (inputs, outputs), f"b{k}": (outputs,)}
    return found


class ConvolutionalAgent(EpisodeTasks):
    """The Keras reference's agent; parameters as ``shapes`` says; see ``Agent``."""

    Hyperparameters = Settings
    defaults: ClassVar[dict[str, Any]] = {"save_every": 10}

    def __init__(self, hyper: Settings, kernels: Backend, dtype: DTypeLike) -> None:
        self.hyper = hyper
        self.kernels = kernels
        self.dtype = np.dtype(dtype)
        self.shapes = shapes(hyper.image_conv)
        self.batch_size = hyper.batch_size
        self.lag = hyper.lag
        kernels.prepare(dtype, *KERNELS)
        first, second = UNITS
        sizes = {"h1": first, "h2": second, "p": ACTIONS, "dh1": first, "dh2": second}
        self._layers = {name: np.empty((CHUNK, size), self.dtype) for name, size in sizes.items()}

    def initial_parameters(self, seed: int) -> dict[str, Array]:
        """Draw the kernels, in float64 and rounded, and set the biases to zero.

        Uniform within sqrt(6 / fan-in) (He), the last layer's within sqrt(6 / (fan-in + fan-out))
        (Glorot), which is Keras's default and left at that in the reference.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(INIT,)))
        parameters = {}
        for name, shape in self.shapes.items():
            fan = int(np.prod(shape[:-1])) + (shape[-1] if name == "w3" else 0)
            limit = np.sqrt(6 / fan) if len(shape) > 1 else 0.0
            parameters[name] = (limit * rng.uniform(-1, 1, shape)).astype(self.dtype)
        return parameters

    def initial_state(self) -> dict[str, Array]:
        """Return zero gradients and moments, no steps summed up and no updates made."""
        arrays: dict[str, Array] = {
            f"{kind}/{name}": np.zeros(shape, self.dtype)
            for kind in ("gradient", "mean", "square")
            for name, shape in self.shapes.items()
        }
        return arrays | {name: np.zeros(1, np.int64) for name in ("steps", "updates")}

    def player(
        self, env: str, seed: int, stream: int, greedy: bool
    ) -> Callable[[int, Mapping[str, Array]], Trajectory]:
        """Return ``play(episode, parameters)``. ``greedy``: the likeliest action, no chance."""
        emulator = Emulator(find_variant(env))
        table = emulator.foreground_table()
        buffers = Buffers()

        def play(episode: int, parameters: Mapping[str, Array]) -> Trajectory:
            network = tuple(parameters[name] for name in NETWORK)

            def bind(
                screens: Array, indptr: Array, indices: Array, signs: Array, actions: Array
            ) -> Step:
                return self.kernels.conv_step(
                    screens, table, network, indptr, indices, signs, actions, greedy
                )

            draw = uniforms(seed, stream, episode)
            return play_episode(emulator, bind, draw, ale_actions=emulator.actions, buffers=buffers)

        return play

    def add(
        self, result: Trajectory, parameters: Mapping[str, Array], state: dict[str, Array]
    ) -> dict[str, float]:
        """Add an episode's gradient, at the parameters that played it, to the batch's."""
        # T numbers: float64 costs nothing here and keeps the advantages exact.
        rewards = result.rewards.astype(np.float64)
        returns = self.kernels.discount_rewards(rewards, self.hyper.gamma, out=rewards)
        advantage = self.kernels.standardize(returns, center=False).astype(self.dtype)
        loss = entropy = 0.0
        for start in range(0, result.length, CHUNK):
            steps = slice(start, min(start + CHUNK, result.length))
            frames = (result.indptr[start : steps.stop + 1], result.indices, result.signs)
            probability, losses = self._learn(
                frames, result.actions[steps], advantage[steps], parameters, state
            )
            loss += float(losses.sum(dtype=np.float64))
            entropy -= float((probability * np.log(np.maximum(probability, 1e-30))).sum())
        state["steps"] += result.length
        return {"loss": loss / result.length, "entropy": entropy / result.length}

    def _learn(
        self,
        frames: tuple[Array, Array, Array],
        actions: Array,
        advantage: Array,
        parameters: Mapping[str, Array],
        state: dict[str, Array],
    ) -> tuple[Array, Array]:
        """Add the gradient of some steps; return their probabilities and losses."""
        k, p = self.kernels, parameters
        h1, h2, probability, dh1, dh2 = (a[: len(actions)] for a in self._layers.values())
        k.sparse_conv_forward(*frames, p["kernel"], p["bias"], p["w1"], p["b1"], out=h1)
        k.dense_forward(h1, p["w2"], p["b2"], out=h2)
        k.dense_forward(h2, p["w3"], p["b3"], relu=False, out=probability)
        k.softmax(probability, out=probability)
        dlogit, losses = k.cross_entropy_gradient(
            probability, actions, advantage, self.hyper.target_step
        )
        g = {name: state[f"gradient/{name}"] for name in NETWORK}
        k.dense_backward(h2, p["w3"], dlogit, out=(g["w3"], g["b3"], dh2), accumulate=True)
        k.dense_backward(h1, p["w2"], dh2, out=(g["w2"], g["b2"], dh1), accumulate=True)
        k.sparse_conv_backward(
            *frames, p["kernel"], p["bias"], p["w1"], dh1,
            out=(g["kernel"], g["bias"], g["w1"], g["b1"]), accumulate=True,
        )  # fmt: skip
        return probability, losses

    def update(self, parameters: dict[str, Array], state: dict[str, Array]) -> dict[str, float]:
        """Descend the mean loss over the batch's steps by Adam, and clear its gradient.

        Raises ArithmeticError, with nothing changed, where the gradient is not finite.
        """
        hyper = self.hyper
        gradients = [state[f"gradient/{name}"] for name in parameters]
        steps = max(1, int(state["steps"][0]))
        norm = finite_norm(gradients, hyper.learning_rate) / steps
        state["updates"] += 1
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            gradient /= steps
            self.kernels.adam_update(
                parameter, gradient, state[f"mean/{name}"], state[f"square/{name}"],
                int(state["updates"][0]), hyper.learning_rate, hyper.beta1, hyper.beta2,
                hyper.epsilon,
            )  # fmt: skip
            gradient.fill(0)
        state["steps"].fill(0)
        return {"gradient_norm": norm}
