"""A run of dqn whose replay buffer is full, as after 300,000 steps. Made in a process of its own.

python full_buffer.py RUN
"""

from __future__ import annotations

import sys

import numpy as np

from fastpong.agents import make_plan
from fastpong.settings.config import Config
from fastpong.storage.run import Run
from fastpong.training.state import TrainerState, initial_counters

SETTINGS = {
    "agent": "dqn", "env": "ALE/Pong-v5", "workers": 1, "learning_starts": 0, "replay_ratio": 0.25,
}  # fmt: skip
"""The agent's own, but for a little learning at once."""


def main(directory: str) -> None:
    config = Config.build(SETTINGS)
    stage = make_plan(config.env, config.stages, config.backend, config.dtype).stages[0]
    learner = stage.spec.learner(stage, stage.spec.initial_parameters(0), 1)
    fill(learner.replay, stage.spec.pyramid.base)  # type: ignore[attr-defined]
    arrays = {f"parameters/0/{name}": array for name, array in learner.parameters.items()}
    arrays |= {f"state/{name}": array for name, array in learner.state().items()}
    with Run.create(directory, config) as run:
        assert run.save(TrainerState(initial_counters(), arrays))


def fill(replay, base: int) -> None:  # type: ignore[no-untyped-def]
    """Store steps of 87 random inputs each in all the room that there is."""
    rng, inputs = np.random.default_rng(1), 87
    batches, size = replay.actions.shape
    replay.stored[:] = 0, batches
    replay.starts[:] = inputs * (np.arange(size + 1) + size * np.arange(batches)[:, None])
    replay.indices[:] = rng.integers(0, base, len(replay.indices), np.uint16)
    replay.counts[:] = rng.integers(1, 9, len(replay.counts), np.int8)
    replay.actions[:] = rng.integers(0, 2, replay.actions.shape, np.uint8)
    replay.rewards[:] = rng.integers(-1, 2, replay.rewards.shape)
    replay.verify(base)


if __name__ == "__main__":
    main(sys.argv[1])
