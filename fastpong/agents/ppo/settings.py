"""The settings of PPO, and of all rollout agents."""

from __future__ import annotations

from dataclasses import dataclass

from fastpong.agents.pyramid import Pyramid, parse_levels
from fastpong.settings.fields import check, option
from fastpong.settings.schedules import Schedule

ADAM = (0.9, 0.999, 1e-5)
"""Adam's beta1, beta2 and epsilon."""


@dataclass(frozen=True, kw_only=True)
class RolloutSettings:
    """What the network sees, and how environments are played."""

    hidden: int = option(
        128, "hidden units; more can represent more and cost time in proportion",
        minimum=1, maximum=1 << 14,
    )  # fmt: skip
    n_envs: int = option(
        16, "environments played side by side; more make updates larger and fewer",
        minimum=1, maximum=4096,
    )  # fmt: skip
    n_steps: int = option(
        128, "steps of each environment per update; more make updates larger and fewer",
        minimum=1, maximum=1 << 14,
    )  # fmt: skip
    lag: int = option(
        0, "updates by which the playing weights are older than the newest; 1 plays and learns at "
        "the same time, 0 in turn",
        minimum=0, maximum=16,
    )  # fmt: skip
    noop_max: int = option(  # after 256 frames the first point would be lost, uncounted
        30, "most frames without action at the start of an episode; more vary the starts more",
        minimum=0, maximum=200,
    )  # fmt: skip
    pixel_stride: int = option(
        2, "every so many rows and columns of the screen are seen; 1 sees all",
        minimum=1, maximum=2,
    )  # fmt: skip
    cell_size: int = option(
        2, "side of an input cell, in pixels seen; larger cells are fewer and coarser",
        minimum=1, maximum=10,
    )  # fmt: skip
    coarse_cells: str = option(
        "4x4:0.35 8x8:0.35 16x16:0.35",
        "coarser cells that an input also feeds, HEIGHTxWIDTH:SCALE in pixels; more share what is "
        "learned between neighbours",
    )
    frame_history: int = option(
        0, "earlier difference frames among the inputs; more show more of the past",
        minimum=0, maximum=8,
    )  # fmt: skip
    last_action: bool = option(False, "the last action is an input, too")
    weight_averaging: float = option(
        8.0, "how strongly newer weights count in the average that plays in evaluation; 0 weighs "
        "all alike",
        minimum=0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        check(self)
        self.pyramid()

    def pyramid(self) -> Pyramid:
        """Return the numbering of inputs and rows.

        Raises ValueError for cells that do not fit.
        """
        levels = parse_levels(self.coarse_cells)
        return Pyramid(
            self.cell_size, levels, self.last_action, self.pixel_stride, self.frame_history
        )


@dataclass(frozen=True, kw_only=True)
class PPOSettings(RolloutSettings):
    """The settings of PPO.

    ``docs/experiments`` has what else was tried.
    """

    learning_rate: Schedule = option(
        Schedule(1.5e-3, 1.5e-4, 800_000),
        "Adam's step size, or a schedule linear:START:END:STEPS; larger learns faster until it "
        "diverges",
        above=0,
    )
    gamma: float = option(
        0.98, "discount per step; nearer to 1 values later points more", minimum=0, maximum=1
    )
    gae_lambda: float = option(
        0.98, "lambda of generalised advantages; nearer to 1 has less bias and more variance",
        minimum=0, maximum=1,
    )  # fmt: skip
    n_epochs: int = option(6, "passes over a batch; more reuse it further", minimum=1)
    batch_size: int = option(
        512, "steps (transitions) per minibatch; larger means fewer, smoother updates",
        minimum=1, maximum=1 << 26,
    )  # fmt: skip
    clip_range: float = option(
        0.2, "largest change of a probability's ratio that is rewarded; larger moves further",
        minimum=0, below=1,
    )  # fmt: skip
    ent_coef: Schedule = option(
        Schedule(0.005, 0.0005, 800_000),
        "weight of the entropy bonus, or a schedule linear:START:END:STEPS; larger explores more",
        minimum=0,
    )
    vf_coef: float = option(0.5, "weight of the value loss; larger learns values faster", minimum=0)
    max_grad_norm: float = option(
        0.5, "longest gradient that is not scaled down; larger allows larger updates", above=0
    )
