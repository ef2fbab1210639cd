"""The settings of the Q-learning agent."""

from __future__ import annotations

from dataclasses import dataclass

from fastpong.agents.dqn.replay import BATCHES
from fastpong.agents.ppo.settings import RolloutSettings
from fastpong.settings.fields import option
from fastpong.settings.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class DQNSettings(RolloutSettings):
    """The settings of one stage of Q-learning.

    ``docs/experiments`` has what else was tried.
    """

    pixel_stride: int = option(
        1, "every so many rows and columns of the screen are seen; 1 sees all",
        minimum=1, maximum=2,
    )  # fmt: skip
    cell_size: int = option(
        4, "side of an input cell, in pixels seen; larger cells are fewer and coarser",
        minimum=1, maximum=10,
    )  # fmt: skip
    coarse_cells: str = option(
        "8x8:0.35 16x16:0.35 32x32:0.35 160x4:0.35 4x40:0.35",
        "coarser cells that an input also feeds, HEIGHTxWIDTH:SCALE in pixels; more share what is "
        "learned between neighbours",
    )
    frame_history: int = option(
        2, "earlier difference frames among the inputs; more show more of the past",
        minimum=0, maximum=8,
    )  # fmt: skip
    last_action: bool = option(True, "the last action is an input, too")
    learning_rate: Schedule = option(
        Schedule(5e-4, 5e-5, 2_500_000),
        "Adam's step size, or a schedule linear:START:END:STEPS; larger learns faster until it "
        "diverges",
        above=0,
    )
    buffer_size: int = option(
        300_000,
        "steps in the replay buffer, four rollouts of every environment or more; 375 bytes each, "
        "in memory and in checkpoints",
        minimum=1, maximum=1 << 22,
    )  # fmt: skip
    learning_starts: int = option(
        20_000, "steps of a stage before learning begins; more begin with more variety", minimum=0
    )
    replay_ratio: float = option(
        8.0, "times that each step is learned from on average; more learns faster per frame and "
        "costs time in proportion",
        above=0,
    )  # fmt: skip
    batch_size: int = option(
        512, "steps (transitions) per minibatch; larger means fewer, smoother updates",
        minimum=1, maximum=1 << 13,
    )  # fmt: skip
    gamma: float = option(
        0.99, "discount per step; nearer to 1 values later points more", minimum=0, maximum=1
    )
    n_step: int = option(
        15, "steps of an n-step return, up to n_steps; more pass rewards back faster", minimum=1
    )
    target_update_interval: int = option(
        100, "optimizer steps between copies to the target network; more make targets steadier",
        minimum=1,
    )  # fmt: skip
    exploration_final_eps: float = option(
        0.01, "share of random actions once exploration_steps are over; larger explores more",
        minimum=0, maximum=0.5,
    )  # fmt: skip
    exploration_steps: int = option(
        100_000, "steps of the run over which the share of random actions falls from 1; more "
        "explore longer",
        minimum=1,
    )  # fmt: skip
    eval_eps: float = option(
        0.001, "share of random actions in evaluation; larger plays worse but never gets stuck",
        minimum=0, maximum=0.5,
    )  # fmt: skip
    max_grad_norm: float = option(
        10.0, "longest gradient that is not scaled down; larger allows larger updates", above=0
    )

    def exploration_rate(self, steps: int) -> float:
        """Return the share of random actions after so many steps of the run."""
        done = min(1.0, steps / self.exploration_steps)
        return float(1 - done * (1 - self.exploration_final_eps))

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        super().__post_init__()
        if self.n_step > self.n_steps:
            raise ValueError(f"n_step: expected at most n_steps, {self.n_steps}, got {self.n_step}")
        least = BATCHES * self.n_envs * self.n_steps
        if self.buffer_size < least:
            raise ValueError(
                f"buffer_size: expected at least {least}, {BATCHES} rollouts of every environment, "
                f"got {self.buffer_size}"
            )
