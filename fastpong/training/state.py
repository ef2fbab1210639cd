"""The state of a run between two updates."""

from __future__ import annotations

from dataclasses import dataclass

from fastpong.agents.plan import Plan
from fastpong.arrays import Array, Arrays
from fastpong.training.goal import Counters


@dataclass(frozen=True)
class TrainerState:
    """Hold a run between two updates, for a checkpoint.

    arrays   : "parameters/<k>/<name>", the weights k versions back, k = 0..lag as far as there
               are so many, and "state/<name>", the learner's
    """

    counters: Counters
    arrays: Arrays

    @classmethod
    def initial(cls, plan: Plan, parameters: dict[str, Array]) -> TrainerState:
        """Return the state before training of given weights."""
        first = plan.stages[0]
        arrays = {f"parameters/0/{name}": array for name, array in parameters.items()}
        state = first.spec.learner(first, parameters, 1).state()
        arrays |= {f"state/{name}": array for name, array in state.items()}
        return cls(initial_counters(), arrays)


def initial_counters() -> Counters:
    """Return the counters before the first episode."""
    return {
        "task": 0,
        "episode": 0,
        "update": 0,
        "total_steps": 0,
        "total_frames": 0,
        "running_mean": None,
        "recent": [],
        "wall_seconds": 0.0,
        "cpu_seconds": 0.0,
    }
