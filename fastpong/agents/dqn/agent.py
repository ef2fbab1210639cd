"""Q-learning from a replay buffer, with PPO's network.

Made for games with sticky actions.

    Q(x, RIGHT) = V + A,  Q(x, LEFT) = V - A,   V = (h + h') . v,  A = (h - h') . a

Upside down the two actions exchange: see ``rollouts``. Steps are stored and learned from again,
about ``replay_ratio`` times each. With R the rewards of n steps, up to a point, the discount
g = gamma^n, or 0 after a point, and Q' the target network,

    y = R + g Q'(x_n, argmax_a Q(x_n, a)),   loss = mean of (Q(x, a) - y)^2 / 2

Actions are epsilon-greedy, in evaluation too, with a smaller epsilon.

A later stage may have a shorter frame skip. Pong's paddle goes by more than its own height in four
frames. Screens are compared over the same time, but for the first few steps, so that what was
learned holds. The replay buffer is emptied.

A stage of PPO may follow, since values of single frames are small beside the noise of a ball's way
and beside the errors of learned values. The network is the same: it begins with the averaged
weights, with A divided by a temperature t, so that RIGHT has the probability

    sigmoid((Q(x, RIGHT) - Q(x, LEFT)) / t)

Sources: Mnih et al., "Human-level control through deep reinforcement learning" (2015), van Hasselt
et al., "Deep Reinforcement Learning with Double Q-learning" (2016), Wang et al., "Dueling Network
Architectures" (2016), n-step returns as in Hessel et al., "Rainbow" (2018), two epsilons as in
Castro et al., "Dopamine" (2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from fastpong.acting.playing import Policy
from fastpong.agents.dqn.replay import Replay
from fastpong.agents.dqn.settings import DQNSettings
from fastpong.agents.dqn.updater import QUpdater
from fastpong.agents.episodic import by_name
from fastpong.agents.ppo.agent import PPO, PPOLearner
from fastpong.agents.protocol import Chance, PlannedStage
from fastpong.agents.pyramid import mark_seen
from fastpong.agents.rollouts import RolloutActor, RolloutLearner, RolloutSpec
from fastpong.arrays import Array
from fastpong.kernels.cells import Step


class DQN(RolloutSpec):
    """See ``RolloutSpec``."""

    Settings = DQNSettings
    defaults: ClassVar[Mapping[str, object]] = {"episodes": 1000, "save_every": 100}
    initial_deviation: ClassVar[float] = 0.03
    settings: DQNSettings

    def evaluation_policy(self, step: Step, greedy: bool) -> Policy:
        """Return the policy of whole episodes: epsilon-greedy, or greedy."""
        return Policy(step, history=True, epsilon=self.settings.eval_eps, greedy=greedy)

    def actor(self, stage: PlannedStage, chance: Chance) -> DQNActor:
        """Return an epsilon-greedy actor. Greedy: without epsilon."""
        return DQNActor(self, self.settings, stage, chance)

    def learner(
        self, stage: PlannedStage, parameters: dict[str, Array], threads: int
    ) -> DQNLearner:
        """Return a learner."""
        return DQNLearner(self, stage, parameters, threads)


class DQNActor(RolloutActor):
    """Play epsilon-greedy."""

    settings: DQNSettings

    def policy(self, step: Step, task: int) -> Policy:
        """Return the epsilon-greedy policy of a rollout."""
        return Policy(step, history=True, epsilon=self.epsilon(task))

    def epsilon(self, task: int) -> float:
        """Return the share of random actions."""
        return self.settings.exploration_rate(self.stage.steps_before(task))


class DQNLearner(RolloutLearner):
    """Learn from a replay buffer of rollouts.

    target : the target network, which the first update sets
    """

    def __init__(
        self, spec: DQN, stage: PlannedStage, parameters: dict[str, Array], threads: int
    ) -> None:
        super().__init__(spec, spec.settings, stage, parameters, threads)
        settings = self.settings = spec.settings
        self.target = {name: np.zeros(shape, spec.dtype) for name, shape in spec.shapes.items()}
        self.replay = Replay.empty(settings.n_envs, settings.n_steps, settings.buffer_size)
        self._updater = QUpdater(settings, spec.kernels, spec.dtype, threads)

    def state(self) -> dict[str, Array]:
        """Return the state's arrays by name.

        Target network and replay buffer are among them.
        """
        return super().state() | by_name("target", self.target) | self.replay.arrays()

    def verify(self) -> None:
        """Raise ValueError for an impossible state or replay buffer.

        Its numbers lead kernels, which would read out of bounds.
        """
        super().verify()
        self.replay.verify(self.spec.pyramid.base)

    def update(self) -> dict[str, float]:
        """Store the rollouts and learn. See ``QUpdater``.

        Raises ArithmeticError for a gradient that is not finite, MemoryError for rollouts that do
        not fit. Weights are then as before, the replay buffer need not be.
        """
        rollouts, steps = self.begin_update()
        for rollout in rollouts:
            mark_seen(self.spec.pyramid, rollout.indices, self.rollout_state.seen)
        self.replay.add(rollouts, self.game.point_ends_return)
        since = steps - self.stage.first_step
        explored = {"exploration_rate": self.settings.exploration_rate(steps)}
        if since < self.settings.learning_starts or not self.replay.steps:
            return explored
        rate = self.settings.learning_rate.at(self.stage.since("learning_rate", steps))
        metrics = self._updater.learn(self.replay, self.parameters, self.state(), rate)
        self.average()
        return metrics | explored

    def advance(self, stage: PlannedStage) -> DQNLearner | PPOLearner:
        """Return the next stage's learner.

        Its replay buffer is empty, since steps were played with another frame skip.
        """
        if isinstance(stage.spec, PPO):
            return self._to_policy(stage.spec, stage)
        assert isinstance(stage.spec, DQN)
        learner = DQNLearner(stage.spec, stage, self.parameters, self.threads)
        learner.rollout_state, learner.target = self.rollout_state, self.target
        return learner

    def _to_policy(self, spec: PPO, stage: PlannedStage) -> PPOLearner:
        """Make the averaged weights a policy for PPO."""
        mine, averages = self.rollout_state, self.spec.evaluation_parameters
        for name, weights in averages(self.parameters, mine.arrays()).items():
            self.parameters[name][...] = weights
        self.parameters["units"][1] /= stage.stage.policy_temperature
        learner = PPOLearner(spec, stage, self.parameters, self.threads)
        state = learner.rollout_state  # Adam and the averages begin anew
        state.seen[...], state.updates[...] = mine.seen, mine.updates
        state.learning_since[...] = mine.updates
        for name, weights in self.parameters.items():
            state.average[name][...] = weights
        for kept, array in vars(mine.envs).items():
            vars(state.envs)[kept][...] = array
        return learner
