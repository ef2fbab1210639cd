"""The shared parts of agents whose tasks are episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NoReturn, Protocol

import numpy as np
from numpy.typing import DTypeLike

from fastpong.agents.protocol import PlannedStage
from fastpong.arrays import Array, Arrays
from fastpong.kernels import Backend

CHUNK = 512
"""Steps of an episode that are learned from at a time.

The hidden layer of so many stays in the cache (200 float32 x 512 = 400 kB), and an episode of
50,000 steps needs no memory of its own.
"""


class EpisodicSettings(Protocol):
    """What the settings of these agents have."""

    @property
    def batch_size(self) -> int:
        """Return the episodes per update."""


class EpisodicSpec:
    """A Spec whose tasks are episodes, each by itself."""

    defaults: ClassVar[Mapping[str, object]] = {}
    shapes: Mapping[str, tuple[int, ...]]
    steps_per_task = None

    def __init__(self, settings: EpisodicSettings, kernels: Backend, dtype: DTypeLike) -> None:
        self.kernels, self.dtype = kernels, np.dtype(dtype)
        self.tasks_per_update: int = settings.batch_size

    def screens_needed(self, frame_spread: int) -> int:
        """Return 2: the screen and the one before."""
        return 2

    def evaluation_parameters(self, parameters: Arrays, state: Arrays) -> Arrays:
        """Return the newest parameters."""
        return parameters


class EpisodicLearner:
    """A Learner whose tasks need no payload."""

    def payload(self, task: int, before: object) -> None:
        """Return None: a task's number says it all."""

    def verify(self) -> None:
        """Do nothing: the state is numbers that index nothing."""

    def advance(self, stage: PlannedStage) -> NoReturn:
        """Refuse: a run of this agent has one stage."""
        raise AssertionError(f"stage {stage.index} cannot follow an agent of whole episodes")


def by_name(kind: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays under a checkpoint's names."""
    return {f"{kind}/{name}": array for name, array in arrays.items()}
