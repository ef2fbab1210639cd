"""The agent for games with chance: Q-learning from a replay, with the actor-critic agent's network.

    Q(x, RIGHT) = V + A,  Q(x, LEFT) = V - A,   V = (h + h') . v,  A = (h - h') . a

so that upside down the two actions exchange; see ``laned``. Decisions are kept and learned from
again, some ``reuse`` times each. With R the rewards of n decisions, up to a point, the discount
g = gamma^n, or 0 where a point came before, and Q' the network as it was some steps ago,

    y = R + g Q'(x_n, argmax_a Q(x_n, a)),   loss = mean of (Q(x, a) - y)^2 / 2

The better action is played, save for a share ``exploration`` that is drawn blindly; in evaluation,
unless it is greedy, a smaller one.

With ``fine`` decisions become finer after so many of them: an action is played for half as many
frames, and later perhaps for half of these. Pong's paddle goes by more than its own height in four
frames. Screens are compared over the same time, but for the first few decisions, so that what was
learned holds; what was kept is forgotten.

With ``refine`` the policy itself is learned on after so many decisions, by PPO and from what was
just played, as the actor-critic agent does it. The network is the same: it begins with the averaged
weights, with A divided by a temperature t, so that RIGHT has the probability

    sigmoid((Q(x, RIGHT) - Q(x, LEFT)) / t)

From then on training draws its actions from it; evaluation plays the likelier one, or one drawn
blindly, as before. What one frame of an action is worth is little beside what chance makes of a
ball, and little beside the errors of learned values.

Sources: Mnih et al., "Human-level control through deep reinforcement learning" (2015); van Hasselt
et al., "Deep Reinforcement Learning with Double Q-learning" (2016); Wang et al., "Dueling Network
Architectures" (2016); returns over n as in Hessel et al., "Rainbow" (2018); two shares drawn
blindly as in Castro et al., "Dopamine" (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.agents import ppo
from fastpong.agents.laned import LaneAgent, LaneSettings, look
from fastpong.agents.ppo_learner import Batch, Learner
from fastpong.agents.q_learner import QLearner
from fastpong.agents.replay import ROUNDS, Replay
from fastpong.emulator import find_variant
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
    warmup: int = option(
        20_000, "decisions before learning begins, and begins again where play becomes finer",
        minimum=0,
    )  # fmt: skip
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
    evaluation_exploration: float = option(
        0.001, "the same in evaluation that is not greedy", minimum=0, maximum=0.5
    )
    fine: str = option(
        "",
        "decisions after each of which an action is played for half as many frames, such as "
        "'400000 1500000'; empty for none",
    )
    fine_gamma: float = option(
        0.997,
        "gamma where play is finer, but not yet finest, over the time of one of the variant's "
        "decisions",
        minimum=0,
        maximum=1,
    )
    fine_returns: int = option(5, "returns where play is finer, in such times", minimum=1)
    fine_reuse: float = option(16.0, "reuse where play is finer, in such a time", above=0)
    finest_gamma: float = option(
        0.999, "the same where play is finest, after the last of the numbers in fine",
        minimum=0, maximum=1,
    )  # fmt: skip
    finest_reuse: float = option(8.0, "fine_reuse where play is finest", above=0)
    finest_learning_rate: float = option(
        1e-4, "learning rate where finest play begins; it falls anew, to the same share", above=0
    )
    finest_anneal: int = option(
        3_600_000, "decisions over which that learning rate falls, in a straight line", minimum=1
    )
    finest_exploration: float = option(
        0.004, "exploration where play is finest", minimum=0, maximum=0.5
    )
    refine: int = option(
        0,
        "decisions after which the policy is learned on by PPO, as ppo does it; with lag 0, "
        "not before something is learned nor the last number in fine; 0 for never",
        minimum=0,
    )
    refine_segment: int = option(256, "ppo's segment then", minimum=1, maximum=1 << 14)
    refine_temperature: float = option(
        0.03, "training then draws actions by their values' difference divided by this", above=0
    )
    refine_learning_rate: float = option(
        5e-5, "Adam's step size then; it falls to the same share", above=0
    )
    refine_anneal: int = option(
        1_800_000,
        "decisions over which that rate and the entropy's weight fall, in a straight line",
        minimum=1,
    )
    refine_lambda: float = option(
        0.96,
        "ppo's gae_lambda then, over the time of one of the variant's decisions",
        minimum=0,
        maximum=1,
    )
    refine_epochs: int = option(3, "ppo's epochs then", minimum=1)
    refine_minibatch: int = option(1024, "ppo's minibatch then", minimum=1)
    refine_entropy: float = option(0.002, "ppo's entropy then; a tenth in the end", minimum=0)
    max_norm: float = option(
        10.0, "longest gradient that is not cut down; after refine 0.5", above=0
    )
    beta1: float = option(0.9, "Adam's decay of gradients", minimum=0, below=1)
    beta2: float = option(0.999, "Adam's decay of squared gradients", minimum=0, below=1)
    epsilon: float = option(1e-5, "added to Adam's root", minimum=1e-12)

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        super().__post_init__()
        longest = {"returns": self.returns}
        if self.phases:
            longest["fine_returns"] = self.fine_returns * 2 ** len(self.phases)
        for name, given in longest.items():
            if given > self.segment:
                raise ValueError(
                    f"{name}: expected at most a segment, {self.segment}, got {given} decisions"
                )
        soonest = max(self.first_learned + 1, *self.phases, 0)
        if self.refine and (self.lag or self.refine < soonest):
            raise ValueError(
                f"refine: expected 0, or lag 0 and at least {soonest}, when something was learned "
                f"and the last number in fine has been passed, got {self.refine} with lag "
                f"{self.lag}, warmup {self.warmup} and fine {self.fine!r}"
            )
        least = ROUNDS * self.lanes * self.segment
        if self.replay < least:
            raise ValueError(
                f"replay: expected at least {least}, {ROUNDS} segments of every lane, "
                f"got {self.replay}"
            )

    @property
    def phases(self) -> tuple[int, ...]:
        """Decisions before the frames of an action are halved, and halved again.

        Raises ValueError where ``fine`` is none such.
        """
        try:
            found = tuple(int(word) for word in self.fine.split())
        except ValueError:
            found = (0,)
        if any(a >= b for a, b in pairwise((0, *found))):
            raise ValueError(
                f"fine: expected rising numbers of decisions, as in '400000 1500000', "
                f"got {self.fine!r}"
            )
        return found

    @property
    def per_round(self) -> int:
        """Decisions of a round, a segment of every lane, that is played for values."""
        return self.lanes * self.segment

    def rounds(self, decisions: int) -> int:
        """Return how many such rounds so many decisions take."""
        return -(-decisions // self.per_round)

    def begun(self, halvings: int) -> int:
        """Return the decisions before the first round with so many halvings."""
        return self.rounds(self.phases[halvings - 1]) * self.per_round if halvings else 0

    @property
    def first_learned(self) -> int:
        """Return the decisions before the first round after which something is learned."""
        wait = max(1, self.rounds(self.warmup)) * self.per_round
        phases = [self.begun(k) for k in range(len(self.phases) + 1)]
        lasting = [a for a, b in pairwise(phases) if a + wait < b]
        return (lasting or phases[-1:])[0] + wait

    def discount(self, halvings: int) -> float:
        """Return gamma per decision where the frames of an action are halved so often."""
        if not halvings:
            return self.gamma
        finest = halvings == len(self.phases)
        return float((self.finest_gamma if finest else self.fine_gamma) ** (1 / 2**halvings))

    def refined(self) -> ppo.Settings:
        """Return the actor-critic agent's settings with which the policy is learned on."""
        halvings = len(self.phases)
        return ppo.Settings(
            **{f.name: getattr(self, f.name) for f in fields(LaneSettings)}
            | {"segment": self.refine_segment},
            learning_rate=self.refine_learning_rate,
            final_rate=self.final_rate,
            anneal=self.refine_anneal,
            gamma=self.discount(halvings),
            gae_lambda=self.refine_lambda ** (1 / 2**halvings),
            epochs=self.refine_epochs,
            minibatch=self.refine_minibatch,
            entropy=self.refine_entropy,
            # Written out, or a run would go on otherwise where the other agent's defaults change.
            final_entropy=0.1,
            clip=0.2,
            value_weight=0.5,
            max_norm=0.5,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
        )

    def check_env(self, env: str) -> None:
        """Raise ValueError for an environment whose frames cannot be halved so often."""
        try:
            find_variant(env).halved(len(self.phases))
        except ValueError as error:
            raise ValueError(f"fine: {error}; take another one, or leave fine empty") from None


class DeepQ(LaneAgent):
    """See ``LaneAgent``. State, besides its: the target network and the replay."""

    Hyperparameters = Settings
    defaults: ClassVar[dict[str, Any]] = {"episodes": 1000, "save_every": 100}
    initial_deviation: ClassVar[float] = 0.03

    def __init__(self, hyper: Settings, kernels: Backend, dtype: DTypeLike) -> None:
        super().__init__(hyper, kernels, dtype)
        self._learner: QLearner | None = None
        self._replay: Replay | None = None
        self._refiner: Learner | None = None

    @property
    def learner(self) -> QLearner:
        """What makes updates, on as many threads as are allowed now."""
        if self._learner is None or self._learner.threads != self.threads:
            self._learner = QLearner(self.hyper, self.kernels, self.dtype, self.threads)
        return self._learner

    @property
    def refiner(self) -> Learner:
        """The same, where the policy is learned on."""
        if self._refiner is None or self._refiner.threads != self.threads:
            self._refiner = Learner(self.hyper.refined(), self.kernels, self.dtype, self.threads)
        return self._refiner

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

    @property
    def kept(self) -> int:
        """Screens that a lane keeps: in the end those in between, too."""
        hyper: Settings = self.hyper
        return 1 + (self.pyramid.channels - 1) * (1 << len(hyper.phases))

    def halvings(self, number: int, whole_game: bool) -> int:
        """Return how often the frames of an action are halved; whole games are as in the end."""
        phases = self.hyper.phases
        return len(phases) if whole_game else sum(self.decisions(number) >= n for n in phases)

    def settled(self, state: Mapping[str, Array]) -> Settings:
        """Return its settings without the phases, and the refining, that it has not come to."""
        hyper: Settings = self.hyper
        task = int(state["updates"][0]) * hyper.lanes
        fine = " ".join(hyper.fine.split()[: self.halvings(task, False)])
        return replace(hyper, fine=fine, refine=hyper.refine * self.refining(task))

    def decisions(self, number: int) -> int:
        """Return how many were made before the round of task ``number``."""
        hyper, rounds = self.hyper, number // self.hyper.lanes
        before = min(rounds, hyper.rounds(hyper.refine)) if hyper.refine else rounds
        steps = before * hyper.segment + (rounds - before) * hyper.refine_segment
        return int(hyper.lanes * steps)

    def refining(self, number: int) -> bool:
        """Return whether the policy is learned on in task ``number``."""
        hyper: Settings = self.hyper
        return bool(hyper.refine) and number // hyper.lanes >= hyper.rounds(hyper.refine)

    def length(self, number: int) -> int:
        """Return the decisions of task ``number``: others where the policy is learned on."""
        return int(self.hyper.refine_segment if self.refining(number) else self.hyper.segment)

    def finest(self, decisions: int) -> bool:
        """Return whether the last of the phases, if there are any, has begun after so many."""
        phases = self.hyper.phases
        return bool(phases) and decisions >= self.hyper.begun(len(phases))

    def learning_rate(self, decisions: int) -> float:
        """Return Adam's step size after so many; it falls in a straight line, and once more."""
        hyper = self.hyper
        rate, since, anneal = hyper.learning_rate, decisions, hyper.anneal
        if self.finest(decisions):
            rate, anneal = hyper.finest_learning_rate, hyper.finest_anneal
            since = decisions - hyper.begun(len(hyper.phases))
        return float(rate * (1 - min(1.0, since / anneal) * (1 - hyper.final_rate)))

    def exploration(self, number: int) -> float:
        """Return the share of task ``number``'s actions that are drawn blindly."""
        hyper, decisions = self.hyper, self.decisions(number)
        done = min(1.0, decisions / hyper.explore)
        share = hyper.finest_exploration if self.finest(decisions) else hyper.exploration
        return float(1 - done * (1 - share))

    def chooser(self, step: Step, number: int, whole_game: bool) -> Step:
        """Return what takes the better action, or one drawn blindly; or draws from the policy."""
        if not whole_game and self.refining(number):
            return step
        share = self.hyper.evaluation_exploration if whole_game else self.exploration(number)

        def choose(t: int, uniform: float, fresh: bool, last_action: int) -> int:
            # RIGHT if what is handed on is below its probability: at 0.5 where that is likelier.
            drawn = 0.5 if uniform >= share else float(2 * uniform < share)
            return step(t, drawn, fresh, last_action)

        return choose

    def update(self, parameters: dict[str, Array], state: dict[str, Array]) -> dict[str, float]:
        """Learn from the segments of all lanes; return what is logged.

        Raises ArithmeticError where a gradient is not finite, MemoryError where the segments do not
        fit; weights are then as before, unless the policy is learned, what is kept need not be.
        """
        task = int(state["updates"][0]) * self.hyper.lanes
        decisions = self.decisions(task)
        if self.refining(task):
            return self._refine(parameters, state, decisions)
        found = self._learn_values(parameters, state, decisions, self.halvings(task, False))
        if self.refining(task + self.hyper.lanes):
            self._begin_refining(parameters, state)
        return found

    def _learn_values(
        self, parameters: dict[str, Array], state: dict[str, Array], decisions: int, halvings: int
    ) -> dict[str, float]:
        """Keep the segments and learn from what is kept; see ``QLearner``."""
        hyper = self.hyper
        if self._replay is None or not self._replay.is_of(state):
            self._replay = Replay(state, hyper.lanes, hyper.segment)
        replay = self._replay
        for segment in self._segments:
            look(self.pyramid, segment.indices, state["seen"])
        replay.put(self._segments)
        self._segments.clear()
        state["updates"] += 1
        begun = hyper.begun(halvings)
        if begun == decisions:
            replay.forget()  # what was played otherwise
        if decisions - begun < hyper.warmup or not replay.decisions:
            return {}
        rate = self.learning_rate(decisions)
        found = self.learner.learn(replay, parameters, state, rate, halvings)
        self.average(parameters, state, (decisions - hyper.first_learned) // replay.size + 1)
        return found

    def _begin_refining(self, parameters: dict[str, Array], state: dict[str, Array]) -> None:
        """Make the averages a policy, from which the next round is played; Adam begins anew."""
        for name, weights in self.final_parameters(parameters, state).items():
            parameters[name][...] = weights
        parameters["units"][1] /= self.hyper.refine_temperature
        for name, weights in parameters.items():
            state[f"average/{name}"][...] = weights
        for name in ("mean", "square", "steps"):
            state[name][...] = 0

    def _refine(
        self, parameters: dict[str, Array], state: dict[str, Array], decisions: int
    ) -> dict[str, float]:
        """Learn from what was just played, as the actor-critic agent does."""
        hyper, refiner = self.hyper, self.refiner
        batch = Batch.of(self._segments, refiner.hyper, self.kernels, self.dtype)
        self._segments.clear()
        state["updates"] += 1
        since = decisions - hyper.rounds(hyper.refine) * hyper.per_round
        found = refiner.learn(batch, parameters, state, min(1.0, since / hyper.refine_anneal))
        self.average(parameters, state, since // (hyper.lanes * hyper.refine_segment) + 1)
        return found
