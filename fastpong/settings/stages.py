"""The stages of a run: which agent trains from which step on, with which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class AgentSettings(Protocol):
    """What every agent's settings have.

    lag : updates by which the playing weights are older than the newest
    """

    @property
    def lag(self) -> int:
        """Return the lag."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a run. It lasts until the next one begins.

    from_step          : it begins with the first update at or after this step of the run
    agent              : name of the agent that trains
    settings           : that agent's ``Settings``
    frame_skip         : frames an action is played for. None for the environment's own
    policy_temperature : of the softmax that turns the values of the stage before into a policy
    sharpening         : factor of the policy's log odds at the end of the learning rate's schedule
    set_in             : for each schedule, the number of the stage that set it and started it
    """

    from_step: int = 0
    agent: str
    settings: AgentSettings
    frame_skip: int | None = None
    policy_temperature: float = 1.0
    sharpening: float = 1.0
    set_in: Mapping[str, int] = field(default_factory=dict)
