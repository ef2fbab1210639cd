"""PPO with one hidden layer.

It sees cells of several sizes, and their mirror image:

    h = ReLU(x E + b),  h' = ReLU(x' E + b)        x' is x upside down
    RIGHT with probability sigmoid(2 (h - h') . a), else LEFT
    value (h + h') . v

An update is several passes over the rollouts of all environments in minibatches, with the clipped
loss of PPO, an entropy bonus and the squared error of the value, by Adam.

A stage of PPO can follow one of Q-learning: see ``dqn``. It begins with that network as a policy,
and sharpens it: PPO alone makes a policy surer only slowly, and sampling costs points. So the log
odds are multiplied by ``sharpening`` in all, evenly on a logarithmic scale over the second half of
``ent_coef``'s schedule.

Sources: Schulman et al., "Proximal Policy Optimization Algorithms" (2017), and "High-Dimensional
Continuous Control Using Generalized Advantage Estimation" (2016).
"""

from __future__ import annotations

from fastpong.agents.ppo.settings import PPOSettings
from fastpong.agents.ppo.updater import Batch, Updater
from fastpong.agents.protocol import Chance, PlannedStage
from fastpong.agents.rollouts import RolloutActor, RolloutLearner, RolloutSpec
from fastpong.arrays import Array


class PPO(RolloutSpec):
    """See ``RolloutSpec``."""

    Settings = PPOSettings
    settings: PPOSettings

    def actor(self, stage: PlannedStage, chance: Chance) -> RolloutActor:
        """Return an actor that samples. Greedy: the likelier action."""
        return RolloutActor(self, self.settings, stage, chance)

    def learner(
        self, stage: PlannedStage, parameters: dict[str, Array], threads: int
    ) -> PPOLearner:
        """Return a learner."""
        return PPOLearner(self, stage, parameters, threads)


class PPOLearner(RolloutLearner):
    """Make updates of PPO from all environments' rollouts."""

    def __init__(
        self, spec: PPO, stage: PlannedStage, parameters: dict[str, Array], threads: int
    ) -> None:
        super().__init__(spec, spec.settings, stage, parameters, threads)
        self.settings = spec.settings
        self._updater = Updater(spec.settings, spec.kernels, spec.dtype, threads)

    def advance(self, stage: PlannedStage) -> PPOLearner:
        """Return this learner with the next stage's settings."""
        assert isinstance(stage.spec, PPO)
        learner = PPOLearner(stage.spec, stage, self.parameters, self.threads)
        learner.rollout_state = self.rollout_state
        return learner

    def update(self) -> dict[str, float]:
        """Learn from the rollouts. See ``Updater``."""
        rollouts, steps = self.begin_update()
        settings, spec = self.settings, self.spec
        batch = Batch.of(rollouts, settings, spec.kernels, spec.dtype, self.game.point_ends_return)
        rate = settings.learning_rate.at(self.stage.since("learning_rate", steps))
        ent_coef = settings.ent_coef.at(self.stage.since("ent_coef", steps))
        metrics = self._updater.learn(batch, self.parameters, self.state(), rate, ent_coef)
        self._sharpen(steps)
        self.average()
        return metrics

    def _sharpen(self, steps: int) -> None:
        """Multiply the log odds by this update's share."""
        if self.stage.stage.sharpening == 1:
            return
        after = self._sharpness(steps + self.stage.steps_per_update)
        # Log odds are linear in a; the averages' too, or older weights would count for less.
        for a in (self.parameters["units"][1], self.rollout_state.average["units"][1]):
            a *= after / self._sharpness(steps)

    def _sharpness(self, steps: int) -> float:
        """Return the log odds' factor after ``steps`` steps."""
        since = self.stage.since("ent_coef", steps)
        share = min(1.0, max(0.0, 2 * since / self.settings.ent_coef.steps - 1))
        return float(self.stage.stage.sharpening**share)
