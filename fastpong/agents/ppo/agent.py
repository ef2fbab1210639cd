"""The strong agent: PPO with one hidden layer that sees several resolutions and the mirror image.

    h = ReLU(x E + b),  h' = ReLU(x' E + b)        x' is x upside down
    RIGHT with probability sigmoid(2 (h - h') . a), else LEFT;   value (h + h') . v

The input x is the frame and the difference frame, and with ``history`` earlier ones, in cells; see
``pyramid``. L emulators play side
by side, a task is a segment of T decisions of one of them, and an update is made from the segments
of all: several passes over them in minibatches, with the clipped loss of PPO, an entropy bonus and
the squared error of the value, by Adam. Every point ends the return: nothing that happens after it
counts for what led to it.

Sources: Schulman et al., "Proximal Policy Optimization Algorithms" (2017), and "High-Dimensional
Continuous Control Using Generalized Advantage Estimation" (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import DTypeLike, NDArray

from fastpong.agents.multi_env import LaneAgent, LaneSettings
from fastpong.agents.ppo.learner import Batch, Learner
from fastpong.kernels import Backend
from fastpong.settings.fields import option

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Settings(LaneSettings):
    """The recipe; ``docs/learning.md`` says what else was tried."""

    learning_rate: float = option(1.5e-3, "Adam's step size at the beginning", above=0)
    final_rate: float = option(
        0.1, "the share of the learning rate that is left in the end", minimum=0, maximum=1
    )
    anneal: int = option(
        800_000,
        "decisions over which learning rate and entropy weight fall, in a straight line",
        minimum=1,
    )
    gamma: float = option(0.98, "discount of rewards, per decision", minimum=0, maximum=1)
    gae_lambda: float = option(
        0.98, "weight of later decisions in an advantage", minimum=0, maximum=1
    )
    epochs: int = option(6, "passes over a batch", minimum=1)
    minibatch: int = option(512, "decisions to a step of Adam, about", minimum=1)
    clip: float = option(0.2, "how far a probability's ratio is rewarded", minimum=0, below=1)
    entropy: float = option(0.005, "weight of the entropy bonus at the beginning", minimum=0)
    final_entropy: float = option(
        0.1, "the share of the entropy's weight that is left in the end", minimum=0, maximum=1
    )
    value_weight: float = option(0.5, "weight of the value's loss", minimum=0)
    max_norm: float = option(0.5, "longest gradient that is not cut down", above=0)
    beta1: float = option(0.9, "Adam's decay of gradients", minimum=0, below=1)
    beta2: float = option(0.999, "Adam's decay of squared gradients", minimum=0, below=1)
    epsilon: float = option(1e-5, "added to Adam's root", minimum=1e-12)


class ActorCritic(LaneAgent):
    """See ``LaneAgent``."""

    Hyperparameters = Settings
    defaults: ClassVar[dict[str, Any]] = {"episodes": 1000, "save_every": 50}

    def __init__(self, hyper: Settings, kernels: Backend, dtype: DTypeLike) -> None:
        super().__init__(hyper, kernels, dtype)
        self._learner: Learner | None = None

    @property
    def learner(self) -> Learner:
        """What makes updates, on as many threads as are allowed now."""
        if self._learner is None or self._learner.threads != self.threads:
            self._learner = Learner(self.hyper, self.kernels, self.dtype, self.threads)
        return self._learner

    def update(self, parameters: dict[str, Array], state: dict[str, Array]) -> dict[str, float]:
        """Learn from the segments of all lanes; see ``Learner``.

        Raises ArithmeticError where a gradient is not finite.
        """
        batch = Batch.of(self._segments, self.hyper, self.kernels, self.dtype)
        self._segments.clear()
        decisions = int(state["updates"][0]) * self.hyper.lanes * self.hyper.segment
        done = min(1.0, decisions / self.hyper.anneal)
        state["updates"] += 1
        found = self.learner.learn(batch, parameters, state, done)
        self.average(parameters, state, int(state["updates"][0]))
        return found
