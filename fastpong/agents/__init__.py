"""The agents, and the register of them.

An agent is a Spec, which makes Actors in the workers and a Learner in the trainer: see
``protocol``. Registering a Spec in ``AGENTS`` is all that the pool, the trainer, the run directory
and the command line need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import DTypeLike

from fastpong import kernels
from fastpong.agents.dqn.agent import DQN
from fastpong.agents.karpathy.agent import Karpathy
from fastpong.agents.keras.agent import KerasConv
from fastpong.agents.plan import Plan
from fastpong.agents.ppo.agent import PPO
from fastpong.agents.protocol import Spec
from fastpong.settings.stages import Stage

AGENTS: dict[str, type[Any]] = {"karpathy": Karpathy, "keras": KerasConv, "ppo": PPO, "dqn": DQN}

ALIASES = {"pg": "karpathy", "conv": "keras"}
"""Names of version 0.1."""


def make_plan(
    env: str, stages: Sequence[Stage], backend: str, dtype: DTypeLike, emulator: str = "auto"
) -> Plan:
    """Return the plan of a run.

    Raises ValueError for an unknown agent, ImportError for a backend that cannot be loaded.
    """
    chosen = kernels.get_backend(backend)

    def make(stage: Stage) -> Spec:
        if stage.agent not in AGENTS:
            raise ValueError(f"agent: expected one of {', '.join(AGENTS)}, got {stage.agent!r}")
        spec: Spec = AGENTS[stage.agent](stage.settings, chosen, dtype)
        return spec

    return Plan(env, stages, make, emulator)
