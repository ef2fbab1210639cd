"""The stages of a run: which agent trains from which step on, with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fastpong.settings.fields import check, option


class AgentSettings(Protocol):
    """What every agent's settings have.

    lag : updates by which the playing weights are older than the newest
    """

    @property
    def lag(self) -> int:
        """Return the lag."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Describe one stage of a run.

    It lasts until the next one begins.

    from_step          : it begins with the first update at or after this step of the run
    agent              : name of the agent that trains
    settings           : that agent's settings
    frame_skip         : frames an action is played for. None for the environment's own
    policy_temperature : of the softmax that turns the values of the stage before into a policy
    sharpening         : factor of the policy's log odds at the end of ``ent_coef``'s schedule
    set_in             : for each schedule, the number of the stage that set it and started it
    """

    from_step: int = option(0, "first step of the stage; larger begins it later", minimum=0)
    agent: str
    settings: AgentSettings
    frame_skip: int | None = option(
        None,
        "frames an action is played for; fewer are a finer control and more steps per episode",
        minimum=1,
    )
    policy_temperature: float = option(
        1.0,
        "divisor of the values' differences that makes them log odds of a policy; larger begins "
        "with more random actions",
        minimum=1e-6,
    )
    sharpening: float = option(
        1.0,
        "factor of the policy's log odds by the end of ent_coef's schedule, applied over its "
        "second half; larger ends with fewer random actions",
        minimum=1,
        maximum=1000,
    )
    set_in: Mapping[str, int] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """Return the agent, and its frame skip where it has one of its own."""
        skip = f", frame skip {self.frame_skip}" if self.frame_skip is not None else ""
        return self.agent + skip

    def __post_init__(self) -> None:
        """Raise ValueError for the first value out of range."""
        check(self)
