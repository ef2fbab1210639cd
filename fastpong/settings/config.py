"""The configuration of a run: frozen, checked, and the same in TOML.

A run is a list of stages, most often one. Shared settings and those of the first stage's agent
stand side by side, in the file as on the command line. A later stage is a table ``[[stages]]``:

    agent = "dqn"
    env = "ALE/Pong-v5"
    learning_rate = "linear:5e-4:5e-5:1500000"

    [[stages]]
    from_step = 400_000
    frame_skip = 2

It inherits every setting that it does not name from the stage before. A schedule counts the steps
from the first update of the stage that names it.

A new field needs a use, a default, a help line and a check. It gets its line in config.toml and its
option by its declaration.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from fastpong import kernels
from fastpong.agents import AGENTS
from fastpong.envs.choice import EMULATORS
from fastpong.envs.games import PONG
from fastpong.envs.variants import VARIANTS
from fastpong.runtime.cluster.address import ALL, LOCAL, check_pool, in_cluster
from fastpong.settings.cores import available_cores as available_cores
from fastpong.settings.fields import check, fields, option, plain_values
from fastpong.settings.rules import check_stages
from fastpong.settings.stages import AgentSettings, Stage
from fastpong.settings.tables import (
    DEFAULT_AGENT,
    Table,
    find_agent,
    read_stages,
    settings_class,
    stage_tables,
    write_stages,
)
from fastpong.settings.toml import write_toml
from fastpong.storage.opening import read_toml

CHANGEABLE = frozenset({
    "recipe", "workers", "episodes", "total_timesteps", "until", "until_episodes", "save_every",
    "eval_every", "eval_episodes", "backend", "emulator", "learning_rate", "task_timeout", "pool",
})  # fmt: skip
"""Settings that a resumed run may change.

The weights do not depend on them (emulators agree, backends up to rounding), but for the learning
rate, which one lowers to go on.
"""

ABOUT = ("description", "reaches")
"""Keys of a recipe that are no settings."""


def default_backend() -> str:
    """Return the kernels' default: FASTPONG_BACKEND, else the best."""
    return kernels.get_backend().name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a run, besides its directory.

    stages : at least one. Without any, one of the default agent with its default settings

    Raises ValueError, naming the setting, what was expected and what came.
    """

    recipe: str = option("", "recipe that the run was begun with; others override its values")
    init_from: str | None = option(
        None, "weights that a new run begins with: of a run, a file or a recipe"
    )
    env: str = option(
        "Pong-v0",
        "environment (PongDeterministic-v4: ALE/Pong-v5 with --sticky 0)",
        choices=VARIANTS,
    )
    emulator: str = option(
        "auto",
        "emulator to play on; the console is several times as fast, auto takes it if it can play",
        choices=EMULATORS,
    )
    workers: int = option(
        available_cores,
        "worker processes; one a core is fastest",
        minimum=1,
        maximum=ALL,
    )
    pool: str = option(
        LOCAL,
        "place of the workers: local, ray, HOST:PORT or ray://HOST:PORT",
    )
    episodes: int = option(
        8000, "end with the update that reaches so many; more train longer", minimum=1
    )
    total_timesteps: int | None = option(
        None, "end with the update that reaches so many steps; more train longer", minimum=1
    )
    until: float | None = option(
        None,
        "end once the last training episodes have this mean, at most 21",
        minimum=PONG.worst_score,
        maximum=PONG.best_score,
    )
    until_episodes: int = option(
        40, "episodes in that mean; more end later and more surely", minimum=1, maximum=100
    )
    seed: int = option(
        0, "seed of all randomness; equal seeds and settings give equal weights", minimum=0
    )
    backend: str = option(
        default_backend,
        "kernels to compute with; numpy is the slow reference",
        choices=kernels.MODULES,
    )
    dtype: str = option(
        "float32",
        "precision of weights and gradients; float64 is slower, for comparisons",
        choices=("float32", "float64"),
    )
    save_every: int = option(100, "episodes between checkpoints; more save less often", minimum=1)
    eval_every: int | None = option(None, "episodes between evaluations", minimum=1)
    eval_episodes: int = option(
        10,
        "episodes of one, while training waits; more give a surer mean",
        minimum=1,
        maximum=1 << 20,
    )
    task_timeout: float | None = option(
        None,
        "seconds of a task until its worker is replaced; never: ten times the usual, twenty on Ray",
        above=0,
    )
    stages: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        """Check every setting and fill in the default stage."""
        check(self)
        check_pool(self.pool)
        if not self.stages:
            stage = Stage(agent=DEFAULT_AGENT, settings=settings_class(DEFAULT_AGENT)())
            object.__setattr__(self, "stages", (stage,))
        for stage in self.stages:
            cls = settings_class(find_agent(stage.agent))
            if type(stage.settings) is not cls:
                raise ValueError(
                    f"settings: expected the Settings of agent {stage.agent!r}, "
                    f"got {type(stage.settings).__module__}.{type(stage.settings).__qualname__}"
                )
        check_stages(self.env, self.stages)

    @property
    def agent(self) -> str:
        """Return the agent of the first stage."""
        return self.stages[0].agent

    @property
    def settings(self) -> AgentSettings:
        """Return the settings of the first stage."""
        return self.stages[0].settings

    @classmethod
    def build(cls, values: Table) -> Config:
        """Make a Config from a recipe's values.

        Other settings keep their defaults. An agent may have ``defaults`` of its own for settings
        that all agents share. In a cluster there are as many workers as it has CPUs.

        Raises ValueError for an unknown key, naming the nearest, and for a wrong value.
        """
        tables = stage_tables({name: v for name, v in values.items() if name not in ABOUT})
        shared = fields(cls)
        given = {name: tables[0].pop(name) for name in shared if name in tables[0]}
        stages = read_stages(tables, shared)
        given = {**AGENTS[stages[0].agent].defaults, **given}
        if in_cluster(given.get("pool", LOCAL)):
            given.setdefault("workers", ALL)
        converted = {name: shared[name].convert(value) for name, value in given.items()}
        return cls(**converted, stages=stages)  # type: ignore[arg-type]

    @classmethod
    def stored(cls, values: Table) -> Config:
        """Make the Config of a run that exists, from the values that it wrote.

        Before ``until`` had bounds, a mean that no game has was written for never.

        Raises ValueError as ``build``.
        """
        until, most = values.get("until"), fields(cls)["until"].bounds["maximum"]
        never = isinstance(until, (int, float)) and most < until < math.inf
        return cls.build({k: v for k, v in values.items() if not (never and k == "until")})

    @staticmethod
    def load(path: str | Path) -> dict[str, object]:
        """Read a TOML file's values, for ``build``.

        Raises ValueError, naming file and line, for what is no TOML, and OSError.
        """
        try:
            return read_toml(Path(path))
        except ValueError as error:
            raise ValueError(f"{path}: expected a TOML file: {error}") from error

    def flat(self) -> dict[str, object]:
        """Return all settings as ``build`` takes them.

        None is left out.
        """
        first, *later = write_stages(self.stages)
        return {**plain_values(self), **first, **({"stages": later} if later else {})}

    def changed(self, overrides: Table) -> Config:
        """Return these settings with others in their place.

        Between this machine and a cluster no number of workers is kept: it was that of the other.

        Raises ValueError as ``build``.
        """
        values = self.flat()
        if in_cluster(overrides.get("pool", self.pool)) != in_cluster(self.pool):
            del values["workers"]
        return Config.build({**values, **overrides})

    def fixed(self) -> dict[str, object]:
        """Return the settings that no resumed run may change.

        Those of a later stage are named after it.
        """
        found: dict[str, object] = {
            name: v for name, v in plain_values(self).items() if name not in CHANGEABLE
        }
        for number, stage in enumerate(self.stages, 1):
            table: dict[str, object] = {"agent": stage.agent, "frame_skip": stage.frame_skip}
            table |= plain_values(stage.settings)
            if number > 1:
                table |= plain_values(stage)
            prefix = f"stage {number}: " if number > 1 else ""
            found |= {prefix + name: value for name, value in table.items()}
        return {name: v for name, v in found.items() if name.split(": ")[-1] not in CHANGEABLE}

    def to_toml(self) -> str:
        """Write the settings as TOML with help lines."""
        return write_toml(self, self.stages)
