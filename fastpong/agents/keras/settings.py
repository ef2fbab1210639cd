"""The settings of the Keras reference's agent."""

from __future__ import annotations

from dataclasses import dataclass

from fastpong.settings.fields import check, option


@dataclass(frozen=True, kw_only=True)
class KerasSettings:
    """The reference's settings. ``lag`` and ``image_conv`` are ours."""

    batch_size: int = option(
        1, "episodes per update; more make updates smoother and fewer",
        minimum=1, maximum=1 << 16,
    )  # fmt: skip
    lag: int = option(
        0,
        "updates by which the playing weights are older than the newest; 0 is the reference's "
        "loop, where one worker plays while all others wait, 1 keeps two of them busy, and a "
        "batch of B episodes up to 2 B",
        minimum=0,
        maximum=16,
    )
    learning_rate: float = option(
        1e-3, "Adam's step size; larger learns faster until it diverges", above=0
    )
    target_step: float = option(
        1e-3,
        "distance of targets from the probabilities per unit of advantage; larger makes larger "
        "gradients, and the reference takes its learning rate for this too",
        above=0,
    )
    gamma: float = option(
        0.99, "discount per step; nearer to 1 values later points more", minimum=0, maximum=1
    )
    adam_beta1: float = option(
        0.9, "Adam's decay of gradients; nearer to 1 averages over more updates",
        minimum=0, below=1,
    )  # fmt: skip
    adam_beta2: float = option(
        0.999, "Adam's decay of squared gradients; nearer to 1 averages over more updates",
        minimum=0, below=1,
    )  # fmt: skip
    adam_eps: float = option(
        1e-7, "added to Adam's root; larger damps the steps of small gradients", minimum=1e-30
    )
    image_conv: bool = option(
        False,
        "convolve an 80x80 image of one channel, not one row of 80 columns with 80 channels as "
        "the reference does",
    )

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        check(self)
