"""The agent for games with chance: Q-learning from a replay, with the actor-critic agent's network.

    Q(x, RIGHT) = V + A,  Q(x, LEFT) = V - A,   V = (h + h') . v,  A = (h - h') . a

so that upside down the two actions exchange; see ``laned``. Decisions are kept and learned from
again, some ``reuse`` times each. With R the rewards of n decisions, up to a point, the discount
g = gamma^n, or 0 where a point came before, and Q' the network as it was some steps ago,

    y = R + g Q'(x_n, argmax_a Q(x_n, a)),   loss = mean of (Q(x, a) - y)^2 / 2

The better action is played, save for a share ``exploration`` that is drawn blindly; in evaluation,
too, unless it is greedy.

Sources: Mnih et al., "Human-level control through deep reinforcement learning" (2015); van Hasselt
et al., "Deep Reinforcement Learning with Double Q-learning" (2016); Wang et al., "Dueling Network
Architectures" (2016); returns over n as in Hessel et al., "Rainbow" (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.agents.laned import LaneAgent, LaneSettings, look
from fastpong.agents.q_learner import QLearner
from fastpong.agents.replay import ROUNDS, Replay
from fastpong.kernels import Backend
from fastpong.lanes import Step
from fastpong.options import option

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Settings(LaneSettings):
    """The recipe; ``docs/learning.md`` says what else was tried."""

    stride: int = option(
        1,
        "2 to look at every second row and column, 1 at every one",
        minimum=1,
        maximum=2,
    )
    resolution: int = option(4, "pixels along a side of an input cell", minimum=1, maximum=10)
    levels: str = option(
        "8x8:0.35 16x16:0.35 32x32:0.35 160x4:0.35 4x40:0.35",
        "coarser cells that an input also feeds, HEIGHTxWIDTH:SCALE in pixels",
    )
    history: int = option(
        2, "differences between earlier frames that are inputs, too", minimum=0, maximum=8
    )
    last_action: bool = option(True, "the action chosen last is an input, too")
    learning_rate: float = option(5e-4, "Adam's step size at the beginning", above=0)
    final_rate: float = option(
        0.1, "the share of the learning rate that is left in the end", minimum=0, maximum=1
    )
    anneal: int = option(
        2_500_000, "decisions over which the learning rate falls, in a straight line", minimum=1
    )
    replay: int = option(
        300_000,
        "decisions that are kept, four segments of every lane or more; 375 bytes each, in memory "
        "and in checkpoints",
        minimum=1,
        maximum=1 << 22,
    )
    warmup: int = option(20_000, "decisions before learning begins", minimum=0)
    reuse: float = option(8.0, "times that a decision is learned from, about", above=0)
    minibatch: int = option(512, "decisions to a step of Adam", minimum=1, maximum=1 << 13)
    gamma: float = option(0.99, "discount of rewards, per decision", minimum=0, maximum=1)
    returns: int = option(15, "decisions whose rewards are added up, n; up to a segment", minimum=1)
    target: int = option(
        100, "steps of Adam after which the network that values what follows is renewed", minimum=1
    )
    exploration: float = option(
        0.01, "share of actions that are drawn blindly", minimum=0, maximum=0.5
    )
    explore: int = option(
        100_000, "decisions over which that share falls, from 1, in a straight line", minimum=1
    )
    max_norm: float = option(10.0, "longest gradient that is not cut down", above=0)
    beta1: float = option(0.9, "Adam's decay of gradients", minimum=0, below=1)
    beta2: float = option(0.999, "Adam's decay of squared gradients", minimum=0, below=1)
    epsilon: float = option(1e-5, "added to Adam's root", minimum=1e-12)

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        super().__post_init__()
        if self.returns > self.segment:
            raise ValueError(
                f"returns: expected at most a segment, {self.segment}, got {self.returns}"
            )
        least = ROUNDS * self.lanes * self.segment
        if self.replay < least:
            raise ValueError(
                f"replay: expected at least {least}, {ROUNDS} segments of every lane, "
                f"got {self.replay}"
            )


class DeepQ(LaneAgent):
    """See ``LaneAgent``. State, besides its: the target network and the replay."""

    Hyperparameters = Settings
    defaults: ClassVar[dict[str, Any]] = {"episodes": 1000, "save_every": 100}
    initial_deviation: ClassVar[float] = 0.03

    def __init__(self, hyper: Settings, kernels: Backend, dtype: DTypeLike) -> None:
        super().__init__(hyper, kernels, dtype)
        self._learner: QLearner | None = None

    @property
    def learner(self) -> QLearner:
        """What makes updates, on as many threads as are allowed now."""
        if self._learner is None or self._learner.threads != self.threads:
            self._learner = QLearner(self.hyper, self.kernels, self.dtype, self.threads)
        return self._learner

    def initial_state(self) -> dict[str, Array]:
        """Return that of all such agents, a target that the first update sets, an empty replay."""
        hyper = self.hyper
        return (
            super().initial_state()
            | {f"target/{name}": np.zeros(shape, self.dtype) for name, shape in self.shapes.items()}
            | Replay.initial(hyper.lanes, hyper.segment, hyper.replay)
        )

    def verify(self, state: Mapping[str, Array]) -> None:
        """Look at the replay, which raw kernels trust; see ``Replay.verify``."""
        Replay(state, self.hyper.lanes, self.hyper.segment).verify(self.pyramid.base)

    def exploration(self, number: int) -> float:
        """Return the share of task ``number``'s actions that are drawn blindly."""
        hyper = self.hyper
        done = min(1.0, number // hyper.lanes * hyper.lanes * hyper.segment / hyper.explore)
        return float(1 - done * (1 - hyper.exploration))

    def chooser(self, step: Step, number: int, whole_game: bool) -> Step:
        """Return what takes the better action, or one drawn blindly."""
        share = self.hyper.exploration if whole_game else self.exploration(number)

        def choose(t: int, uniform: float, fresh: bool, last_action: int) -> int:
            # RIGHT if what is handed on is below its probability: at 0.5 where that is likelier.
            drawn = 0.5 if uniform >= share else float(2 * uniform < share)
            return step(t, drawn, fresh, last_action)

        return choose

    def update(self, parameters: dict[str, Array], state: dict[str, Array]) -> dict[str, float]:
        """Keep the segments of all lanes and learn from what is kept; see ``QLearner``.

        Raises ArithmeticError where a gradient is not finite, MemoryError where the segments do not
        fit; weights are then as before, what is kept need not be.
        """
        hyper = self.hyper
        replay = Replay(state, hyper.lanes, hyper.segment)
        decisions = int(state["updates"][0]) * replay.size
        for segment in self._segments:
            look(self.pyramid, segment.indices, state["seen"])
        replay.put(self._segments)
        self._segments.clear()
        state["updates"] += 1
        if decisions < hyper.warmup or not replay.decisions:
            return {}
        done = min(1.0, decisions / hyper.anneal)
        before = int(state["steps"][0])
        found = self.learner.learn(replay, parameters, state, done)
        made = int(state["steps"][0]) - before
        self.average(parameters, state, before // made + 1)
        return found
