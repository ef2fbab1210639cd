"""A trained agent from a checkpoint or from exported weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastpong.agents import make_plan
from fastpong.agents.plan import Plan
from fastpong.agents.protocol import PlannedStage
from fastpong.arrays import Arrays
from fastpong.settings.config import Config
from fastpong.storage.checkpoint import Checkpoint, CheckpointError
from fastpong.storage.finding import Found
from fastpong.storage.tensors import Under
from fastpong.storage.verified import not_finite
from fastpong.storage.weights.exported import Exported


@dataclass(frozen=True)
class Trained:
    """Hold a trained agent.

    path       : that it was read from
    config     : the settings of its run
    stage      : number of the stage that the run has come to
    planned    : that stage in the plan of the run
    parameters : for evaluation, by name, of the shapes that the agent declares
    episode, steps : of the run so far
    """

    path: Path
    config: Config
    planned: PlannedStage
    parameters: Arrays
    episode: int
    steps: int

    @property
    def stage(self) -> int:
        """Return the number of the stage."""
        return self.planned.index

    def about(self) -> dict[str, object]:
        """Return what an exported file says besides the agent's settings."""
        return {
            "config": self.config.flat(),
            "stage": self.stage,
            "frame_skip": list(self.planned.variant.frameskip),
            "frame_spread": self.planned.frame_spread,
            "episode": self.episode,
            "steps": self.steps,
        }


def read_trained(found: Found, backend: str) -> Trained:
    """Read the agent and its evaluation parameters.

    Raises CheckpointError for a checkpoint of another kind, or weights that do not fit their
    settings.
    """
    try:
        if isinstance(found, Checkpoint):
            trained = _of_checkpoint(found, backend)
        else:
            trained = _of_exported(found, backend)
        for name, shape in trained.planned.spec.shapes.items():
            if trained.parameters[name].shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {trained.parameters[name].shape}")
        check_finite(trained.parameters)
    except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{found.path}: expected a checkpoint of a run, got another kind ({error})"
        ) from error
    return trained


def check_finite(parameters: Arrays) -> None:
    """Raise ValueError for weights that are not finite, those that a cast made so among them."""
    if (name := not_finite(parameters)) is not None:
        raise ValueError(f"{name}: expected finite weights, got NaN or infinity")


def _plan(config: Config, backend: str) -> Plan:
    return make_plan(config.env, config.stages, backend, config.dtype)


def _of_exported(found: Exported, backend: str) -> Trained:
    config = Config.stored(found.about["config"])
    planned = _plan(config, backend).stages[found.about["stage"]]
    parameters = found.parameters(config.dtype)
    return Trained(found.path, config, planned, parameters, found.episode, found.about["steps"])


def _of_checkpoint(found: Checkpoint, backend: str) -> Trained:
    config, counters = Config.stored(found.manifest["config"]), found.manifest["counters"]
    planned = _plan(config, backend).at(int(counters["task"]))
    newest, state = Under(found.arrays, "parameters/0/"), Under(found.arrays, "state/")
    # Only what the agent plays with is read: a replay buffer is not.
    parameters = dict(planned.spec.evaluation_parameters(newest, state))
    episode, steps = (int(counters.get(name, 0)) for name in ("episode", "total_steps"))
    return Trained(found.path, config, planned, parameters, episode, steps)
