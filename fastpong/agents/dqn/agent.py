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
just played, as the actor-critic agent does it: what one frame of an action is worth is little
beside what chance makes of a ball, and little beside the errors of learned values. The network is
the same: it begins with the averaged weights, with A divided by a temperature t, so that RIGHT has
the probability

    sigmoid((Q(x, RIGHT) - Q(x, LEFT)) / t)

From then on actions are drawn from it, none of them blindly, also in evaluation that is not greedy.
PPO alone makes it surer only slowly, and drawing costs points; so its log odds are multiplied by
``refine_sharpening`` in all, evenly on a logarithmic scale over the second half of
``refine_anneal``.

Sources: Mnih et al., "Human-level control through deep reinforcement learning" (2015); van Hasselt
et al., "Deep Reinforcement Learning with Double Q-learning" (2016); Wang et al., "Dueling Network
Architectures" (2016); returns over n as in Hessel et al., "Rainbow" (2018); two shares drawn
blindly as in Castro et al., "Dopamine" (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastpong.acting.rollout import Step
from fastpong.agents.dqn.learner import QLearner
from fastpong.agents.dqn.replay import Replay
from fastpong.agents.dqn.settings import Settings
from fastpong.agents.multi_env import LaneAgent, look
from fastpong.agents.ppo.learner import Batch, Learner
from fastpong.kernels import Backend

Array = NDArray[Any]


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
            self._refiner = Learner(
                self.hyper.refined(), self.kernels, self.dtype, self.threads,
                "--refine-learning-rate",
            )  # fmt: skip
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
        # Whole games are played as the settings say in the end; a checkpoint's are ``settled``.
        policy = self.hyper.refine > 0 if whole_game else self.refining(number)
        if policy:
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
        """Learn from what was just played, as the actor-critic agent does, and sharpen."""
        hyper, refiner = self.hyper, self.refiner
        batch = Batch.of(self._segments, refiner.hyper, self.kernels, self.dtype)
        self._segments.clear()
        state["updates"] += 1
        since = decisions - hyper.rounds(hyper.refine) * hyper.per_round
        found = refiner.learn(batch, parameters, state, min(1.0, since / hyper.refine_anneal))
        each = hyper.lanes * hyper.refine_segment
        # Log odds are linear in a; the averages' too, or older weights would count for less.
        sharper = hyper.sharpness(since + each) / hyper.sharpness(since)
        for a in (parameters["units"][1], state["average/units"][1]):
            a *= sharper
        self.average(parameters, state, since // each + 1)
        return found
