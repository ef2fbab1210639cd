"""The settings of Karpathy's agent."""

from __future__ import annotations

from dataclasses import dataclass

from fastpong.settings.fields import check, option


@dataclass(frozen=True, kw_only=True)
class KarpathySettings:
    """The reference's settings. ``lag`` is ours."""

    hidden: int = option(
        200, "hidden units; more can represent more and cost time in proportion",
        minimum=1, maximum=1 << 14,
    )  # fmt: skip
    batch_size: int = option(
        10, "episodes per update; more make updates smoother and fewer",
        minimum=1, maximum=1 << 16,
    )  # fmt: skip
    lag: int = option(
        1,
        "updates by which the playing weights are older than the newest; 0 is strictly on-policy "
        "and waits for the longest episode of every batch, 1 hides that wait",
        minimum=0,
        maximum=16,
    )
    learning_rate: float = option(
        1e-4, "RMSProp's step size; larger learns faster until it diverges", above=0
    )
    gamma: float = option(
        0.99, "discount per step; nearer to 1 values later points more", minimum=0, maximum=1
    )
    rmsprop_decay: float = option(
        0.99, "RMSProp's decay of squared gradients; nearer to 1 averages over more updates",
        minimum=0, maximum=1,
    )  # fmt: skip
    rmsprop_eps: float = option(
        1e-5, "added to RMSProp's root; larger damps the steps of small gradients", minimum=1e-30
    )

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        check(self)
